"""The workload as the verbs see it: every family is built from plain settings, predicts for a batch and learns; what it learns counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.output import Output
from stillhouse.space.blueprint import full, groups_of
from stillhouse.training.fit import FitSettings, fit, fit_best
from stillhouse.training.precision import mixed
from stillhouse.training.score import score
from stillhouse.workloads.graphs.temporal import WORKLOAD
from stillhouse.workloads.graphs.temporal.batch import Batch

INCOME = Path(__file__).parents[4] / "data" / "raw" / "us-income.json"
YEARS = {"read": {"rows": "nodes", "columns": "[0-9]+"}, "window": 6, "log": True}
FAMILIES: list[dict[str, Any]] = [
    {"family": "time_then_graph", "width": 6, "edges": "gru", "join": "concatenate", "activation": "softplus", "anchor": "none"},
    {"family": "time_then_graph", "width": 6, "convolution": "gine"},
    {"family": "time_then_graph", "width": 6, "nodes": "series", "edges": "series", "convolution": "gine", "join": "residual"},
    {"family": "time_then_graph", "width": 6, "nodes": "lstm", "edges": "attention", "convolution": "sum", "anchor": "last"},
    {"family": "evolvegcn_h", "width": 6},
    {"family": "evolvegcn_o", "width": 6},
    {"family": "gcrn", "width": 6},
    {"family": "dcrnn", "width": 6, "anchor": "mean"},
    {"family": "graph_then_time", "width": 6},
]
families = pytest.mark.parametrize("block", FAMILIES, ids=lambda block: block["family"])


def data_of(raw: Path, folder: Path, prepare: dict[str, Any] | None = None, data: dict[str, Any] | None = None) -> Data[Batch]:
    """As the verbs get it."""
    WORKLOAD.prepare(WORKLOAD.prepare_settings(**prepare or {}), raw, folder, torch.Generator().manual_seed(0))
    return WORKLOAD.load(WORKLOAD.data_settings(**data or {}), folder, test=True)


def generated(folder: Path, **generator: Any) -> Path:
    """A file that points to a generator."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "raw.json").write_text(json.dumps(generator))
    return folder / "raw.json"


def model_of(block: dict[str, Any], data: Data[Batch], seed: int = 0) -> nn.Module:
    """As read from params.yaml."""
    torch.manual_seed(seed)
    return WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(block), data.sizes, None)


def some_data(kind: str, folder: Path) -> Data[Batch]:
    """Values of nodes where edges change or stay, or classes of graphs."""
    if kind == "static":
        return data_of(INCOME, folder / "out", YEARS, {"batch_size": 20})
    if kind == "changing":
        raw = generated(folder, generator="planted", nodes=10, steps=40)
        return data_of(raw, folder / "out", {"window": 5, "scale": "standard"}, {"absolute": True})
    return data_of(generated(folder, generator="dyncsl", samples=20, steps=4, random_marks=True), folder / "out")


def taught(model: nn.Module, data: Data[Batch], **settings: Any) -> nn.Module:
    """With the weights of the best epoch."""
    chosen = FitSettings(clip_value=1.0, **settings)
    epochs = fit(
        model, lambda batch: WORKLOAD.loss(WORKLOAD.apply(model, batch), batch), data.train, chosen, torch.Generator().manual_seed(0)
    )
    fit_best(model, epochs, chosen, lambda: score(WORKLOAD, model, data.valid), lambda record: None)
    return model


@families
@pytest.mark.parametrize("kind", ["static", "changing", "classes"])
def test_every_family_predicts_learns_and_is_scored(tmp_path: Path, block: dict[str, Any], kind: str) -> None:
    data = some_data(kind, tmp_path)
    assert data.test is not None
    model = model_of(block, data)
    batch = next(data.train.draw(torch.Generator().manual_seed(0)))
    shape = (batch.windows, 4) if kind == "classes" else (len(batch.history), 1)
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(30):
        output = WORKLOAD.apply(model, batch)
        assert output.prediction.shape == shape
        value = WORKLOAD.loss(output, batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert min(losses[-3:]) < 0.97 * losses[0]
    metrics = score(WORKLOAD, model, data.test)
    assert list(metrics) == (["accuracy"] if kind == "classes" else ["skill", "mae", "rmse", "mape_scaled"])
    assert torch.tensor(list(metrics.values())).isfinite().all()
    static = WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(block), data.sizes, full(groups_of(model)))
    static.load_state_dict(model.state_dict())
    assert torch.equal(*(WORKLOAD.apply(one.eval(), batch).prediction for one in (model, static)))


@families
def test_every_family_runs_in_mixed_precision(tmp_path: Path, block: dict[str, Any]) -> None:
    data = some_data("changing", tmp_path)
    model, batch = model_of(block, data), next(data.train.draw(torch.Generator().manual_seed(0)))
    plain = WORKLOAD.apply(model, batch).prediction
    with mixed(torch.device("cpu"), "bf16-mixed"):
        output = WORKLOAD.apply(model, batch)
        value = WORKLOAD.loss(output, batch)
    value.backward()
    assert (output.prediction - plain).abs().max() < 0.2
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize("kind", ["static", "changing", "classes"])
def test_a_perfect_prediction_scores_best(tmp_path: Path, kind: str) -> None:
    batches = list(some_data(kind, tmp_path).valid.draw(torch.Generator()))
    rng = torch.Generator().manual_seed(0)

    def scored(noise: float) -> Metrics:
        return WORKLOAD.score((predict(batch, noise), batch) for batch in batches)

    def predict(batch: Batch, noise: float) -> Output:
        right: Tensor = nn.functional.one_hot(batch.target, 4).float() if kind == "classes" else batch.target
        return Output(right + noise * torch.randn(right.shape, generator=rng), "classes" if kind == "classes" else "values")

    best, other = scored(0.0), scored(100.0)
    assert next(iter(best.values())) == 1.0
    assert next(iter(other.values())) < 1.0
    assert {value for name, value in best.items() if name not in ("skill", "accuracy")} <= {0.0}
    assert WORKLOAD.higher_is_better


def test_an_unknown_family_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValidationError, match=r"'dcrnn', 'evolvegcn_h'.*'gcrn', 'graph_then_time', 'module', 'time_then_graph'"):
        TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "tgn"})


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> tuple[Data[Batch], Data[Batch]]:
    """Circular skip links: 160 graphs, and 100 others."""
    folder = tmp_path_factory.mktemp("links")
    first, other = (
        data_of(
            generated(folder / f"{seed}", generator="dyncsl", samples=samples, seed=seed), folder / f"{seed}/out", None, {"batch_size": 8}
        )
        for seed, samples in ((1, 160), (2, 100))
    )
    return first, other


@pytest.mark.parametrize(("convolution", "activation", "epochs"), [("sum", "tanh", 12), ("gine", "softplus", 6)])
def test_it_tells_circular_skip_links_apart(links: tuple[Data[Batch], Data[Batch]], convolution: str, activation: str, epochs: int) -> None:
    """Trained on 112 graphs; `sum` is the stripped form of the published network."""
    block = {"family": "time_then_graph", "edges": "gru", "convolution": convolution, "join": "none", "activation": activation}
    model = taught(model_of(block, links[0]), links[0], epochs=epochs, learning_rate=1e-2)
    assert score(WORKLOAD, model, links[1].train)["accuracy"] > 0.95


def test_a_network_that_mixes_snapshots_first_cannot(links: tuple[Data[Batch], Data[Batch]]) -> None:
    """Every class is met as often as the others, so a constant prediction is right in a quarter; 0.15 is three standard errors of 70."""
    block = {"family": "graph_then_time", "normalize": False, "activation": "tanh"}
    model = taught(model_of(block, links[0]), links[0], epochs=8, learning_rate=1e-2)
    assert abs(score(WORKLOAD, model, links[1].train)["accuracy"] - 0.25) < 0.15
    predictions = torch.cat([WORKLOAD.apply(model, batch).prediction for batch in links[1].train.draw(torch.Generator())])
    assert (predictions - predictions[0]).abs().max() < 1e-4


def test_it_beats_the_last_value_on_the_incomes_of_states(tmp_path: Path) -> None:
    data = data_of(INCOME, tmp_path, YEARS, {"batch_size": 8})
    assert data.test is not None
    block = {"family": "time_then_graph", "convolution": "gine", "anchor": "last"}
    model = taught(model_of(block, data), data, epochs=20, learning_rate=5e-3, schedule="cosine")
    metrics = score(WORKLOAD, model, data.test)
    assert metrics["skill"] > 0.1
    repeated = WORKLOAD.score((Output(batch.last, "values"), batch) for batch in data.test.draw(torch.Generator()))
    assert repeated["skill"] == pytest.approx(0, abs=1e-6)
    assert metrics["mae"] < repeated["mae"]


def test_classes_of_graphs_that_begin_late(tmp_path: Path) -> None:
    """Graphs end together: before its beginning a graph has zeros for values and no edges."""
    raw = generated(tmp_path, generator="dyncsl", samples=40, unequal=True)
    data = data_of(raw, tmp_path / "out", None, {"evaluation_batch_size": 4})
    assert data.test is not None
    batch = next(data.test.draw(torch.Generator()))
    begins = (batch.history[..., 0] == 0).sum(1)
    assert data.sizes["steps"] == batch.steps == 16
    assert begins.unique().numel() > 1
    for step in range(batch.steps):
        (source, _), _ = batch.at(step)
        assert len(source) == 4 * int((begins <= step).sum())
    model = model_of({"family": "time_then_graph", "convolution": "gine"}, data)
    assert WORKLOAD.apply(model, batch).prediction.isfinite().all()
