"""Model folders: what was written is built again, also from names of groups that are no longer given."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from stillhouse.space.blueprint import Architecture, groups_of
from stillhouse.space.extraction import extract
from stillhouse.training.checkpoint import read_model, write_model
from stillhouse.workloads.pictures.classify import WORKLOAD
from tests.space.cutting import random_architecture
from tests.workloads.pictures.classify.families import FAMILIES, SIZES, builder


def test_a_model_whose_groups_have_their_old_names_is_the_same_network(tmp_path: Path) -> None:
    network = builder(FAMILIES["transformer"])(None)
    architecture = random_architecture(groups_of(network), torch.Generator().manual_seed(0))
    description = {"model": FAMILIES["transformer"], "sizes": SIZES, "architecture": architecture.kept}
    write_model(tmp_path / "new", extract(network, architecture), description)
    write_model(tmp_path / "old", extract(network, architecture), description | {"architecture": old_names(architecture)})
    image = torch.randn(2, SIZES["channels"], SIZES["height"], SIZES["width"], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        new, old = (read_model(WORKLOAD, tmp_path / name)(image).prediction for name in ("new", "old"))
    assert "layer0.asked" in json.loads((tmp_path / "old" / "model.json").read_text())["architecture"]
    assert torch.equal(new, old)


def test_an_architecture_is_read_by_its_old_names_and_written_by_its_new_ones() -> None:
    read = Architecture.from_json('{"layer0.asked": [0, 2], "layer0.told": [1], "asked": [0]}')
    assert json.loads(read.to_json()) == {"layer0.query_key": [0, 2], "layer0.value": [1], "asked": [0]}


def old_names(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    return {name.replace(".query_key", ".asked").replace(".value", ".told"): ids for name, ids in architecture.kept.items()}
