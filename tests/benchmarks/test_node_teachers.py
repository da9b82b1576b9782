"""Teachers and students of nodes that are chosen among several: on validation, on one split, and measured on all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmarks import _cells, _students, graph_free, node_teachers, published_teachers
from benchmarks._cells import Cell
from benchmarks._node_sets import Drawn, NodeSet, drawn_by_class

RING = {"metric": "accuracy", "tried_on": 1, "prepare": {}, "model": {}, "fit": {}, "short": {}}


@pytest.fixture
def by_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Measured cells: the wider a network, the better on the test; on validation one of 4 is best, or of 5 if the split is odd."""
    seen: list[Cell] = []

    def measured(workload: Any, cell: Cell, entry: Any) -> dict[str, float]:
        seen.append(cell)
        block = cell.settings["student"]
        width = (block["search"]["model"] if block else cell.settings["teach"]["model"])["hidden"]
        return {"valid": -abs(width - 4 - cell.seed % 2), "accuracy": width + 100.0 * cell.seed}

    monkeypatch.setattr(_students, "measured", measured)
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    return seen


def test_a_teacher_is_chosen_on_validation_and_measured_on_every_split(by_width: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = [["gcn", width, 2, 0.5, 0.01, "none", False] for width in (2, 4, 8)]
    ring = {**RING, "splits": 3, "candidates": candidates}
    monkeypatch.setitem(node_teachers.settings, "sets", {"ring": ring})
    rows = list(node_teachers.run(Path()))
    assert [row["mean"] for row in rows if row["metric"] == "tried"] == [-2, 0, -4]
    (chosen,) = [row for row in rows if row["metric"] == "accuracy"]
    assert (chosen["method"], chosen["mean"], chosen["seeds"]) == ("gcn, 2 of 4, dropout 0.5, rate 0.01", 104, 3)
    assert len(by_width) == 5, "a split on which it was chosen is measured once"


def test_the_best_of_a_short_training_are_tried_in_a_longer_one(by_width: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = [["gcn", width, 2, 0.5, 0.01, "none", False] for width in (8, 2, 5, 4)]
    ring = {**RING, "splits": 1, "short": {"epochs": 1}, "candidates": candidates}
    monkeypatch.setitem(node_teachers.settings, "sets", {"ring": ring})
    rows = list(node_teachers.run(Path()))
    assert [row["mean"] for row in rows if row["metric"] == "tried_shortly"] == [-4, -2, -1, 0]
    assert [row["mean"] for row in rows if row["metric"] == "tried"] == [0, -1, -2], "the best first"
    assert [cell.settings["teach"]["fit"].get("epochs") for cell in by_width] == [1] * 4 + [None] * 3


def test_candidates_tried_on_several_splits_are_compared_by_their_mean(by_width: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = [["gcn", width, 2, 0.5, 0.01, "none", False] for width in (3, 7, 5)]
    ring = {**RING, "splits": 2, "tried_on": 2, "candidates": candidates}
    monkeypatch.setitem(node_teachers.settings, "sets", {"ring": ring})
    rows = list(node_teachers.run(Path()))
    assert [(row["mean"], row["seeds"]) for row in rows if row["metric"] == "tried"] == [(-1.5, 2), (-2.5, 2), (-0.5, 2)]
    (chosen,) = [row for row in rows if row["metric"] == "accuracy"]
    assert chosen["method"].startswith("gcn, 2 of 5,"), "on the first split alone it is level with one of 3"
    assert len(by_width) == 6, "what a candidate was tried on is measured once"


def test_teacher_and_width_of_a_student_are_chosen_on_validation(by_width: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_free, "costs", lambda title, whole, folder, widths: [_cells.row(title, "costs", "widths", list(widths))])
    monkeypatch.setattr(graph_free, "read", lambda prepared: None)
    teachers = {str(width): {"model": {"hidden": width}} for width in (9, 5, 4)}
    monkeypatch.setitem(graph_free.settings, "teachers", teachers)
    monkeypatch.setitem(graph_free.settings, "widths", [2, 5, 8])
    monkeypatch.setitem(graph_free.settings, "splits", 2)
    rows = {(row["method"], row["metric"]): row["mean"] for row in graph_free.run(Path())}
    assert [rows[f"teacher, {width}", "tried"] for width in (9, 5, 4)] == [-5, -1, 0]
    assert [rows[f"glnn of {width}", "tried"] for width in (2, 5, 8)] == [-2, -1, -4]
    assert rows["costs", "widths"] == (4 + 5) / 2
    assert {rows[method, "accuracy"] for method in ("mlp", "glnn", "vqgraph")} == {55}
    assert rows["glnn", "accuracy_gain"] == 5 - 4


def test_drawn_splits_have_so_many_of_each_class_and_depend_on_their_number() -> None:
    label = np.array([0] * 5 + [1] * 15)
    graph = Drawn(NodeSet("ring", "graphs", 2), train=3, valid=6, test=5)
    places = [np.array(graph._places(pa.table({"label": label}), seed)) for seed in (0, 1)]
    for found in places:
        assert [int((found[label == each] == 0).sum()) for each in (0, 1)] == [3, 3]
        assert [int((found == place).sum()) for place in (-1, 0, 1, 2)] == [3, 6, 6, 5]
    assert (places[0] != places[1]).any()


def test_splits_drawn_class_by_class_follow_the_generator_as_the_study_does() -> None:
    label = np.array([1, 0] * 10)
    found = np.array(drawn_by_class(label, train=3, valid=6, test=5, seed=123))
    rng = torch.Generator().manual_seed(123)
    orders = [np.flatnonzero(label == each)[torch.randperm(10, generator=rng).numpy()] for each in (0, 1)]
    others = np.concatenate([order[3:] for order in orders])[torch.randperm(14, generator=rng).numpy()]
    assert set(np.flatnonzero(found == 0)) == {*orders[0][:3], *orders[1][:3]}
    assert set(np.flatnonzero(found == 1)) == set(others[:6])
    assert set(np.flatnonzero(found == 2)) == set(others[6:11])
    assert int((found == -1).sum()) == 3


def test_what_is_interrupted_has_a_seed_of_every_network(by_width: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(published_teachers.settings, "measured", [["cora, 3 of 512", "theirs", 3], ["cora, 3 of 64", "drawn", 2]])
    monkeypatch.setattr(published_teachers, "ridges", lambda data: {"theirs": [0.5], "drawn": [0.25, 0.75, 0.5, 0.25]})
    rows = published_teachers.run(Path())
    assert [cell.seed for cell in by_width] == [0, 0, 1, 1, 2]
    means = {row["method"]: (row["mean"], row["seeds"]) for row in rows if row["metric"] == "accuracy"}
    assert means.pop("ridge, the study's split") == (0.5, 1)
    assert means.pop("ridge, other splits") == (0.4375, 4)
    assert [row["mean"] for row in rows if row["metric"] == "above"] == [0.5, 0.3125]
    assert means == {"gcn, 3 of 512, the study's split": (612, 3), "gcn, 3 of 64, other splits": (114, 2)}


def test_a_ridge_regression_tells_separate_classes_apart() -> None:
    label = torch.arange(12) % 3
    exact = torch.nn.functional.one_hot(label).double() * 9
    split = torch.tensor([0] * 6 + [2] * 6)
    assert published_teachers._ridge(exact, label, split) == 1
    assert published_teachers._ridge(exact, label.where(split == 0, (label + 1) % 3), split) == 0
