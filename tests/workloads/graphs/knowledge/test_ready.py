"""A question that is made ready is answered as the graph is, here and in a file, whatever graph the file was captured on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.functional import one_hot

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.evaluations import runtimes
from stillhouse.runtimes import asked, difference, onnx
from stillhouse.runtimes.program import Program, capture
from stillhouse.serving.model import Model
from stillhouse.space.blueprint import Architecture, full, groups_of
from stillhouse.space.extraction import extract
from stillhouse.training import checkpoint, table
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.families.isdea_plus import Walked
from stillhouse.workloads.graphs.knowledge.graph import Batch
from stillhouse.workloads.graphs.knowledge.listed import Added
from tests.workloads.graphs.knowledge.graphs import random_graph, randomised, some_triples

RESIDUAL = {"family": "isdea", "width": 4, "layers": 3, "hops": 2, "residual": True}
BLOCKS: list[dict[str, Any]] = [RESIDUAL, *({"family": name, "width": 4, "layers": 2} for name in ("isdea", "isdea_plus", "isdea_marked"))]


def network(block: dict[str, Any]) -> nn.Module:
    return randomised(WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(block), {}, None))


def questions() -> list[Batch]:
    """Of graphs with other numbers of nodes, relations, triples and queries."""
    rng, found = torch.Generator().manual_seed(3), []
    for number, (nodes, relations, triples) in enumerate(((9, 4, 40), (14, 3, 16), (12, 6, 50))):
        graph = random_graph(rng, nodes, relations, triples)
        found.append(Batch(graph, some_triples(graph, rng, queries=4 + number, candidates=3), "mixed"))
    return found


def same(model: nn.Module, batch: Batch) -> None:
    with torch.no_grad():
        torch.testing.assert_close(model(model.ready(batch)).prediction, model(batch).prediction, rtol=0, atol=1e-10)


@pytest.mark.parametrize("block", BLOCKS)
def test_it_is_answered_as_the_graph(block: dict[str, Any]) -> None:
    for batch in questions():
        same(network(block), batch)


def test_it_is_where_a_layer_is_gone() -> None:
    whole = network(RESIDUAL)
    kept = Architecture({**full(groups_of(whole)).kept, "layers": (1,)})
    small = WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(RESIDUAL), {}, kept).double().eval()
    small.load_state_dict(extract(whole, kept))
    assert list(small.layers) == ["0", "2"]
    for batch in questions():
        same(small, batch)


class Drawn(list[Batch]):
    """Batches in their order."""

    def draw(self, rng: torch.Generator) -> Iterator[Batch]:
        return iter(self)


@pytest.fixture(scope="module")
def program() -> Program:
    """Of one question about one graph."""
    return capture(WORKLOAD, network({"family": "isdea", "width": 2, "layers": 1, "hops": 2}).float(), questions()[:1])


def test_what_was_captured_on_one_graph_answers_for_others(program: Program) -> None:
    first, *others = questions()
    module = torch.no_grad()(program.exported.module())
    assert difference.largest(program, lambda values: module(*values), Drawn([first, *others])) < 1e-5
    named = {each["name"]: each["shape"] for each in program.description()["inputs"]}
    assert (named["step_0_adding"], named["place"], named["others"]) == ([4, None], [None, None, 2], [])
    assert {name for name in named if name.startswith("level_1")} == {"level_1_node", "level_1_share", "level_1_rest_row"}
    assert not program.constants


class Own(nn.Module):
    """From how many edges arrive at the head, and how many leave the tail by the inverse of the asked relation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 4), nn.Linear(4, 1)

    def forward(self, edge_index: Tensor, edge_type: Tensor, triples: Tensor, nodes: int, relations: int) -> Tensor:
        head, relation, tail = triples.flatten(0, 1).unbind(1)
        inverse = (relation[:, None] + relations // 2) % relations
        leaving = ((edge_type == inverse) & (edge_index[0] == tail[:, None])).sum(1)
        arriving = torch.zeros_like(torch.arange(nodes)).index_add(0, edge_index[1], torch.ones_like(edge_type))
        value = self.first(torch.stack((leaving, arriving[head]), -1).float())
        return self.last(value.relu()).view(triples.shape[:2])


def test_a_network_of_ones_own_leaves_for_graphs_and_questions_of_any_size(tmp_path: Path) -> None:
    """It counts relations modulo their number, and is asked by questions of one candidate too."""
    model = network({"family": "module", "factory": f"{__name__}:Own"}).float()
    first, *others = questions()
    program = capture(WORKLOAD, model, [replace(first, triples=first.triples[:1]), first])
    onnx.save(program, tmp_path / "model.onnx", ())
    batches = [first, *others, replace(first, triples=first.triples[:1, :1])]
    assert difference.largest(program, onnx.load(tmp_path / "model.onnx", program), Drawn(batches)) < 1e-5
    assert [each["shape"] for each in program.description()["inputs"]] == [[2, None], [None], [None, None, 3], [], []]


class Fixed(nn.Module):
    """It gives a length to what takes no symbol, and so the exporter makes a constant of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, 4), nn.Linear(4, 1)

    def forward(self, edge_index: Tensor, edge_type: Tensor, triples: Tensor, nodes: int, relations: int) -> Tensor:
        place = one_hot(triples[..., 2], nodes).float().cumsum(-1).mean(-1, keepdim=True)
        return self.last(self.first(place).relu()).squeeze(-1)


def test_one_that_fixes_a_length_is_refused_in_a_sentence() -> None:
    model = network({"family": "module", "factory": f"{__name__}:Fixed"}).float()
    told = r"^wanted a network that answers for graphs and questions of any size - its exported program fails .*: len\(tensor\) and"
    with pytest.raises(UserError, match=told):
        capture(WORKLOAD, model, questions()[:1]).description()


def test_making_a_question_ready_is_timed_beside_the_runtimes(program: Program) -> None:
    pair: Any = SimpleNamespace(test=Drawn(questions()))
    settings = runtimes.RuntimesSettings(rounds=2, seconds=0)
    assert runtimes._latencies(pair, program, {"torch": lambda values: ()}, settings)["student_ready_latency_ms"] > 0


def test_lists_are_added_in_onnx_runtime_as_here(tmp_path: Path) -> None:
    """Rows that several entries are added to, and one that none is."""
    rows, columns = torch.tensor([0, 2, 2, 2, 0]), torch.tensor([1, 0, 1, 1, 2])
    task: Any = SimpleNamespace(apply=lambda model, batch: Output(Added((batch[0], batch[1]), 4)(batch[2], batch[3]), "values"))
    batches = [(rows[:size], columns[:size], torch.randn(3, 2), torch.randn(size)) for size in (5, 4)]
    program = capture(task, nn.Identity(), batches)
    onnx.save(program, tmp_path / "model.onnx", ())
    assert difference.largest(program, onnx.load(tmp_path / "model.onnx", program), Drawn(batches)) < 1e-6


def test_the_rows_of_a_table_are_made_ready_by_the_names_of_the_file(tmp_path: Path) -> None:
    """What is asked with them is answered as `predict` does."""
    (tmp_path / "raw.json").write_text(json.dumps({"generator": "family_diagram_2", "depth": 3}))
    prepared, block = tmp_path / "prepared", {"family": "isdea_plus", "width": 2, "layers": 1}
    WORKLOAD.prepare(WORKLOAD.prepare_settings(), tmp_path / "raw.json", prepared, torch.Generator().manual_seed(0))
    model = network(block).float()
    checkpoint.write_model(tmp_path / "model", model.state_dict(), {"model": block, "sizes": {}, "architecture": None})
    table.keep(WORKLOAD, prepared, tmp_path / "model")
    rows = pa.table({"head": ["0", "1", "0"], "relation": ["1", "2", "2"], "tail": ["3", "2", "1"]})
    found = [Walked(*map(torch.from_numpy, given.values())) for given in asked.inputs(tmp_path / "model", rows)]
    with torch.no_grad():
        answers = [model(walked).prediction for walked in found]
    wanted = [row["score"] for part in Model(tmp_path / "model").predict(rows) for row in part.to_pylist()]
    torch.testing.assert_close(torch.cat(answers)[:, 0].double(), torch.tensor(wanted, dtype=torch.float64))
