"""Which windows and nodes train, validate and test."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.panel import Events, Panel, assemble
from stillhouse.workloads.graphs.temporal.split import TEST, TRAIN, VALID, cut, forecasts, seen

ROLES = (TRAIN, VALID, TEST)


def panel_of(steps: int, nodes: int = 12, edges: list[tuple[int, int]] | None = None) -> Panel:
    """Static edges; by default none."""
    ends = torch.tensor(edges or [], dtype=torch.int64).view(-1, 2)
    events = Events(torch.zeros(len(ends), dtype=torch.int64), ends[:, 0], ends[:, 1], torch.ones(len(ends), dtype=torch.float64))
    return assemble(torch.zeros(nodes, steps, 1, dtype=torch.float64), ["x"], events, static=True)


def sizes(role: torch.Tensor) -> list[int]:
    return torch.bincount(role, minlength=3).tolist()


def test_sixty_one_days_make_54_windows_of_seven_cut_7_1_2() -> None:
    split = forecasts(panel_of(61), 7, 1, "chronological")
    assert split.start.tolist() == list(range(54))
    assert sizes(split.role) == [37, 6, 11]


@given(st.integers(1, 300))
def test_cuts_are_in_time_and_7_1_2_as_far_as_whole_numbers_go(number: int) -> None:
    role = cut(number)
    assert role.tolist() == sorted(role.tolist())
    assert [abs(size - share * number) < 1 for size, share in zip(sizes(role), (0.7, 0.1, 0.2), strict=True)] == [True] * 3
    assert number < 10 or 0 not in sizes(role)


@given(st.integers(40, 80), st.integers(2, 8), st.integers(1, 5))
def test_the_last_target_of_training_is_before_the_first_of_the_test(steps: int, window: int, horizon: int) -> None:
    split = forecasts(panel_of(steps), window, horizon, "chronological")
    targets = [split.start[split.of(role)] + window - 1 + horizon for role in ROLES]
    assert targets[0].max() < targets[1].min()
    assert targets[1].max() < targets[2].min()
    assert targets[2].max() == steps - 1
    assert torch.equal(torch.cat([split.of(role) for role in ROLES]), torch.arange(len(split.start)))
    assert torch.equal(seen(split, window, horizon, steps), torch.arange(steps) <= targets[0].max())


def test_interleaved_windows_are_dealt_by_their_number_modulo_ten() -> None:
    split = forecasts(panel_of(61), 7, 1, "interleaved")
    assert split.of(TRAIN).tolist() == [number for number in range(54) if number % 10 < 7]
    assert split.of(VALID).tolist() == [7, 17, 27, 37, 47]
    assert split.of(TEST).tolist() == [8, 9, 18, 19, 28, 29, 38, 39, 48, 49]


def test_training_sees_no_step_that_none_of_its_windows_holds() -> None:
    split = forecasts(panel_of(21), 2, 8, "interleaved")
    assert split.start.tolist() == list(range(12))
    expected = {step for start in (*range(7), 10, 11) for step in (start, start + 1, start + 9)}
    assert set(seen(split, 2, 8, 21).nonzero().flatten().tolist()) == expected
    assert expected != set(range(21))


def test_nodes_are_dealt_in_the_order_of_their_degree() -> None:
    """Node i has i edges to or from the eleven others; of the first ten by degree seven train, and the last two begin anew."""
    star = [(i, j) for i in range(12) for j in range(i) if i + j > 11]
    split = forecasts(panel_of(30, 12, star), 4, 1, "transductive")
    assert split.node_role is not None
    degree = [sum(node in edge for edge in star) for node in range(12)]
    order = sorted(range(12), key=lambda node: -degree[node])
    expected = [TRAIN] * 7 + [VALID, TEST, TEST, TRAIN, TRAIN]
    assert [int(split.node_role[node]) for node in order] == expected
    assert all(torch.equal(split.of(role), torch.arange(26)) for role in ROLES)


@pytest.mark.parametrize("protocol", ["chronological", "interleaved", "transductive"])
def test_too_short_a_series_is_refused(protocol: str) -> None:
    assert len(forecasts(panel_of(14), 4, 1, protocol).start) == 10
    with pytest.raises(UserError, match="wanted at least 10 windows of 4 steps with a target 2 steps later - 14 steps make 9"):
        forecasts(panel_of(14), 4, 2, protocol)
    with pytest.raises(UserError, match="3 steps make 0"):
        forecasts(panel_of(3), 4, 2, protocol)


def test_too_few_nodes_to_be_split_are_refused() -> None:
    assert sizes(forecasts(panel_of(20, 10), 4, 1, "transductive").node_role) == [7, 1, 2]
    with pytest.raises(UserError, match="wanted at least 10 nodes, to be split 7:1:2 - got 9"):
        forecasts(panel_of(20, 9), 4, 1, "transductive")
