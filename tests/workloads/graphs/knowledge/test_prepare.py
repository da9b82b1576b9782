"""Prepared tables: byte for byte the same, splits apart, and false answers from where the settings say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs.knowledge.prepare import PrepareSettings, prepare

DIAGRAM = {"generator": "family_diagram_2", "depth": 4, "seed": 1}


def prepared(folder: Path, raw: Path, seed: int = 0, **settings: object) -> Path:
    """The folder, filled."""
    folder.mkdir()
    prepare(PrepareSettings(**settings), raw, folder, torch.Generator().manual_seed(seed))
    return folder


@pytest.fixture
def diagram(tmp_path: Path) -> Path:
    (tmp_path / "diagram.json").write_text(json.dumps(DIAGRAM))
    return tmp_path / "diagram.json"


@pytest.fixture
def inductive(tmp_path: Path) -> Path:
    """Two graphs; the query of the second one asks about a node without an observed edge."""
    parts = {"a/train": "x r y\ny r z\nz s x", "a/valid": "x r z", "b/train": "p s q\nq s m", "b/test": "p s m\nm r lonely"}
    for name, text in parts.items():
        (tmp_path / f"{name}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


def triples(folder: Path, name: str) -> set[tuple[int, ...]]:
    return set(zip(*(read_parquet(folder / f"{name}.parquet")[part].tolist() for part in ("head", "relation", "tail")), strict=True))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_twice_gives_equal_bytes_and_another_seed_other_lists(tmp_path: Path, diagram: Path) -> None:
    first, again = (contents(prepared(tmp_path / name, diagram)) for name in ("a", "b"))
    assert first == again
    other = contents(prepared(tmp_path / "c", diagram, seed=1))
    changed = {name for name in first if first[name] != other[name]}
    assert changed == {f"{split}_{task}.parquet" for split in ("valid", "test") for task in ("node", "relation", "mixed")} - {
        "valid_relation.parquet"  # of two relations the other one is the only false answer
    }


def test_splits_are_disjoint_and_lists_start_with_the_truth(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "umls", Path(__file__).parents[4] / "data" / "raw" / "umls.json")
    train, valid, test = (triples(folder, name) for name in ("train", "valid", "test"))
    assert (len(train), len(valid), len(test)) == (5216, 652, 661)
    assert train.isdisjoint(valid)
    assert test.isdisjoint(train | valid)
    assert triples(folder, "test_graph") == train
    known = train | valid | test
    for split, true in (("valid", valid), ("test", test)):
        for task in ("node", "relation", "mixed"):
            columns = read_parquet(folder / f"{split}_{task}.parquet")
            lists = torch.stack([columns[name] for name in ("head", "relation", "tail")], -1)
            assert {tuple(first) for first in lists[:, 0].tolist()} == true
            forward = lists[:, 1:][lists[:, 1:, 1] < 46]
            assert known.isdisjoint(map(tuple, forward.tolist()))
            backward = lists[:, 1:][lists[:, 1:, 1] >= 46]
            assert known.isdisjoint((tail, kind - 46, head) for head, kind, tail in backward.tolist())


def test_clean_lists_ask_for_nodes_with_an_edge_and_published_ones_for_all(tmp_path: Path, inductive: Path) -> None:
    clean = prepared(tmp_path / "clean", inductive, train="a", test="b", negatives=20)
    names = read_parquet(clean / "names.parquet")
    nodes = [
        name for graph, kind, name in zip(names["graph"], names["kind"], names["name"], strict=True) if (graph, kind) == ("test", "node")
    ]
    assert nodes == ["lonely", "m", "p", "q"]
    false = read_parquet(clean / "test_node.parquet")["tail"][:, 1:]
    assert set(false.flatten().tolist()) == {1, 2, 3}
    authors = prepared(tmp_path / "authors", inductive, train="a", test="b", negatives=20, candidates="authors")
    assert read_json(authors / "sizes.json") == {"test_nodes": 7, "test_relations": 2, "train_nodes": 3, "train_relations": 2}
    assert len(set(read_parquet(authors / "test_node.parquet")["tail"].flatten().tolist())) == 7


def test_heads_can_be_asked_for_as_tails_of_the_inverse(tmp_path: Path, inductive: Path) -> None:
    folder = prepared(tmp_path / "both", inductive, train="a", test="b", candidates="authors", directions="both")
    true = read_parquet(folder / "test_node.parquet")
    assert sorted(true["relation"][:, 0].tolist()) == [0, 1, 2, 3]
    assert torch.equal(true["head"][:2, 0], true["tail"][2:, 0])
    assert len(read_parquet(folder / "test_relation.parquet")["head"]) == 2


def test_queries_of_the_diagram_are_not_observed(tmp_path: Path, diagram: Path) -> None:
    folder = prepared(tmp_path / "fd", diagram)
    observed = triples(folder, "train_graph")
    assert len(observed) == 30
    assert observed.isdisjoint(triples(folder, "train") | triples(folder, "valid"))


def test_a_repeated_triple_counts_once(tmp_path: Path) -> None:
    for name, text in {"train": "a r b\na r b\nb s c\nc r d", "valid": "a s b", "test": "b r c"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    facts = prepare(PrepareSettings(negatives=2), tmp_path, tmp_path / "out", torch.Generator().manual_seed(0))
    assert facts["train_triples"] == 3
    assert (facts["train_nodes"], facts["train_relations"]) == (4, 2)


def test_a_single_relation_is_refused_by_name_of_the_split(tmp_path: Path) -> None:
    for name, text in {"train": "a r b\nb r c", "valid": "a r c", "test": "c r a"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(ValueError, match=r"valid queries: wanted at least 2 possible answers .* - got 1: there is one relation alone"):
        prepare(PrepareSettings(), tmp_path, tmp_path / "out", torch.Generator().manual_seed(0))
