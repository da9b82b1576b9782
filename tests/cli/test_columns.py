"""The table on a terminal: whole columns, whole names."""

from __future__ import annotations

from typing import Any

import pytest

from stillhouse.cli.columns import fitting
from stillhouse.comparison.table import HEADS, cells, markdown

ROW: dict[str, Any] = {
    "name": "a-student-with-quite-a-long-name",
    "metric": "accuracy",
    "quality": 0.9,
    "kept": 0.98,
    "parameters": 1234.0,
    "macs": 5.0e6,
    "macs_share": 0.5,
    "latency_ms": 1.5,
    "latency_spread_ms": 0.25,
    "search": "",
    "losses": "",
}
TEXT = markdown([ROW, ROW | {"name": "short", "search": "dms", "losses": "logits+pearson"}])


@pytest.mark.parametrize("width", [1, 40, 60, 80, 100, 400])
def test_a_name_and_a_number_are_shown_whole_or_not_at_all(width: int):
    drawn, left_out = fitting(TEXT, width)
    lines = drawn.splitlines()
    shown = HEADS[: len(HEADS) - len(left_out)]
    assert [*shown, *left_out] == list(HEADS)
    assert all(cell in lines[1] for cell in cells(ROW)[: len(shown)])
    assert lines[1].startswith(ROW["name"])
    assert all(len(line) <= max(width, len(ROW["name"])) for line in lines)
    assert len(lines) == 3


def test_on_a_usual_terminal_all_that_is_compared_is_there():
    assert not {"name", "quality", "kept", "share", "latency, ms"} & set(fitting(TEXT, 80)[1])
    assert fitting(TEXT, 400)[1] == []


def test_each_cell_stands_under_its_head():
    texts = ["0.9000", "98.0%", "50.0%", "1.5 ± 0.2", "accuracy", "97.0%", "1,234", "5.0", "dms", "logits"]
    row = ROW | {"agreement": 0.97, "search": "dms", "losses": "logits"}
    assert dict(zip(HEADS, cells(row), strict=True)) == dict(zip(HEADS, [ROW["name"], *texts], strict=True))
