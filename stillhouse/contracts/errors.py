"""The one exception that says: the input is wrong, not the program."""

from __future__ import annotations

LINE, LINES = 1000, 100
"""The most characters of a line, and the most lines of a message; what is more is cut out."""


class UserError(ValueError):
    """A mistake that its reader can mend: one sentence with what was wanted, what was got and where.

    The runner prints the sentence without a traceback. However long what was got is, the message is not.
    """

    def __init__(self, message: object = "") -> None:
        lines = str(message).split("\n")
        rest = [f"and {len(lines) - LINES} lines more"] if len(lines) > LINES else []
        super().__init__("\n".join([*(shortened(line, LINE) for line in lines[:LINES]), *rest]))


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters: what is too long is cut out of its middle."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"
