"""From raw graphs to batches, scores and students that are asked about graphs that nobody had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet as files
from torch_geometric.data import Batch as Library
from torch_geometric.data import Data

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.serving.predict import predict
from stillhouse.stages.distill import distill
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs.static_graphs import WORKLOAD
from stillhouse.workloads.graphs.static_graphs.sample import Batch, load, read, shown, thinned
from tests.workloads.graphs.static_graphs.raws import parquet, prepared, rules, tu
from tests.workloads.graphs.static_graphs.test_models import graphs
from tests.workloads.verbs import Verbs

DATA = WORKLOAD.data_settings(batch_size=16)


def test_a_batch_is_laid_out_as_the_librarys(tmp_path: Path) -> None:
    found = graphs()
    rows = torch.tensor([3, 1, 2])
    ours = found.batch(rows)
    ends = [found.counts.cumsum(0), found.nodes.cumsum(0)]
    singles = []
    for row in rows.tolist():
        (_, last), (first, end) = (ends[0][row - 1], ends[0][row]), (ends[1][row - 1], ends[1][row])
        singles.append(Data(x=found.features[first:end], edge_index=found.edges[:, last - found.counts[row] : last], y=found.target[row]))
    theirs = Library.from_data_list(singles)
    for name in ("x", "edge_index", "batch"):
        assert torch.equal(getattr(ours, name), theirs[name]), name
    assert (ours.graphs, ours.target.tolist()) == (3, theirs.y.tolist())


def test_each_graph_is_in_one_split_and_training_is_shuffled(tmp_path: Path) -> None:
    prepared(rules(tmp_path), tmp_path / "q", train=0.5, valid=0.25)
    whole, split = read(tmp_path / "q")
    data = load(DATA, tmp_path / "q", test=True)
    assert data.test is not None
    assert dict(data.sizes) == {"features": 4, "classes": 3}
    for place, batches in enumerate((data.train, data.valid, data.test)):
        drawn = list(batches.draw(torch.Generator().manual_seed(1)))
        wanted = (split == place).nonzero()[:, 0]
        assert sum(batch.graphs for batch in drawn) == len(wanted)
        assert sum(len(batch.x) for batch in drawn) == int(whole.nodes[wanted].sum())
        if place:
            assert torch.equal(drawn[0].edge_index, whole.batch(wanted).edge_index)
    passes = [next(data.train.draw(torch.Generator().manual_seed(seed))).target.tolist() for seed in (1, 1, 2)]
    assert passes[0] == passes[1] != passes[2]
    assert load(DATA, tmp_path / "q").test is None


def test_classes_are_scored_over_all_graphs() -> None:
    def asked(label: list[int], found: list[float]) -> tuple[Output, Batch]:
        logits, count = torch.stack((torch.zeros(len(found)), torch.tensor(found)), 1), len(found)
        edges, values = torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0)
        return Output(logits, "classes"), Batch(logits, edges, torch.arange(count), count, torch.tensor(label), values)

    metrics = WORKLOAD.score([asked([0, 1, 0], [-1.0, -2, 2]), asked([1], [3.0])])
    assert next(iter(metrics)) == "accuracy"
    assert {name: metrics[name] for name in ("accuracy", "macro_f1", "roc_auc")} == pytest.approx(
        {"accuracy": 0.5, "macro_f1": 0.5, "roc_auc": 0.5}
    )
    batch = asked([0, 1], [1.0, 1.0])[1]
    told = shown(batch)
    assert told.known is not None
    assert (told.label is batch.target, told.known.all().item()) == (True, True)


def test_values_are_scored_in_their_own_units() -> None:
    scale = torch.tensor([[10.0, 0.0], [2.0, 1.0]])
    target = torch.tensor([[1.0, 2.0], [-1.0, 0.0]])
    batch = Batch(target, torch.zeros(2, 0).long(), torch.arange(2), 2, target, scale)
    perfect, mean = (WORKLOAD.score([(Output(value, "values"), batch)]) for value in (target, torch.zeros(2, 2)))
    assert perfect == {"skill": 1, "mae": 0, "rmse": 0}
    assert mean == pytest.approx({"skill": 0, "mae": (2 + 2 + 2 + 0) / 4, "rmse": ((4 + 4 + 4) / 4) ** 0.5})
    assert shown(batch).label is None
    assert float(WORKLOAD.loss(Output(torch.zeros(2, 2), "values"), batch)) == pytest.approx(6 / 4)


def test_edges_are_left_out_at_a_share() -> None:
    batch, rng = graphs().batch(torch.arange(5)), torch.Generator().manual_seed(0)
    assert WORKLOAD.thinned is thinned
    assert thinned(1.0, batch, rng).edge_index.shape == (2, 0)
    assert torch.equal(thinned(0.0, batch, rng).edge_index, batch.edge_index)


PARAMS = """
seed: 0
threads: 1
teachers:
  rules:
    workload: static_graphs
    raw: data/raw/rules.json
    prepare: {}
    teach: {model: {family: gin, hidden: 16, layers: 2}, data: {}, fit: {epochs: 12, learning_rate: 1.0e-2}}
students:
  half:
    teacher: rules
    workload: static_graphs
    search:
      method: dms
      budget: {unit: macs, share: 0.5}
      weights: teacher
      data: {}
      settings: {fit: {epochs: 2, learning_rate: 1.0e-2}}
    distill: {losses: [{loss: logits, weight: 1.0}], data: {}, fit: {epochs: 4, learning_rate: 1.0e-2}}
    evaluate: {data: {}}
"""


def test_a_smaller_network_is_taught_and_asked_about_new_graphs(tmp_path: Path) -> None:
    raw = rules(tmp_path / "data/raw", graphs=300, within=1.0)
    (tmp_path / "params.yaml").write_text(PARAMS)
    verbs = Verbs(WORKLOAD, tmp_path / "params.yaml", raw)
    prepared(raw, tmp_path / "prepared")
    assert verbs.run(teach, "rules", "prepared", "teacher")["valid_accuracy"] > 0.9
    found = verbs.run(search, "half", "prepared", "teacher", "found", part="method")
    assert found["cost"] <= found["budget"]
    assert verbs.run(distill, "half", "prepared", "teacher", "found", "student", part="losses")["valid_accuracy"] > 0.9
    (tmp_path / "student/curve.csv").unlink()  # a stage puts it elsewhere
    kinds = ["0", "1", "2", "3"] * 2
    rings = {name: [(place, (place + step) % 4 + 4 * (place < 4)) for place in range(8)] for name, step in (("0", 0), ("1", 1), ("2", 2))}
    rows = {"kinds": [kinds] * 3, "source": [[one for one, _ in ring] for ring in rings.values()]}
    table = pa.table({**rows, "target": [[other for _, other in ring] for ring in rings.values()], "more": [1, 2, 3]})
    files.write_table(table, tmp_path / "asked.parquet")
    assert predict(tmp_path / "student", tmp_path / "asked.parquet", tmp_path / "out.parquet") == 3
    told = read_parquet(tmp_path / "out.parquet")
    assert told["class"] == list(rings)
    assert isinstance(told["probabilities"], torch.Tensor)
    torch.testing.assert_close(told["probabilities"].sum(1), torch.ones(3, dtype=torch.float64))


def context(folder: Path, raw: Path, **settings: Any) -> Path:
    prepared(raw, folder / "q", **settings)
    (folder / "context").mkdir()
    WORKLOAD.table.keep(folder / "q", folder / "context")
    return folder / "context"


def test_a_graph_that_is_asked_about_is_described_as_those_of_the_data(tmp_path: Path) -> None:
    place = context(tmp_path, parquet(tmp_path / "p"), degree=True, draw=True)
    whole, _ = read(tmp_path / "q")
    rows = {"features": [[[6.0, 1], [7.0, 1]], [[0.0, 1], [1.0, 1]]], "kinds": [["C", "C"], ["O", "C"]]}
    table = pa.table({**rows, "source": [[0], [1]], "target": [[1], [0]]}).cast(WORKLOAD.table.example(place).schema)
    [batch] = WORKLOAD.table.ask(place, table).batches
    wanted = whole.batch(torch.tensor([3, 0]))
    assert torch.equal(batch.x, wanted.x)
    assert batch.edge_index.T.sort(0).values.tolist() == wanted.edge_index.T.sort(0).values.tolist()


def test_values_are_answered_in_their_own_units(tmp_path: Path) -> None:
    place = context(tmp_path, tu(tmp_path / "t", node_labels=None, node_attributes=None), values=True, degree=True)
    example = WORKLOAD.table.example(place)
    assert example.column_names == ["nodes", "source", "target"]
    question = WORKLOAD.table.ask(place, example)
    [batch] = question.batches
    assert batch.x.tolist() == [[1], [1], [0]]
    told = question.columns(Output(torch.zeros(2, 2), "values"), batch)["values"]
    torch.testing.assert_close(told, batch.scale[0].expand(2, 2))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kinds": [["O"], ["C"]]}, r"row 0 - wanted a kind of each of 2 nodes - got 1$"),
        ({"kinds": [["O", None], ["C"]]}, r"row 0 - wanted a kind of each node - there is none$"),
        ({"features": [[[0.0, 1], [1.0]], [[1.0, 1]]]}, r"row 0 - wanted 2 features of each node - got others$"),
        ({"features": [[[0.0, 1], [1.0, float("nan")]], [[1.0, 1]]]}, r"row 0 - wanted finite features - got others$"),
        ({"features": [[[0.0, 1], [1.0, 1]], []]}, r"row 1 - wanted a node at least - got 0$"),
        ({"target": [[1], [0]]}, r"row 1 - wanted as many sources as targets - got 0 and 1$"),
        ({"target": [[2], []]}, r"row 0 - wanted nodes from 0 to 1 - got 0 and 2$"),
    ],
)
def test_rows_that_are_no_graphs_are_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    place = context(tmp_path, parquet(tmp_path / "p"))
    rows = {"features": [[[0.0, 1], [1.0, 1]], [[1.0, 1]]], "kinds": [["O", "C"], ["C"]], "source": [[0], []], "target": [[1], []]}
    schema = pa.schema([field.with_nullable(True) for field in WORKLOAD.table.example(place).schema])
    with pytest.raises(UserError, match=told):
        WORKLOAD.table.ask(place, pa.table(rows | changes, schema=schema))
