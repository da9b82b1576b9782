"""A table in markdown as aligned columns for a terminal: whole columns are left out where it is narrow, and no text is cut."""

from __future__ import annotations

GAP = 2


def fitting(text: str, width: int) -> tuple[str, list[str]]:
    """The table as lines of at most `width` characters, and the heads of the last columns if they are left out.

    The first column, which has the names, always stays whole, on a terminal narrower than it too.
    """
    lines = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in text.splitlines() if line]
    columns = list(zip(lines[0], *lines[2:], strict=True))  # the second line is markdown's rule
    widths = [max(map(len, column)) for column in columns]
    shown = max([1, *(count for count in range(1, len(widths) + 1) if sum(widths[:count]) + GAP * (count - 1) <= width)])
    kept = [[cell.ljust(size) for cell in column] for column, size in zip(columns[:shown], widths, strict=False)]
    return "\n".join((" " * GAP).join(row).rstrip() for row in zip(*kept, strict=True)), lines[0][shown:]
