"""Batches cut in bulk against windows cut one after the other, and the limit of edge histories."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.contracts.data import Data
from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.batch import ABSENT, Batch
from stillhouse.workloads.graphs.temporal.panel import Panel
from stillhouse.workloads.graphs.temporal.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.temporal.read import read
from stillhouse.workloads.graphs.temporal.sample import DataSettings, Tables, load
from stillhouse.workloads.graphs.temporal.split import TEST, TRAIN, VALID
from tests.workloads.graphs.temporal.raws import Raw, one_graph, several_graphs

WINDOW, HORIZON = 4, 2
ROLES = (TRAIN, VALID, TEST)
Window = tuple[int, int]
"""A graph and its first step."""


@dataclass
class Case:
    """What was prepared, the panel it was made of, and where it lies."""

    panel: Panel
    tables: Tables
    folder: Path


def case_of(raw: Raw, folder: Path, data: dict[str, Any] | None = None, **others: Any) -> Case:
    """Weights of edges as they are."""
    block = PrepareSettings.model_validate(raw.settings(window=WINDOW, horizon=HORIZON, edge_scale="none", **others))
    prepare(block, raw.write(folder / "raw"), folder / "out", torch.Generator())
    return Case(read(folder / "raw", block.read), Tables.of(DataSettings(**data or {}), folder / "out"), folder / "out")


def window_of(case: Case, number: int) -> Window:
    split = case.tables.split
    return int(split.graph[number]), int(split.start[number])


def naive_nodes(case: Case, windows: Iterable[Window]) -> list[tuple[int, int]]:
    """Which window each node of a batch is in, and which node of the panel it is."""
    owner = case.panel.graph.tolist()
    return [(place, node) for place, (graph, _) in enumerate(windows) for node in range(len(owner)) if owner[node] == graph]


def naive_edges(case: Case, windows: list[Window]) -> dict[tuple[int, int], list[float]]:
    """The history of every pair of nodes of the batch."""
    number = {which: position for position, which in enumerate(naive_nodes(case, windows))}
    panel, found = case.panel, dict[tuple[int, int], list[float]]()
    events = list(zip(*(column.tolist() for column in (panel.step, panel.source, panel.target, panel.weight.float())), strict=True))
    for place, (_, start) in enumerate(windows):
        for step, source, target, weight in events:
            ends = number.get((place, source)), number.get((place, target))
            if None in ends or not (panel.static or start <= step < start + WINDOW):
                continue
            series = found.setdefault(ends, [ABSENT] * WINDOW)
            for seen in range(WINDOW) if panel.static else [step - start]:
                series[seen] = weight
    return found


def check(case: Case, batch: Batch, numbers: list[int], role: int) -> None:
    """The batch is these windows."""
    windows, facts = [window_of(case, number) for number in numbers], case.tables.facts
    nodes = naive_nodes(case, windows)
    scaled = ((case.panel.features - torch.tensor(facts["offset"])) / torch.tensor(facts["span"])).float()
    assert batch.window.tolist() == [place for place, _ in nodes]
    assert batch.windows == len(windows)
    starts = [start for _, start in windows]
    history = torch.stack([scaled[node, starts[place] : starts[place] + WINDOW] for place, node in nodes])
    assert torch.allclose(batch.history, history, atol=1e-6)
    roles = case.tables.split.node_role
    assert batch.asked.tolist() == [roles is None or int(roles[node]) == role for _, node in nodes]
    if case.panel.labels is not None:
        assert batch.target.tolist() == [int(case.panel.labels[graph]) for graph, _ in windows]
        assert batch.last.shape == (len(nodes), 0)
    else:
        target = torch.stack([scaled[node, starts[place] + WINDOW - 1 + HORIZON, : facts["targets"]] for place, node in nodes])
        assert torch.allclose(batch.target, target, atol=1e-6)
        assert torch.allclose(batch.last, history[:, -1, : facts["targets"]], atol=1e-6)
    check_edges(batch, naive_edges(case, windows))


def check_edges(batch: Batch, expected: dict[tuple[int, int], list[float]]) -> None:
    """These pairs, each once and sorted, with these histories; and every event of a step once."""
    pairs = [tuple(pair) for pair in batch.edges.T.tolist()]
    assert pairs == (list(expected) if batch.static else sorted(expected))
    assert dict(zip(pairs, batch.edge_history().tolist(), strict=True)) == expected
    for step in range(WINDOW):
        edges, weight = batch.at(step)
        present = {pair: series[step] for pair, series in expected.items() if series[step] != ABSENT}
        assert len(weight) == len(present)
        assert dict(zip(map(tuple, edges.T.tolist()), weight.tolist(), strict=True)) == present


FORECASTS = [{"split": "chronological"}, {"split": "interleaved", "targets": 2}, {"split": "transductive"}]


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("others", FORECASTS, ids=lambda each: each["split"])
def test_windows_of_one_graph(tmp_path: Path, others: dict[str, Any], static: bool) -> None:
    case, rng = case_of(one_graph(1, static=static), tmp_path, **others), torch.Generator().manual_seed(0)
    count = len(case.tables.split.start)
    assert count == 25
    for role in ROLES:
        numbers = torch.randperm(count, generator=rng)[:5]
        check(case, case.tables.batch(numbers, role), numbers.tolist(), role)


@pytest.mark.parametrize("static", [False, True])
def test_several_graphs_of_unequal_lengths(tmp_path: Path, static: bool) -> None:
    sizes = [(2 + number % 5, 3 + number % 4) for number in range(12)]
    case = case_of(several_graphs(2, sizes, static=static), tmp_path)
    for numbers in (torch.arange(12), torch.tensor([7]), torch.tensor([3, 11, 0, 3])):
        check(case, case.tables.batch(numbers, TRAIN), numbers.tolist(), TRAIN)
    short = case.tables.batch(torch.tensor([0]), TRAIN)
    assert not short.history[:, 0].any()
    assert static or len(short.at(0)[1]) == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1000), st.integers(2, 9), st.floats(0, 0.5), st.booleans(), st.data())
def test_any_windows_of_any_graph(tmp_path: Path, seed: int, nodes: int, density: float, static: bool, data: st.DataObject) -> None:
    case = case_of(one_graph(seed, nodes, 16, static=static, density=density), tmp_path)
    numbers = data.draw(st.lists(st.integers(0, 10), min_size=1, max_size=4))
    check(case, case.tables.batch(torch.tensor(numbers), TRAIN), numbers, TRAIN)


def test_a_pass_of_training_has_every_window_once_in_an_order_of_its_seed(tmp_path: Path) -> None:
    case = case_of(one_graph(3), tmp_path)
    data = load(DataSettings(batch_size=5, evaluation_batch_size=2, absolute=True), case.folder)
    assert (data.train.length, data.valid.length, data.test) == (4, 2, None)
    first, again, other = (order_of(case, data, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(first) == sorted(other) == list(range(17))
    assert all(batch.absolute for batch in data.train.draw(torch.Generator()))


def order_of(case: Case, data: Data[Batch], seed: int) -> list[int]:
    """The numbers of windows, found by the targets of their first node."""
    batches = list(data.train.draw(torch.Generator().manual_seed(seed)))
    assert [batch.windows for batch in batches] == [5, 5, 5, 2]
    targets = torch.cat([batch.target.view(batch.windows, -1)[:, 0] for batch in batches])
    series = case.tables.features[0, :, 0]
    return [int((series == target).nonzero()) - WINDOW + 1 - HORIZON for target in targets]


def test_validation_and_test_are_in_the_order_of_time(tmp_path: Path) -> None:
    case = case_of(one_graph(4), tmp_path)
    data = load(DataSettings(evaluation_batch_size=2), case.folder, test=True)
    assert data.test is not None
    for batches, role, sizes in ((data.valid, VALID, [2, 1]), (data.test, TEST, [2, 2, 1])):
        numbers = case.tables.split.of(role).tolist()
        drawn = list(batches.draw(torch.Generator().manual_seed(9)))
        assert [batch.windows for batch in drawn] == sizes
        assert batches.length == len(sizes)
        for place, batch in enumerate(drawn):
            check(case, batch, numbers[2 * place : 2 * place + 2], role)


def test_nodes_that_are_asked_about_are_disjoint(tmp_path: Path) -> None:
    data = load(DataSettings(), case_of(one_graph(5), tmp_path, split="transductive").folder, test=True)
    assert data.test is not None
    masks = [next(batches.draw(torch.Generator())).asked.view(-1, 12)[0].long() for batches in (data.train, data.valid, data.test)]
    assert (sum(masks) == 1).all()
    assert [int(mask.sum()) for mask in masks] == [9, 1, 2]


@pytest.mark.parametrize("log", [False, True])
def test_predictions_come_back_to_the_units_of_the_data(tmp_path: Path, log: bool) -> None:
    case = case_of(one_graph(6), tmp_path, targets=2, log=log, scale="standard")
    batch = case.tables.batch(torch.tensor([3, 8]), TRAIN)
    raw = torch.cat([case.panel.features[:, start + WINDOW - 1 + HORIZON] for start in (3, 8)])
    assert torch.allclose(batch.raw(batch.target).double(), raw, atol=1e-4)


@pytest.mark.parametrize("static", [False, True])
def test_the_sizes(tmp_path: Path, static: bool) -> None:
    one = load(DataSettings(), case_of(one_graph(7, static=static), tmp_path / "one", targets=2).folder)
    assert one.sizes == {"channels": 2, "outputs": 2, "classes": 0, "steps": WINDOW, "static": int(static)}
    many = load(DataSettings(), case_of(several_graphs(7, [(3, 5)] * 12), tmp_path / "many").folder)
    assert many.sizes == {"channels": 2, "outputs": 1, "classes": 3, "steps": WINDOW, "static": 0}


def limited(folder: Path, limit: int) -> tuple[Case, Tensor, dict[tuple[int, int], list[float]]]:
    case = case_of(one_graph(8, nodes=6), folder, {"history_limit": limit})
    numbers = torch.tensor([2, 9, 14])
    return case, numbers, naive_edges(case, [window_of(case, number) for number in numbers.tolist()])


def test_beyond_the_limit_pairs_seen_once_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    _, _, every = limited(tmp_path / "a", 10**6)
    seen = Counter({pair: sum(value != ABSENT for value in series) for pair, series in every.items()})
    often = {pair: series for pair, series in every.items() if seen[pair] > 1}
    assert 0 < len(often) < len(every)
    enough, just = len(every) * WINDOW, len(often) * WINDOW
    case, numbers, _ = limited(tmp_path / "b", enough)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_edges(case.tables.batch(numbers, TRAIN), every)
    for limit in (enough - 1, just):
        case, numbers, _ = limited(tmp_path / f"{limit}", limit)
        sentence = f"edge histories of a batch are above {limit} values: {len(every) - len(often)} pairs seen once were left out"
        with pytest.warns(UserWarning, match=sentence):
            check_edges(case.tables.batch(numbers, TRAIN), often)
    case, numbers, _ = limited(tmp_path / "c", just - 1)
    wanted = rf"data\.history_limit - wanted edge histories of at most {just - 1} values in a batch"
    got = f"got {len(often)} pairs seen more than once x {WINDOW} steps: take fewer windows"
    with pytest.raises(UserError, match=f"{wanted} - {got}"):
        case.tables.batch(numbers, TRAIN)
