"""What training may see of the graph, and the way from raw data to a student that sees no edge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from stillhouse.contracts.data import Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.serving.predict import predict
from stillhouse.stages.distill import distill
from stillhouse.stages.evaluate import evaluate
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.training.files import read_parquet, write_parquet
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.sample import Batch, Prepared, load, read
from tests.workloads.graphs.static_nodes.raws import blocks, prepared
from tests.workloads.verbs import Verbs

DATA = WORKLOAD.data_settings()


def made(folder: Path, **settings: object) -> Path:
    prepared(blocks(folder), folder / "prepared", **settings)
    return folder / "prepared"


def loaded(folder: Path) -> tuple[Data[Batch], list[Batch], list[Batch], list[Batch]]:
    data, rng = load(DATA, folder, test=True), torch.Generator()
    assert data.test is not None
    return data, *([*split.draw(rng)] for split in (data.train, data.valid, data.test))


def model() -> nn.Module:
    torch.manual_seed(0)
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "gcn", "hidden": 8})
    return WORKLOAD.model(settings, {"features": 5, "classes": 3}, None).eval()


def test_the_whole_graph_is_asked_about_the_nodes_of_a_split(tmp_path: Path) -> None:
    whole = read(made(tmp_path))
    data, [train], [valid], [test] = loaded(tmp_path / "prepared")
    assert dict(data.sizes) == {"features": 5, "classes": 3}
    assert train.asked.tolist() == list(range(60))
    for place, batch in ((1, valid), (2, test)):
        assert torch.equal(batch.asked, (whole.split == place).nonzero()[:, 0])
        assert torch.equal(batch.label, whole.label[batch.asked])
        assert torch.equal(batch.edges, train.edges)
    assert torch.equal(train.label, whole.label.where(whole.split == 0, -1))
    assert load(DATA, tmp_path / "prepared").test is None


def test_the_loss_is_that_of_the_training_nodes_alone(tmp_path: Path) -> None:
    made(tmp_path)
    _, [train], _, _ = loaded(tmp_path / "prepared")
    output = WORKLOAD.apply(model(), train)
    known = train.label >= 0
    wanted = nn.functional.cross_entropy(output.prediction[known], train.label[known])
    torch.testing.assert_close(WORKLOAD.loss(output, train), wanted)
    assert 0 < known.sum() < len(known)


def leaks(whole: Prepared, seen: Prepared) -> bool:
    """Whether anything of the unseen nodes changes what a network answers about the others."""
    network, rng = model(), torch.Generator().manual_seed(1)
    noise = torch.randn(whole.features.shape, generator=rng)
    other = replace(whole, features=torch.where(whole.unseen[:, None], noise, whole.features))
    changed = other.observed() if len(seen.features) < len(whole.features) else other
    first, second = (network(each.features, each.edges).prediction[~each.unseen] for each in (seen, changed))
    return not torch.equal(first, second)


def test_nothing_of_unseen_nodes_is_seen_in_training_and_a_leak_is_caught(tmp_path: Path) -> None:
    whole = read(made(tmp_path, inductive=True, unseen_share=0.4))
    assert int(whole.unseen.sum()) == 6
    assert not leaks(whole, whole.observed())
    assert leaks(whole, whole), "edges of unseen nodes, planted into training, should be noticed"
    _, [train], [valid], [observed, unseen] = loaded(tmp_path / "prepared")
    inside = (~whole.unseen[whole.edges]).all(0)
    assert 0 < int(inside.sum()) < whole.edges.shape[1]
    for batch in (train, valid, observed):
        assert torch.equal(batch.features, whole.features[~whole.unseen])
        assert torch.equal((~whole.unseen).nonzero()[:, 0][batch.edges], whole.edges[:, inside])
        assert not batch.unseen.any()
    assert torch.equal(unseen.edges, whole.edges)
    assert torch.equal(unseen.asked, whole.unseen.nonzero()[:, 0])
    assert unseen.unseen.all()
    assert (len(observed.asked), len(unseen.asked)) == (9, 6)


def test_where_all_test_nodes_are_unseen_there_is_one_batch(tmp_path: Path) -> None:
    whole = read(made(tmp_path, inductive=True, unseen_share=1))
    _, [train], _, [test] = loaded(tmp_path / "prepared")
    assert torch.equal(whole.unseen, whole.split == 2)
    assert (len(train.features), len(test.asked)) == (45, 15)


PARAMS = """
seed: 0
threads: 1
teachers:
  blocks:
    workload: static_nodes
    raw: data/raw/blocks.json
    prepare: {inductive: true}
    teach: {model: {family: gcn, hidden: 16}, data: {}, fit: {epochs: 60, learning_rate: 1.0e-2}}
students:
  half:
    teacher: blocks
    workload: static_nodes
    search: {method: uniform, budget: {unit: macs, share: 0.5}, weights: teacher, data: {}, settings: {}}
    distill:
      losses: [{loss: logits, weight: 1.0}]
      data: {neighbours: [9, 9], batch_size: 100}
      fit: {epochs: 5, learning_rate: 1.0e-2}
    evaluate:
      data: {}
      evaluations:
        - {evaluation: latency, settings: {rounds: 2, seconds: 0}}
        - {evaluation: runtimes, settings: {runtimes: [pt2, onnx], rounds: 2, seconds: 0}}
  edgeless:
    teacher: blocks
    workload: static_nodes
    search:
      method: uniform
      budget: {unit: parameters, share: 1.0}
      model: {family: mlp, hidden: 32}
      weights: scratch
      data: {}
      settings: {}
    distill:
      losses: [{loss: logits, weight: 1.0}]
      task_weight: 0.0
      start: fresh
      data: {}
      fit: {epochs: 60, learning_rate: 1.0e-2}
    evaluate:
      data: {}
      evaluations:
        - {evaluation: latency, settings: {rounds: 2, seconds: 0}}
        - {evaluation: runtimes, settings: {runtimes: [pt2, onnx], rounds: 2, seconds: 0}}
"""


@pytest.mark.parametrize("student", ["half", "edgeless"])
def test_students_with_and_without_edges_are_taught_by_a_graph_network(student: str, tmp_path: Path) -> None:
    raw = blocks(tmp_path / "data/raw", nodes=300, degree=6, within=0.9)
    (tmp_path / "params.yaml").write_text(PARAMS)
    verbs = Verbs(WORKLOAD, tmp_path / "params.yaml", raw)
    prepared(raw, tmp_path / "prepared", inductive=True)
    taught = verbs.run(teach, "blocks", "prepared", "teacher")
    assert taught["valid_accuracy"] > 0.75
    verbs.run(search, student, "prepared", "teacher", "found", part="method")
    verbs.run(distill, student, "prepared", "teacher", "found", "student", part="losses")
    report = verbs.run(evaluate, student, "prepared", "teacher", "student", "report", part="evaluations")
    assert report["agreement"] > 0.5
    assert {"student_unseen_accuracy", "teacher_unseen_accuracy", "student_observed_accuracy"} < set(report)
    assert not [name for name in report if name.endswith("refused") and report[name]], read_json(tmp_path / "report/report.json")["remarks"]
    (tmp_path / "student/curve.csv").unlink()  # a stage puts it elsewhere
    assert_predicts(tmp_path)


def assert_predicts(folder: Path) -> None:
    """A student alone predicts for nodes by their numbers, and says which ones there are."""
    write_parquet(folder / "asked.parquet", {"node": torch.tensor([0, 299, 0])})
    assert predict(folder / "student", folder / "asked.parquet", folder / "out.parquet") == 3
    found = read_parquet(folder / "out.parquet")
    assert found["class"][0] == found["class"][2]
    assert isinstance(found["probabilities"], torch.Tensor)
    torch.testing.assert_close(found["probabilities"].sum(1), torch.ones(3, dtype=torch.float64))
    write_parquet(folder / "asked.parquet", {"node": torch.tensor([0, 300, -1])})
    with pytest.raises(UserError, match=r"row 1 - wanted a node from 0 to 299 - got 300\n.*row 2 .* got -1\n2 faults in all$"):
        predict(folder / "student", folder / "asked.parquet", folder / "out.parquet")
