"""The table of what language models cost as they write: speed, time to the first token, and bytes of the cache."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from stillhouse.comparison.table import Row

_SPEED = re.compile(r"tokens_per_second_(\d+)")
_HEADS = {"first_token_ms": "first token, ms", "cache_bytes": "cache, bytes per token"}


def table(rows: Sequence[Row]) -> Iterator[str]:
    """One line for each model of a teacher of which such a metric is known; nothing where none is."""
    known = dict.fromkeys(name for row in rows for name in row["metrics"])
    heads = {name: f"tokens/s, {found[1]} at once" for name in known if (found := _SPEED.fullmatch(name))}
    heads |= {name: head for name, head in _HEADS.items() if name in known}
    if not heads:
        return
    body = "".join(_line("td", [row["name"], *(_shown(row["metrics"].get(name)) for name in heads)]) for row in rows)
    yield f"<div class=wide><table><thead>{_line('th', ['name', *heads.values()])}</thead><tbody>{body}</tbody></table></div>"
    yield "<p class=small>Tokens a second are those after the first one, of all texts that are written at once.</p>"


def _line(tag: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
