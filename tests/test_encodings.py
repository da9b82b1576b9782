"""Files are read and written in UTF-8 whatever the language of the machine is: a table with a ± in it cannot be read otherwise."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillhouse.record import surroundings

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("stillhouse", "stages", "flows") for path in (ROOT / folder).rglob("*.py"))
"""`rglob` follows no links: each file is there once."""


def unnamed(source: str) -> Iterator[int]:
    """The lines that read or write text without naming its encoding."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func).rpartition(".")[2]
        modes = {part.value for part in call.args if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        opens = name == "open" and any(mode and set(mode) <= set("rwaxt+") for mode in modes)
        if (opens or name in ("read_text", "write_text")) and not any(word.arg == "encoding" for word in call.keywords):
            yield call.lineno


def test_text_is_read_and_written_in_a_named_encoding() -> None:
    assert list(unnamed("a.read_text()\nb.open('rb')\nc.open('a')\nd.write_text('', encoding='utf-8')")) == [1, 3]
    assert len(SOURCES) > 300
    assert [f"{path}:{line}" for path in SOURCES for line in unnamed(path.read_text(encoding="utf-8"))] == []


def test_what_a_terminal_cannot_show_is_printed_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    surroundings.complete()
    print("1 ± 2", flush=True)
    assert stream.buffer.getvalue() == b"1 \\xb1 2\n"  # type: ignore[attr-defined]
