"""A network of one's own in each workload, those of the document: given or trained, searched, distilled, captured, and asked by a table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jaxtyping
import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from stillhouse import registry
from stillhouse.contracts.data import Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Workload
from stillhouse.runtimes.program import capture, probes
from stillhouse.stages.distill import distill
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.training import checkpoint, table
from stillhouse.training.given import digest
from stillhouse.workloads.graphs.knowledge.graph import Batch as KnowledgeBatch
from stillhouse.workloads.graphs.knowledge.graph import Graph, inverse
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from stillhouse.workloads.pictures.detect.plain import Plain, assign
from stillhouse.workloads.text.language.generate import Prompt
from tests.workloads.test_families import FOREIGN, made
from tests.workloads.verbs import Verbs

DATA: dict[str, dict[str, Any]] = {
    "knowledge": {"batch_size": 8, "batches": 1},
    "detect": {"batch_size": 8, "train_limit": 16, "evaluation_batch_size": 8},
    "queue": {},
    "static_nodes": {},
    "static_edges": {},
    "static_graphs": {},
    "text_classes": {"train_limit": 64},
    "language": {"context": 16, "train_limit": 64},
}
"""Workload -> its data settings."""
CPU = torch.device("cpu")
FIT = {"epochs": 1, "learning_rate": 1e-2}


def workload(name: str, folder: Path) -> tuple[Workload[Any], Path]:
    """With prepared data: of triples those of family diagrams, which are few."""
    part = registry.workload(name)
    if name != "knowledge":
        return part, made(name).prepared
    (folder / "raw.json").write_text('{"generator": "family_diagram_2", "depth": 3}')
    part.prepare(part.prepare_settings(), folder / "raw.json", folder / "prepared", torch.Generator().manual_seed(0))
    return part, folder / "prepared"


def project(name: str, folder: Path, given: Path | None) -> Verbs:
    """A params.yaml of a teacher, whose weights are given or else trained, and of its student."""
    weights = {"given": {"path": str(given), "sha256": digest(given)}} if given else {"fit": FIT}
    shared = {"workload": name}
    teach_it = {"model": {"family": "module", **FOREIGN[name, "module"]}, "data": DATA[name], **weights}
    budget = {"unit": "macs", "share": 0.5}
    student = {
        "search": {"method": "dms", "settings": {"fit": FIT}, "budget": budget, "data": DATA[name]},
        "distill": {"losses": [{"loss": "regression" if name == "detect" else "logits"}], "data": DATA[name], "fit": FIT},
        "evaluate": {},
    }
    raw = folder / "raw.json"
    raw.touch()
    teachers = {"own": {**shared, "raw": str(raw), "prepare": {}, "teach": teach_it}}
    settings = {"seed": 0, "threads": 1, "teachers": teachers, "students": {"half": {"teacher": "own", **shared, **student}}}
    file = folder / "params.yaml"
    file.write_text(json.dumps(settings))  # which is YAML too
    return Verbs(registry.workload(name), file, raw)


@pytest.mark.parametrize("name", DATA)
def test_it_is_trained_or_given_searched_distilled_captured_and_asked(name: str, tmp_path: Path) -> None:
    part, source = workload(name, tmp_path)
    if source.parent != tmp_path:
        (tmp_path / "prepared").symlink_to(source)
    trained = project(name, tmp_path, None).run(teach, "own", "prepared", "teacher")
    given = (tmp_path / "teacher").rename(tmp_path / "trained") / "model.safetensors"
    verbs = project(name, tmp_path, given)
    facts = verbs.run(teach, "own", "prepared", "teacher")
    assert {key: facts[key] for key in trained if key.startswith("valid_")} == pytest.approx(
        {key: value for key, value in trained.items() if key.startswith("valid_")}
    )
    found = verbs.run(search, "half", "prepared", "teacher", "found", part="method")
    assert 0 < found["cost"] <= found["budget"] == facts["macs"] / 2, "what it costs is agreed with the counter on the way"
    learned = verbs.run(distill, "half", "prepared", "teacher", "found", "student", part="losses")
    assert learned["macs"] == found["cost"]
    student = checkpoint.read_model(part, tmp_path / "student")
    answers(part, student, tmp_path / "student" / "context")
    data = part.load(part.data_settings(**DATA[name]), tmp_path / "prepared", test=True)
    leaves(part, student, data)


def answers(part: Workload[Any], student: nn.Module, context: Path) -> None:
    rows = part.table.example(context)
    found = pa.concat_tables(table.predictions(part.table, part, student, context, rows))
    assert found.num_rows == rows.num_rows


def leaves(part: Workload[Any], student: nn.Module, data: Data[Any]) -> None:
    """As a program of PyTorch, with the same answers for other batches, those of the test too, which may be of another graph.

    What checks shapes would leave its own guards in it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        program = capture(part, student, probes(data.train, data.valid, torch.Generator().manual_seed(0)))
    assert data.test
    for batches in (data.train, data.test):
        batch = next(batches.draw(torch.Generator().manual_seed(1)))
        with torch.no_grad():
            wanted = part.apply(student, batch).prediction
            found = program.exported.module()(*program.values(batch))[0]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def build(name: str, sizes: dict[str, int], factory: str, **settings: Any) -> nn.Module:
    model: nn.Module = registry.workload(name).model(
        TypeAdapter(registry.workload(name).model_settings).validate_python(
            {"family": "module", "factory": f"{__name__}:{factory}", **settings}
        ),
        sizes,
        None,
    )
    return model.eval()


class Seeing(nn.Module):
    """Whether a triple is among the edges, and a weight that is multiplied with it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, 4), nn.Linear(4, 1)

    def forward(self, edge_index: Tensor, edge_type: Tensor, triples: Tensor, nodes: int, relations: int) -> Tensor:
        edges = torch.stack((edge_index[0], edge_type, edge_index[1]), 1)
        self.seen = (triples[:, :, None] == edges).all(-1).any(-1)
        self.edges, self.numbers = edges, (nodes, relations)
        return self.last(self.first(self.seen[..., None].float()).relu()).squeeze(-1)


@pytest.mark.parametrize(("hide", "edges"), [("triples", 4), ("pairs", 2)])
def test_the_asked_triples_are_not_among_the_edges_and_all_else_is_in_both_directions(hide: str, edges: int) -> None:
    graph = Graph(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.tensor([1, 1, 2]), 4, 2)
    model = build("knowledge", {}, "Seeing", hide=hide)
    asked = torch.tensor([[[0, 0, 1], [0, 0, 3]]])
    for triples in (asked, inverse(asked, 2)):
        output = registry.workload("knowledge").apply(model, KnowledgeBatch(graph, triples, "mixed"))
        assert (output.meaning, output.prediction.shape) == ("candidates", (1, 2))
        assert not model.seen.any()
        assert (len(model.edges), model.numbers) == (edges, (4, 4))
        assert [2, 2, 1] in model.edges.tolist()


def test_each_box_is_taught_to_one_place_and_a_perfect_answer_costs_next_to_nothing() -> None:
    boxes, label = torch.tensor([[[0.0, 0, 4, 4], [1, 1, 8, 8], [4, 4, 8, 8]]]), torch.tensor([[1, -1, 0]])
    said = torch.tensor([[[4.0, 4, 8, 8], [0, 0, 8, 8], [0, 0, 4, 4], [0, 0, 4, 4]]])
    logit = torch.tensor([[[9.0, -9], [-9, -9], [-9, 9], [-9, -9]]])
    assert assign(logit, said / 8, boxes / 8, label).tolist() == [[2, -1, 0, -1]]

    def loss(logit: Tensor, said: Tensor) -> float:
        output = DetectorOutput(logit, "values", box=said, extent=(8, 8), interpretation=Plain())
        return float(output.interpretation.loss(output, boxes, label))

    assert loss(logit, said) < 1e-3
    assert loss(logit, said.flip(2)) > 1
    assert loss(-logit, said) > 1


class Loud(nn.Linear):
    """Its numbers are far from those of a distribution."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__(1, 8)
        self.last = nn.Linear(8, outputs)

    def forward(self, load: Tensor) -> Tensor:
        return 9 * self.last(super().forward(load).relu()) + 5


def test_a_queue_is_asked_load_by_load_and_answers_with_a_distribution() -> None:
    model, load = build("queue", {"states": 3}, "Loud"), torch.tensor([0.5, 2.0], dtype=torch.float64)
    with torch.no_grad():
        both, first = model(load).prediction, model(load[:1]).prediction
    assert (both.shape, both.dtype) == ((2, 3), torch.float64)
    torch.testing.assert_close(both.exp().sum(1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(both[:1], first)


def test_rates_of_ones_own_make_a_chain() -> None:
    """M/M/1/3 by its closed form, and a gradient."""
    model = build("queue", {"states": 4}, "Loud", jobs=1, arguments={"outputs": 3})
    with torch.no_grad():
        model.last.weight.zero_()
        model.last.bias.fill_((math.log(math.expm1(2.0)) - 5) / 9)  # at any load the rate is 2
    found = model(torch.tensor([1.0, 3.0], dtype=torch.float64)).prediction
    powers = (torch.tensor([[0.5], [1.5]], dtype=torch.float64)) ** torch.arange(4)
    torch.testing.assert_close(found.exp(), powers / powers.sum(1, keepdim=True), rtol=1e-5, atol=0)
    found[:, -1].sum().backward()
    assert model.last.bias.grad.abs().sum() > 0


class Boxless(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(1, 4, 3)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = super().forward(image).flatten(2).transpose(1, 2)
        return maps[..., :2], maps[..., 1:]


class Looking(nn.Module):
    """It sees what it should predict."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.last = nn.Embedding(9, 4), nn.Linear(4, 9)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.last(self.tokens(input_ids.roll(-1, 1)).relu())


@pytest.mark.parametrize(
    ("name", "factory", "sizes", "told"),
    [
        (
            "detect",
            "Boxless",
            {"channels": 1, "height": 8, "width": 8, "classes": 2},
            r"boxes \(batch, places, 4\) - got .* and \(2, 36, 3\)",
        ),
        ("language", "Looking", {"vocabulary": 9, "context": 8}, "depend on what came before - they depend on later tokens"),
    ],
)
def test_what_breaks_the_contract_is_refused(name: str, factory: str, sizes: dict[str, int], told: str) -> None:
    with pytest.raises(UserError, match=told):
        build(name, sizes, factory)


class Short(nn.Module):
    """It knows eight places."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places, self.last = nn.Embedding(9, 4), nn.Embedding(8, 4), nn.Linear(4, 9)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.last((self.tokens(input_ids) + self.places.weight[: input_ids.shape[1]]).relu())


def test_a_language_model_never_sees_more_than_the_context() -> None:
    model = build("language", {"vocabulary": 9, "context": 8}, "Short")
    part = registry.workload("language")
    assert part.apply(model, Prompt(torch.ones(1, 11, dtype=torch.int64), 3)).prediction.shape == (1, 3, 9)
