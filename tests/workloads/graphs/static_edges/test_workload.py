"""Edges that are held out, what is asked beside them, and the way from raw data to a student that answers about pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.serving.predict import predict
from stillhouse.stages.distill import distill
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.training import files
from stillhouse.workloads.graphs.static_edges import WORKLOAD
from stillhouse.workloads.graphs.static_edges.sample import Batch, load, read, thinned
from stillhouse.workloads.graphs.static_edges.strangers import Strangers
from tests.workloads.graphs.static_nodes.raws import blocks, parquet
from tests.workloads.verbs import Verbs

DATA = WORKLOAD.data_settings(batch_size=16, evaluation_batch_size=7, strangers=3)
PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def made(raw: Path, folder: Path, seed: int = 0, **settings: object) -> Path:
    folder.mkdir(parents=True)
    WORKLOAD.prepare(WORKLOAD.prepare_settings(**settings), raw, folder, torch.Generator().manual_seed(seed))
    return folder


def pairs(edges: torch.Tensor) -> set[tuple[int, ...]]:
    """Without their direction."""
    return {tuple(pair) for pair in edges.sort(0).values.T.tolist()}


def leaks(batch: Batch) -> bool:
    """Whether messages pass over an edge that is asked about."""
    return bool(pairs(torch.stack((batch.source, batch.target[:, 0]))) & pairs(batch.edges))


def test_no_message_passes_over_an_edge_that_is_asked_about_and_a_leak_is_caught(tmp_path: Path) -> None:
    folder = made(blocks(tmp_path), tmp_path / "p", valid=0.1, test=0.2)
    data, rng = load(DATA, folder, test=True), torch.Generator().manual_seed(0)
    assert data.test is not None
    train, valid, test = ([*split.draw(rng)] for split in (data.train, data.valid, data.test))
    for batch in (*train, *valid, *test):
        assert not leaks(batch)
        asked = torch.stack((batch.target[:, 0], batch.source))
        assert leaks(replace(batch, edges=torch.cat((batch.edges, asked), 1)))
    held = [pairs(torch.cat([torch.stack((batch.source, batch.target[:, 0])) for batch in part], 1)) for part in (valid, test)]
    seen = pairs(read(folder).edges)
    assert not held[0] & held[1]
    assert not (held[0] | held[1]) & seen
    assert all(pairs(batch.edges) <= seen for batch in (*train, *valid, *test))
    counts = [len(held[0]), len(held[1]), len(seen)]
    assert counts == pytest.approx([share * sum(counts) for share in (0.1, 0.2, 0.7)], abs=1)


def test_training_asks_about_each_edge_from_both_ends_and_draws_strangers_anew(tmp_path: Path) -> None:
    folder = made(blocks(tmp_path), tmp_path / "p")
    data, edges = load(DATA, folder), read(folder).edges
    passes = [[*data.train.draw(torch.Generator().manual_seed(seed))] for seed in (1, 1, 2)]
    asked = [torch.cat([torch.stack((batch.source, batch.target[:, 0])) for batch in part], 1) for part in passes]
    for found in asked:
        assert sorted(found.T.tolist()) == sorted(edges.T.tolist())
    targets = [torch.cat([batch.target for batch in part]) for part in passes]
    assert torch.equal(targets[0], targets[1])
    assert not torch.equal(targets[0], targets[2])
    assert targets[0].shape[1] == 4


def test_what_is_held_out_and_drawn_beside_it_depends_on_the_seed_alone(tmp_path: Path) -> None:
    raw = blocks(tmp_path)
    bytes_of = [(made(raw, tmp_path / name, seed) / "held.parquet").read_bytes() for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_strangers_of_held_out_edges_are_joined_by_no_edge_of_the_whole_graph(tmp_path: Path) -> None:
    folder = made(blocks(tmp_path), tmp_path / "p", strangers=200)
    held = files.read_parquet(folder / "held.parquet")
    assert isinstance(held["strangers"], torch.Tensor)
    every = pairs(read(folder).edges) | pairs(torch.stack((held["source"], held["target"])))
    for source, strangers in zip(held["source"].tolist(), held["strangers"].tolist(), strict=True):
        joined = {other for pair in every if source in pair for other in pair}
        assert not joined & set(strangers)
        assert len(set(strangers)) > (60 - len(joined)) * 0.8


def test_each_stranger_is_as_likely_as_the_others() -> None:
    found = Strangers.of(PATH, 5)
    chance = torch.arange(300, dtype=torch.float64) / 300
    drawn = found.drawn(torch.tensor([1, 0, 4]), chance.expand(3, -1))
    assert drawn[0].unique(return_counts=True)[1].tolist() == [150, 150]
    assert [row.unique().tolist() for row in drawn] == [[3, 4], [2, 3, 4], [0, 1, 2, 3]]
    assert found.drawn(torch.tensor([1]), torch.tensor([[1 - 1e-17]], dtype=torch.float64)).tolist() == [[4]]


def test_edges_are_scored_against_strangers() -> None:
    scores = torch.tensor([[0.1, 0.4], [0.4, 0.8], [0.3, 0.2]], dtype=torch.float64)
    batch = Batch(scores, PATH, torch.arange(3), torch.zeros(3, 2).long())
    metrics = WORKLOAD.score([(Output(scores[:2], "candidates"), batch), (Output(scores[2:], "candidates"), batch)])
    assert next(iter(metrics)) == "roc_auc"
    # Edges 0.1, 0.4, 0.3 against 0.4, 0.8, 0.2: above in two of nine pairs, and once a tie.
    assert metrics == pytest.approx({"roc_auc": 2.5 / 9, "mrr": 2 / 3, "hits@1": 1 / 3, "hits@3": 1, "hits@10": 1})
    tied = WORKLOAD.score([(Output(torch.zeros(1, 4), "candidates"), batch)])
    assert tied["mrr"] == pytest.approx(1 / 2.5)
    sure = Output(torch.tensor([[30.0, -30, -30], [30.0, -30, -30]]), "candidates")
    assert float(WORKLOAD.loss(sure, batch)) < 1e-9
    assert float(WORKLOAD.loss(Output(torch.zeros(2, 3), "candidates"), batch)) == pytest.approx(4 / 3 * 0.6931471806)


def test_edges_are_left_out_at_a_share() -> None:
    batch, rng = Batch(torch.zeros(3, 1), PATH, torch.tensor([0]), torch.tensor([[2]])), torch.Generator().manual_seed(0)
    assert WORKLOAD.thinned is thinned
    assert thinned(1.0, batch, rng).edges.shape == (2, 0)
    assert torch.equal(thinned(0.0, batch, rng).edges, PATH)


def test_graphs_without_enough_edges_or_with_too_many_are_refused(tmp_path: Path) -> None:
    few = [{"source": 0, "target": 1}, {"source": 1, "target": 0}, {"source": 1, "target": 2}]
    with pytest.raises(UserError, match=r"p - wanted edges for training, validation and the test - got 2$"):
        made(parquet(tmp_path / "p", edges=few), tmp_path / "a")
    star = [{"source": 3, "target": node} for node in range(8)]
    with pytest.raises(UserError, match=r"node 3 - wanted nodes that no edge joins to it - there is none$"):
        made(parquet(tmp_path / "q", edges=star), tmp_path / "b")
    with pytest.raises(ValidationError, match=r"wanted shares of valid and test that leave some for training - got 0.5 and 0.5"):
        WORKLOAD.prepare_settings(valid=0.5, test=0.5)


PARAMS = """
seed: 0
threads: 1
teachers:
  blocks:
    workload: static_edges
    raw: data/raw/blocks.json
    prepare: {}
    teach: {model: {family: gcn, hidden: 16}, data: {batch_size: 128}, fit: {epochs: 12, learning_rate: 1.0e-2}}
students:
  edgeless:
    teacher: blocks
    workload: static_edges
    search:
      method: uniform
      budget: {unit: parameters, share: 1.0}
      model: {family: mlp, hidden: 16}
      weights: scratch
      data: {batch_size: 128}
      settings: {}
    distill:
      losses: [{loss: logits, weight: 1.0}]
      task_weight: 0.0
      start: fresh
      data: {batch_size: 128}
      fit: {epochs: 8, learning_rate: 1.0e-2}
    evaluate: {data: {}}
"""


def test_a_student_without_edges_is_taught_and_asked_about_pairs(tmp_path: Path) -> None:
    raw = blocks(tmp_path / "data/raw", nodes=200, signal=1.5)
    (tmp_path / "params.yaml").write_text(PARAMS)
    verbs = Verbs(WORKLOAD, tmp_path / "params.yaml", raw)
    made(raw, tmp_path / "prepared")
    assert verbs.run(teach, "blocks", "prepared", "teacher")["valid_roc_auc"] > 0.65
    verbs.run(search, "edgeless", "prepared", "teacher", "found", part="method")
    assert verbs.run(distill, "edgeless", "prepared", "teacher", "found", "student", part="losses")["valid_roc_auc"] > 0.65
    files.write_parquet(tmp_path / "asked.parquet", {"source": torch.tensor([0, 5, 9]), "target": torch.tensor([1, 8, 100])})
    for model in ("teacher", "student"):
        (tmp_path / model / "curve.csv").unlink()  # a stage puts it elsewhere
        assert predict(tmp_path / model, tmp_path / "asked.parquet", tmp_path / f"{model}.parquet") == 3
        told = files.read_parquet(tmp_path / f"{model}.parquet")
        assert isinstance(told["score"], torch.Tensor)
        torch.testing.assert_close(told["score"].sigmoid(), told["probability"])


def test_a_pair_that_is_asked_about_is_no_edge_of_the_graph_then_and_other_rows_are_refused(tmp_path: Path) -> None:
    folder, context = made(blocks(tmp_path), tmp_path / "p"), tmp_path / "context"
    context.mkdir()
    WORKLOAD.table.keep(folder, context)
    first = read(folder).edges[:, 0]
    [batch] = WORKLOAD.table.ask(context, pa.table({"source": [int(first[0])], "target": [int(first[1])]})).batches
    assert pairs(batch.edges) == pairs(read(folder).edges) - pairs(first[:, None])
    with pytest.raises(UserError, match=r"row 1 - wanted two nodes from 0 to 59 - got 3 and 60\n.*row 2 - .* got 4 and 4"):
        WORKLOAD.table.ask(context, pa.table({"source": [0, 3, 4], "target": [1, 60, 4]}))
