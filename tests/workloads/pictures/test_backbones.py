"""A network that has learnt classes of pictures lends its weights to one that finds boxes or gives each pixel a class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import nn

from stillhouse.contracts.parts import Workload
from stillhouse.contracts.settings import Settings
from stillhouse.stages.teach import TeachSettings
from stillhouse.training import given
from stillhouse.workloads.pictures import classify, detect, segment

SHAPE = {"stem": "small", "width": 4, "blocks": [1, 2, 1], "dilated": 1}
BLOCKS = {
    "segment": (segment.WORKLOAD, {"family": "pspnet", **SHAPE}),
    "detect": (detect.WORKLOAD, {"family": "fcos", "backbone": SHAPE, "pyramid": {"width": 4, "lowest": 0, "highest": 1}}),
}
SIZES = {"channels": 3, "height": 24, "width": 24, "classes": 3}


def built(workload: Workload, block: dict) -> nn.Module:
    return workload.model(TypeAdapter(workload.model_settings).validate_python(block), SIZES, None)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    save_file(built(classify.WORKLOAD, {"family": "resnet", **SHAPE}).state_dict(), tmp_path / "classifier.safetensors")
    return tmp_path / "classifier.safetensors"


@pytest.mark.parametrize("name", BLOCKS)
def test_the_backbone_is_the_classifiers(name: str, weights: Path) -> None:
    model = built(*BLOCKS[name])
    given.load(model, weights, "backbone")
    lent, kept = given.read(weights), model.state_dict()
    own = [key for key in kept if key.startswith("backbone.")]
    assert own
    assert all(torch.equal(kept[key], lent[key]) for key in own)


def test_a_part_alone_is_no_teacher(weights: Path) -> None:
    part = {"path": str(weights), "sha256": given.digest(weights), "part": "backbone"}
    with pytest.raises(ValidationError, match=r"should say how the network is trained, of which given\.part, backbone, names"):
        TeachSettings(model=Settings(), data=None, given=part)  # type: ignore[arg-type, call-arg]
    assert TeachSettings(model=Settings(), data=None, given=part, fit={"epochs": 1, "learning_rate": 0.1}).given  # type: ignore[arg-type]
