from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.space.blueprint import Architecture, Axis, Blueprint, fixed, masked
from stillhouse.workloads.pictures._shared.convolution import convolution
from stillhouse.workloads.pictures._shared.residual import Builders, Stage, StageShape


class Whole(nn.Module):
    """A stage after a stem, so that it has a blueprint."""

    def __init__(self, shape: StageShape, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.blueprint = blueprint = Blueprint(architecture)

        def branch(name: str, inside: Axis, outside: Axis, stride: int) -> nn.Module:
            return nn.Sequential(blueprint.gate(inside, 1), convolution(inside, outside, 3, stride=stride))

        stem = blueprint.width("stem", 4)
        self.stem = convolution(fixed(2), stem)
        self.stage = Stage(blueprint, "stage", stem, shape, Builders(branch, branch, nn.ReLU))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.stage(self.stem(image).relu())


IMAGE = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        (StageShape(4, 2), {"stem": 4, "stage.blocks": 2}),
        (StageShape(4, 2, 2), {"stem": 4, "stage": 4, "stage.blocks": 1}),
        (StageShape(5, 3), {"stem": 4, "stage": 5, "stage.blocks": 2}),
        (StageShape(5, 1), {"stem": 4, "stage": 5}),
    ],
)
def test_only_blocks_that_keep_width_and_size_can_be_removed(shape: StageShape, groups: dict[str, int]) -> None:
    model = Whole(shape)
    assert {name: group.size for name, group in model.blueprint.groups.items()} == groups
    assert model(IMAGE).shape == (2, shape.width, 6 // shape.stride, 6 // shape.stride)


def test_a_cut_stem_that_happens_to_be_as_narrow_is_still_another_trunk() -> None:
    """Whether a trunk goes on is a matter of the full network, or the groups would differ from cut to cut."""
    cut = Architecture({"stem": (0, 1), "stage": (0, 1), "stage.blocks": (0,)})
    assert "entry" in Whole(StageShape(2, 2)).stage.blocks
    assert "entry" in Whole(StageShape(2, 2), cut).stage.blocks
    assert "entry" in Whole(StageShape(5, 2), cut).stage.blocks


def test_a_block_that_is_masked_out_leaves_the_trunk_as_it_is() -> None:
    model = Whole(StageShape(4, 2))
    with masked(model, {"stage.blocks": torch.zeros(2)}):
        assert torch.equal(model(IMAGE), model.stem(IMAGE).relu())
    assert not torch.equal(model(IMAGE), model.stem(IMAGE).relu())
