"""Triples by name, scored on the graph that a model carries or on one that comes with them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter

from stillhouse.contracts.errors import UserError
from stillhouse.training.files import read_parquet
from stillhouse.training.table import predictions
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph
from stillhouse.workloads.graphs.knowledge.table import TABLE

FAMILIES = [{"family": "isdea", "width": 6, "layers": 2}, {"family": "isdea_marked", "width": 6, "layers": 2}]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "raw.json").write_text('{"generator": "family_diagram_2", "depth": 4}')
    settings = WORKLOAD.prepare_settings()
    WORKLOAD.prepare(settings, tmp_path / "raw.json", tmp_path / "prepared", torch.Generator().manual_seed(0))
    (tmp_path / "context").mkdir()
    TABLE.keep(tmp_path / "prepared", tmp_path / "context")
    return tmp_path / "context"


def observed(context: Path) -> list[tuple[str, str, str]]:
    """The triples of the kept graph by name."""
    names: dict[str, list[str]] = {"node": [], "relation": []}
    known = read_parquet(context / "names.parquet")
    for kind, name in zip(known["kind"], known["name"], strict=True):
        names[kind].append(name)
    graph = read_parquet(context / "graph.parquet")
    numbers = zip(*(graph[name].tolist() for name in ("head", "relation", "tail")), strict=True)
    return [(names["node"][head], names["relation"][relation], names["node"][tail]) for head, relation, tail in numbers]


def rows(triples: list[tuple[str, str, str]], seen: list[bool] | None = None) -> pa.Table:
    columns = dict(zip(("head", "relation", "tail"), map(list, zip(*triples, strict=True)), strict=True))
    return pa.table({**columns, **({"observed": seen} if seen else {})})


def predict(context: Path, model: torch.nn.Module, table: pa.Table) -> pa.Table:
    return pa.concat_tables(predictions(TABLE, WORKLOAD, model, context, table))


@pytest.mark.parametrize("block", FAMILIES)
def test_a_triple_is_scored_on_the_graph_of_training_in_the_order_of_the_rows(context: Path, block: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(block), {}, None).eval()
    triples = list(reversed(observed(context)))
    got = predict(context, model, rows(triples))
    assert [tuple(row[name] for name in ("head", "relation", "tail")) for row in got.to_pylist()] == triples
    graph = {name: column.long() for name, column in read_parquet(context / "graph.parquet").items()}
    nodes, relations = (sum(kind == wanted for kind in read_parquet(context / "names.parquet")["kind"]) for wanted in ("node", "relation"))
    numbers = torch.stack(list(graph.values()), -1).flip(0)
    known = Graph(graph["head"], graph["relation"], graph["tail"], nodes, relations)
    size = max(nodes**2 // 40, 1)
    with torch.no_grad():
        wanted = [model(Batch(known, part[:, None], "mixed")).prediction[:, 0] for part in numbers.split(size)]
    assert len(wanted) > 1
    assert got.column("score").to_pylist() == pytest.approx(torch.cat(wanted).tolist(), rel=1e-4)


@pytest.mark.parametrize("block", FAMILIES)
def test_a_graph_of_other_names_is_as_good_as_the_kept_one(context: Path, block: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(block), {}, None)
    triples = observed(context)
    asked = triples[:5]
    other = [(f"new {head}", f"new {relation}", f"new {tail}") for head, relation, tail in triples + asked]
    given = rows(other, [True] * len(triples) + [False] * 5)
    got = predict(context, model, given)
    assert got.column("head").to_pylist() == [f"new {head}" for head, _, _ in asked]
    assert got.column("score").to_pylist() == pytest.approx(predict(context, model, rows(asked)).column("score").to_pylist(), rel=1e-4)


def test_a_stranger_is_refused_with_its_row_and_so_is_a_table_without_a_question(context: Path) -> None:
    triples = observed(context)
    head, relation, _ = triples[0]
    with pytest.raises(UserError, match=r"^row 1 - wanted a tail among the \d+ nodes of the observed graph - got 'nobody'$"):
        TABLE.ask(context, rows([triples[0], (head, relation, "nobody")]))
    with pytest.raises(UserError, match=r"^row 2 - wanted a relation among the 1 relations of the observed graph - got 'r'$"):
        TABLE.ask(context, rows([("a", "b", "c"), ("a", "b", "c"), ("a", "r", "c")], [True, False, False]))
    with pytest.raises(UserError, match=r"^wanted a row that is not observed, to be answered - all are$"):
        TABLE.ask(context, rows(triples[:2], [True, True]))


def test_the_marked_familys_scores_do_not_depend_on_the_other_rows(context: Path) -> None:
    torch.manual_seed(0)
    model = WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(FAMILIES[1]), {}, None)
    triples = observed(context)[:6]
    alone = [predict(context, model, rows([triple])).column("score")[0].as_py() for triple in triples]
    assert predict(context, model, rows(triples)).column("score").to_pylist() == pytest.approx(alone, rel=1e-4)
