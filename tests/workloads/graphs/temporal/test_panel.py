"""Events become a panel sorted and checked, and what is wrong with one is said with its place."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.panel import Events, Graphs, Panel, assemble, both_ways, once

FEATURES = torch.zeros(4, 3, 1, dtype=torch.float64)


def events(*rows: tuple[int, int, int, float]) -> Events:
    """(step, source, target, weight) each."""
    step, source, target, weight = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    return Events(*map(as_index, (step, source, target)), torch.tensor(weight, dtype=torch.float64), lambda index: f"row {index}")


def as_index(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def rows(found: Events | Panel) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in (found.step, found.source, found.target, found.weight)), strict=True))


def test_events_are_sorted_and_all_nodes_are_one_graph() -> None:
    panel = assemble(FEATURES, ["a"], events((2, 0, 1, 5.0), (0, 3, 0, 1.0), (0, 1, 2, 0.0), (0, 1, 0, 2.0)), static=False)
    assert rows(panel) == [(0, 1, 0, 2.0), (0, 1, 2, 0.0), (0, 3, 0, 1.0), (2, 0, 1, 5.0)]
    assert panel.graph.tolist() == [0, 0, 0, 0]
    assert panel.length.tolist() == [3]
    assert panel.labels is None
    assert panel.channels == ("a",)


@pytest.mark.parametrize("static", [False, True])
def test_there_may_be_no_edges(static: bool) -> None:
    assert rows(assemble(FEATURES, ["a"], both_ways(events()), static=static)) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0, 4, 0, 1.0), "row 1 - wanted a source of 0 to 3 - got 4"),
        ((0, 0, -1, 1.0), "row 1 - wanted a target of 0 to 3 - got -1"),
        ((3, 0, 1, 1.0), "row 1 - wanted a step of 0 to 2 - got 3"),
        ((0, 0, 1, -0.5), "row 1 - wanted a finite weight of at least 0 - got -0.5"),
        ((0, 0, 1, float("nan")), "row 1 - wanted a finite weight of at least 0 - got nan"),
        (
            (1, 2, 3, 2.0),
            "row 1 - wanted each edge once per step - the edge from node 2 to node 3 at step 1 is row 0 too; .*repeated: once.*",
        ),
    ],
)
def test_a_wrong_event_is_named(row: tuple[int, int, int, float], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        assemble(FEATURES, ["a"], events((1, 2, 3, 1.0), row), static=False)


def test_static_edges_have_no_step() -> None:
    with pytest.raises(UserError, match="row 0 - wanted a step of 0 to 0 - got 1"):
        assemble(FEATURES, ["a"], events((1, 0, 1, 1.0)), static=True)


def test_an_edge_stays_in_its_graph_and_in_its_time() -> None:
    graphs = Graphs(as_index([0, 0, 1, 1]), as_index([3, 2]))
    assert len(rows(assemble(FEATURES, ["a"], events((0, 0, 1, 1.0), (1, 2, 3, 1.0)), static=False, graphs=graphs))) == 2
    with pytest.raises(UserError, match="row 0 - wanted an edge within one graph, a target - got 2"):
        assemble(FEATURES, ["a"], events((1, 0, 2, 1.0)), static=False, graphs=graphs)
    with pytest.raises(UserError, match="row 1 - wanted a step after the beginning of the graph - got 0"):
        assemble(FEATURES, ["a"], events((0, 0, 1, 1.0), (0, 2, 3, 1.0)), static=False, graphs=graphs)


def test_a_repetition_counts_once_if_its_weight_agrees() -> None:
    assert rows(once(events((0, 1, 2, 3.0), (0, 1, 2, 3.0), (1, 1, 2, 4.0)))) == [(0, 1, 2, 3.0), (1, 1, 2, 4.0)]
    message = "row 2 - wanted the weight 3 that the edge from node 1 to node 2 at step 0 has at row 1 - got 4"
    with pytest.raises(UserError, match=message):
        once(events((0, 0, 0, 1.0), (0, 1, 2, 3.0), (0, 1, 2, 4.0)))


def test_both_ways_keeps_loops_and_what_is_there() -> None:
    doubled = both_ways(events((0, 0, 1, 3.0), (0, 1, 0, 3.0), (0, 2, 2, 1.0), (1, 0, 1, 2.0)))
    assert sorted(rows(doubled)) == [(0, 0, 1, 3.0), (0, 1, 0, 3.0), (0, 2, 2, 1.0), (1, 0, 1, 2.0), (1, 1, 0, 2.0)]
    with pytest.raises(UserError, match=r"row 0 - wanted the weight 4 that the edge from node 1 to node 0 .* at row 1 - got 3"):
        both_ways(events((0, 0, 1, 3.0), (0, 1, 0, 4.0)))


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.integers(0, 5).map(float)),
    unique_by=lambda row: row[:3],
    max_size=20,
)


@given(ROWS)
def test_a_panel_holds_every_event_whatever_their_order(found: list[tuple[int, int, int, float]]) -> None:
    assert rows(assemble(FEATURES, ["a"], events(*found), static=False)) == sorted(found)


@given(ROWS)
def test_both_ways_is_its_own_reverse(found: list[tuple[int, int, int, float]]) -> None:
    even = events(*((step, source, target, 1.0) for step, source, target, _ in found))
    expected = {(step, *ends, 1.0) for step, source, target, _ in found for ends in ((source, target), (target, source))}
    assert sorted(rows(both_ways(even))) == sorted(expected)
