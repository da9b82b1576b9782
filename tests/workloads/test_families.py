"""What every model family owes its workload, the project's own and installed ones included."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jaxtyping import Float, jaxtyped
from pydantic import TypeAdapter
from torch import Tensor, nn

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.training.spread import shares
from tests.space.cutting import random_architecture
from tests.workloads.untrained import TEACHERS, WORKLOADS, teacher

FAMILIES = [(workload, family) for workload in WORKLOADS for family in registry.family_modules(workload)]
AXES = {
    "classes": Float[Tensor, "batch *places classes"],
    "candidates": Float[Tensor, "queries candidates"],
    "values": Float[Tensor, "*rows outputs"],
}
"""Meaning of a prediction -> its axes."""
TINY_VIT = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 24,
    "patch_size": 4,
}


def _member(model: dict[str, Any], *sizes: int) -> dict[str, Any]:
    """A trained network without its weights."""
    named = dict(zip(("channels", "height", "width", "classes"), sizes, strict=True))
    return {"record": {"model": model, "sizes": named, "architecture": None}}


FOREIGN: dict[tuple[str, str], dict[str, Any]] = {
    ("classify", "module"): {"factory": "tests.workloads.foreign:Classifier"},
    ("segment", "module"): {"factory": "tests.workloads.foreign:segmenter", "prediction": 1},
    ("temporal", "module"): {"factory": "tests.workloads.foreign:forecaster", "arguments": {"inputs": 10}},
    ("knowledge", "module"): {"factory": "tests.workloads.foreign:Walk", "arguments": {"width": 4, "steps": 1}},
    ("detect", "module"): {"factory": "tests.workloads.foreign:Boxes", "arguments": {"channels": 1, "classes": 10}},
    ("queue", "module"): {"factory": "tests.workloads.foreign:States", "arguments": {"states": 20}},
    ("text_classes", "module"): {"factory": "tests.workloads.foreign:Bag", "arguments": {"vocabulary": 512, "classes": 4}},
    ("language", "module"): {"factory": "tests.workloads.foreign:Next", "arguments": {"vocabulary": 512}},
    ("static_nodes", "module"): {"factory": "tests.workloads.foreign:Nodes", "arguments": {"features": 16, "classes": 4}},
    ("static_edges", "module"): {"factory": "tests.workloads.foreign:Pairs", "arguments": {"features": 16}},
    ("static_graphs", "module"): {"factory": "tests.workloads.foreign:Graphs", "arguments": {"features": 4, "classes": 3}},
    ("classify", "transformers"): {"config": TINY_VIT},
    ("classify", "ensemble"): {"members": [_member({"family": "resnet", "width": 4, "blocks": [1, 1]}, 1, 8, 8, 10)] * 2},
    ("segment", "ensemble"): {"members": [_member({"family": "pspnet", "width": 4, "blocks": [1, 1, 1]}, 1, 48, 64, 11)] * 2},
}
"""Families whose settings have no defaults -> their settings."""
every_family = pytest.mark.parametrize(("workload", "family"), FAMILIES, ids=["-".join(pair) for pair in FAMILIES])


@cache
def made(workload: str) -> SimpleNamespace:
    """The workload on the data of its first teacher, with one batch."""
    found = teacher(workload, Path(mkdtemp()))
    data = found.workload.load(found.data, found.prepared)
    batch = next(iter(data.valid.draw(torch.Generator().manual_seed(0))))
    trained = next(iter(data.train.draw(torch.Generator().manual_seed(0))))
    return SimpleNamespace(part=found.workload, data=data, sizes=data.sizes, batch=batch, trained=trained, prepared=found.prepared)


def network(workload: str, family: str, architecture: Architecture | None = None) -> nn.Module:
    """With the settings of a teacher of this family, or else with its defaults."""
    blocks = [block["teach"]["model"] for block in TEACHERS.values() if block["workload"] == workload]
    chosen: dict[str, Any] = next(
        (block for block in blocks if block.get("family") == family), {"family": family} | FOREIGN.get((workload, family), {})
    )
    here = made(workload)
    settings = TypeAdapter(here.part.model_settings).validate_python(chosen)
    torch.manual_seed(0)
    try:
        model: nn.Module = here.part.model(settings, here.sizes, architecture).eval()
    except UserError as refused:
        pytest.skip(f"its defaults are not for these data: {refused}")
    return model


def output(workload: str, model: nn.Module) -> Output:
    here = made(workload)
    with torch.no_grad():
        found: Output = here.part.apply(model, here.batch)
    return found


def prediction(workload: str, model: nn.Module) -> Tensor:
    return output(workload, model).prediction.double()


def test_every_workload_of_the_library_has_a_teacher_to_try_its_families_on() -> None:
    ours = {name for name, found in registry.known("workloads").items() if found.module.startswith("stillhouse.")}
    assert {registry.module("workloads", name) for name in WORKLOADS} == {registry.module("workloads", name) for name in ours}


@every_family
def test_the_same_settings_and_seed_are_the_same_network(workload: str, family: str) -> None:
    first, second = (network(workload, family) for _ in range(2))
    assert first.state_dict().keys() == second.state_dict().keys()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


@every_family
@jaxtyped(typechecker=None)
def test_its_output_has_the_axes_of_its_meaning(workload: str, family: str) -> None:
    """One name of an axis is one length throughout, in features too."""
    found = output(workload, network(workload, family))
    assert isinstance(found.prediction, AXES[found.meaning])
    for name, feature in found.features.items():
        layout = feature.layout
        named = [axis for axis in (layout.batch, layout.channel, *layout.positions) if axis is not None]
        assert sorted(named) == list(range(feature.value.dim())), name
        if found.meaning == "classes" and layout.batch is not None:
            assert isinstance(feature.value.movedim(layout.batch, 0), Float[Tensor, "batch ..."]), name


@every_family
def test_what_is_cut_out_predicts_and_costs_what_is_masked(workload: str, family: str) -> None:
    """In single precision and with the weights of the beginning; a family's own tests hold it to 1e-10."""
    model = network(workload, family)
    groups, rng = groups_of(model), torch.Generator().manual_seed(0)
    architecture = random_architecture(groups, rng)
    static = network(workload, family, architecture)
    static.load_state_dict(extract(model, architecture))
    with masked(model, hard_masks(groups, architecture, torch.ones(1))):
        wanted = prediction(workload, model)
    assert wanted.isfinite().all()
    torch.testing.assert_close(prediction(workload, static), wanted, rtol=1e-3, atol=1e-4)
    counted = cost.evaluate(cost.parameters(model), cost.counts_of(groups, architecture))
    assert float(counted) == sum(value.numel() for value in static.parameters())


@pytest.mark.parametrize("workload", [name for name in WORKLOADS if registry.workload(name).split])
def test_the_parts_of_a_batch_add_up_to_its_loss(workload: str) -> None:
    """Several devices minimise what one does; norms stand still here."""
    here, block = made(workload), next(block for block in TEACHERS.values() if block["workload"] == workload)
    model, split = network(workload, block["teach"]["model"].get("family", "pspnet")), here.part.split
    with torch.no_grad():
        wanted = here.part.loss(here.part.apply(model, here.trained), here.trained)
        parts = [share.of(here.part.loss, here.part.apply(model, part), part) for _, part, share in shares(split, here.trained, 3)]
    assert len(parts) == 3
    torch.testing.assert_close(torch.stack(parts).sum(), wanted, rtol=1e-4, atol=1e-6)
