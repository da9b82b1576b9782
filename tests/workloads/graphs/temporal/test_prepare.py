"""What is written: scales of what training may see, the same bytes every time, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs.temporal.prepare import PrepareSettings, prepare
from tests.workloads.graphs.temporal.raws import Raw, one_graph, several_graphs

STEPS, WINDOW, HORIZON = 30, 4, 2
TRAINING = 22
"""Of 25 windows 17 train: they see the steps 0 to 19 and are asked about those up to 21."""
GRAPHS = [(3 + number % 4, 5 + number % 3) for number in range(20)]


def prepared(raw: Path, folder: Path, **settings: Any) -> dict[str, Any]:
    """All columns and facts that are written."""
    block = PrepareSettings.model_validate(settings)
    facts = prepare(block, raw, folder, torch.Generator().manual_seed(0))
    tables = {path.stem: read_parquet(path) for path in folder.glob("*.parquet")}
    return {"metrics": facts, "facts": read_json(folder / "facts.json"), **tables}


def forecast(raw: Raw, folder: Path, **settings: Any) -> dict[str, Any]:
    return prepared(raw.write(folder / "raw"), folder / "out", window=WINDOW, horizon=HORIZON, **settings)


def table(raw: Raw, name: str = "x") -> Tensor:
    """(nodes, steps)"""
    return raw.series[name].view(-1, STEPS)


def scaled(result: dict[str, Any]) -> Tensor:
    """(nodes, steps, channels)"""
    values: Tensor = result["features"]["values"].double()
    return values.view(len(values), result["facts"]["steps"], -1)


@pytest.mark.parametrize("static", [False, True])
def test_the_same_bytes_every_time(tmp_path: Path, static: bool) -> None:
    for name, raw, settings in (
        ("one", one_graph(0, static=static), {"window": WINDOW, "split": "transductive"}),
        ("many", several_graphs(0, GRAPHS, static=static), {}),
    ):
        folder, written = raw.write(tmp_path / name), []
        for number in range(2):
            prepared(folder, tmp_path / name / str(number), **raw.settings(**settings))
            written.append({path.name: path.read_bytes() for path in (tmp_path / name / str(number)).iterdir()})
        assert written[0] == written[1]
        assert set(written[0]) - {"labels.parquet"} == {
            "events.parquet", "facts.json", "features.parquet", "nodes.parquet", "windows.parquet"
        }  # fmt: skip


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("scale", ["minmax", "standard"])
def test_values_are_scaled_by_what_training_sees(tmp_path: Path, scale: str, log: bool) -> None:
    raw = one_graph(1)
    result = forecast(raw, tmp_path, scale=scale, log=log)
    for channel, name in enumerate("xy"):
        values = table(raw, name).log1p() if log else table(raw, name)
        seen = values[:, :TRAINING]
        low, span = (seen.min(), seen.max() - seen.min()) if scale == "minmax" else (seen.mean(), seen.std())
        assert result["facts"]["offset"][channel] == pytest.approx(low.item(), rel=1e-12)
        assert result["facts"]["span"][channel] == pytest.approx(span.item(), rel=1e-12)
        assert torch.allclose(scaled(result)[..., channel], (values - low) / span, atol=1e-6)


@pytest.mark.parametrize("scale", ["minmax", "standard"])
def test_what_happens_after_training_changes_no_scale(tmp_path: Path, scale: str) -> None:
    raw, other = one_graph(2), one_graph(2)
    late = other.series["step"] >= TRAINING
    other.series["x"] = torch.where(late, 100 * other.series["x"] + 7, other.series["x"])
    later = other.edges["step"] >= TRAINING
    other.edges["weight"] = torch.where(later, 50 * other.edges["weight"], other.edges["weight"])
    first, second = (forecast(one, tmp_path / name, scale=scale) for name, one in (("a", raw), ("b", other)))
    assert {key: first["facts"][key] for key in ("offset", "span")} == {key: second["facts"][key] for key in ("offset", "span")}
    assert torch.equal(scaled(first)[:, :TRAINING], scaled(second)[:, :TRAINING])
    assert not torch.equal(scaled(first)[:, TRAINING:], scaled(second)[:, TRAINING:])
    known = first["events"]["step"] < TRAINING
    assert torch.equal(first["events"]["weight"][known], second["events"]["weight"][known])
    other.series["x"][raw.series["step"] == TRAINING - 1] += 100
    assert forecast(other, tmp_path / "c", scale=scale)["facts"]["offset"] != first["facts"]["offset"] or scale == "minmax"
    assert read_json(tmp_path / "c/out/facts.json")["span"] != first["facts"]["span"]


def test_where_nodes_are_split_scales_are_of_training_nodes(tmp_path: Path) -> None:
    raw = one_graph(3)
    result = forecast(raw, tmp_path, split="transductive")
    role = result["nodes"]["role"]
    assert torch.bincount(role).tolist() == [9, 1, 2]
    seen = table(raw)[role == 0]
    assert result["facts"]["offset"][0] == pytest.approx(seen.min().item())
    assert result["facts"]["span"][0] == pytest.approx((seen.max() - seen.min()).item())


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("edge_scale", ["minmax", "log", "none"])
def test_weights_of_edges(tmp_path: Path, edge_scale: str, static: bool) -> None:
    raw = one_graph(4, static=static)
    raw.edges["weight"][-1] = 0.0  # where edges change, below the least that training sees
    result = forecast(raw, tmp_path, edge_scale=edge_scale)["events"]
    order = torch.argsort(result["step"] * 1000 + result["source"] * 20 + result["target"])
    assert torch.equal(order, torch.arange(len(order)))
    given = raw.edges["weight"]
    seen = given if static else given[raw.edges["step"] < TRAINING]
    if edge_scale == "log":
        given, seen = given.log1p(), seen.log1p()
    expected = given if edge_scale == "none" else ((given - seen.min()) / (seen.max() - seen.min())).clamp_min(0)
    assert torch.allclose(result["weight"].double(), expected, atol=1e-6)
    assert torch.equal(result["source"], raw.edges["source"])


def test_equal_weights_are_ones_and_constant_channels_zeros(tmp_path: Path) -> None:
    raw = one_graph(5)
    raw.edges["weight"] = torch.full_like(raw.edges["weight"], 0.3)
    raw.series["y"] = torch.full_like(raw.series["y"], 4.0)
    result = forecast(raw, tmp_path)
    assert set(result["events"]["weight"].tolist()) == {1.0}
    assert not scaled(result)[..., 1].any()
    assert result["facts"]["offset"][1] == 4.0
    assert result["facts"]["span"][1] == 1.0


def test_graphs_with_classes_are_whole_windows(tmp_path: Path) -> None:
    raw = several_graphs(6, GRAPHS)
    result = prepared(raw.write(tmp_path / "raw"), tmp_path / "out", **raw.settings(window=4, scale="standard"))
    assert result["windows"]["graph"].tolist() == list(range(20))
    assert result["windows"]["start"].tolist() == [3] * 20
    assert torch.bincount(result["windows"]["role"]).tolist() == [14, 2, 4]
    assert result["labels"]["label"].tolist() == [number % 3 for number in range(20)]
    assert (result["facts"]["offset"], result["facts"]["span"]) == ([0.0, 0.0], [1.0, 1.0])
    assert result["facts"]["classes"] == 3
    assert result["facts"]["window"] == 4
    longer = prepared(raw.write(tmp_path / "raw"), tmp_path / "longer", **raw.settings(window=99))
    assert longer["facts"]["window"] == longer["facts"]["steps"] == 7
    assert longer["windows"]["start"].tolist() == [0] * 20


def test_weights_of_graphs_with_classes_are_scaled_by_training_graphs(tmp_path: Path) -> None:
    raw = several_graphs(7, GRAPHS)
    nodes = sum(nodes for nodes, _ in GRAPHS[:14])
    seen = raw.edges["weight"][raw.edges["source"] < nodes]
    raw.edges["weight"][raw.edges["source"] >= nodes] *= 10
    result = prepared(raw.write(tmp_path / "raw"), tmp_path / "out", **raw.settings())["events"]["weight"]
    assert result.max() > 2
    expected = (raw.edges["weight"] - seen.min()) / (seen.max() - seen.min())
    assert result.max().item() == pytest.approx(expected.max().item(), rel=1e-6)


def test_the_facts(tmp_path: Path) -> None:
    raw = one_graph(8)
    result = forecast(raw, tmp_path, targets=2, log=True)
    metrics = {"nodes": 12, "steps": STEPS, "events": len(raw.edges["step"]), "windows": 25}
    assert result["metrics"] == metrics
    expected = {"channels": ["x", "y"], "targets": 2, "horizon": HORIZON, "window": WINDOW, "classes": 0, "log": True}
    expected |= metrics | {"static": False, "split_nodes": False}
    assert {name: value for name, value in result["facts"].items() if name not in ("offset", "span", "edge_scale")} == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"prepare\.window - wanted the number of steps that a model sees - got none"),
        ({"window": 22}, r"wanted at least 10 windows of 22 steps with a target 1 steps later - 30 steps make 8"),
        ({"window": 4, "targets": 3}, r"prepare\.targets - wanted at most the 2 channels \['x', 'y'\] - got 3"),
    ],
)
def test_what_makes_no_windows_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(one_graph(9).write(tmp_path / "raw"), tmp_path / "out", **settings)


@pytest.mark.parametrize("several", [False, True])
def test_values_without_a_logarithm_are_refused(tmp_path: Path, several: bool) -> None:
    raw = several_graphs(10, GRAPHS) if several else one_graph(10)
    raw.series["x"][5] = -1.5
    with pytest.raises(UserError, match=r"prepare\.log - wanted values above -1, of which log\(1 \+ x\) exists - got -1\.5"):
        prepared(raw.write(tmp_path / "raw"), tmp_path / "out", **raw.settings(window=4, log=True))


def test_several_graphs_without_classes_are_refused(tmp_path: Path) -> None:
    folder = several_graphs(11, GRAPHS).write(tmp_path / "raw")
    with pytest.raises(UserError, match="a forecast is made for one graph - got 20 graphs without classes"):
        prepared(folder, tmp_path / "out", window=4)


def test_too_few_graphs_are_refused(tmp_path: Path) -> None:
    raw = several_graphs(12, GRAPHS[:9])
    with pytest.raises(UserError, match="wanted at least 10 graphs with classes, to be split 7:1:2 - got 9"):
        prepared(raw.write(tmp_path / "raw"), tmp_path / "out", **raw.settings())


def test_graphs_of_one_class_are_refused(tmp_path: Path) -> None:
    raw = several_graphs(12, GRAPHS)
    raw.labels["label"] = torch.zeros_like(raw.labels["label"])
    with pytest.raises(UserError, match="wanted graphs of two classes at least - all are of one"):
        prepared(raw.write(tmp_path / "raw"), tmp_path / "out", **raw.settings())


def test_edges_that_training_never_sees_have_no_scale(tmp_path: Path) -> None:
    raw = one_graph(13)
    late = raw.edges["step"] >= TRAINING
    raw.edges = {name: column[late] for name, column in raw.edges.items()}
    with pytest.raises(
        UserError, match=rf"prepare\.edge_scale - wanted an edge that training sees, .* - all {int(late.sum())} are elsewhere"
    ):
        forecast(raw, tmp_path)
    assert len(forecast(raw, tmp_path / "unscaled", edge_scale="none")["events"]["step"]) == int(late.sum())


def test_a_graph_without_edges(tmp_path: Path) -> None:
    raw = one_graph(14, density=0.0)
    assert forecast(raw, tmp_path)["metrics"]["events"] == 0


def test_a_generator_is_raw_data_too(tmp_path: Path) -> None:
    (tmp_path / "raw.json").write_text(json.dumps({"generator": "dyncsl", "samples": 20, "steps": 4}))
    result = prepared(tmp_path / "raw.json", tmp_path / "out")
    assert result["metrics"] == {"nodes": 380.0, "steps": 4.0, "events": 20 * 4 * 76.0, "windows": 20.0}
