"""What a search may cut out of every family: masks, the network that is cut out, its cost, and gradients into soft masks."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, groups_of
from tests.space.cutting import check_cuts, check_gradients, check_removals, check_statistics
from tests.workloads.pictures.classify.families import FAMILIES, IMAGE, builder

every_family = pytest.mark.parametrize("family", FAMILIES)


@every_family
def test_a_masked_network_equals_the_cut_one(family: str) -> None:
    check_cuts(builder(FAMILIES[family]), IMAGE)


@every_family
def test_every_removable_block_can_be_removed_alone(family: str) -> None:
    assert [group for group in groups_of(builder(FAMILIES[family])(None)) if group.kind == "depth"]
    check_removals(builder(FAMILIES[family]), IMAGE)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "transformer"])
def test_dropped_channels_do_not_disturb_the_statistics_of_kept_ones(family: str) -> None:
    check_statistics(builder(FAMILIES[family]), IMAGE)


@every_family
def test_soft_masks_have_a_gradient(family: str) -> None:
    check_gradients(builder(FAMILIES[family]), IMAGE)


@every_family
def test_every_channel_is_in_a_group(family: str) -> None:
    """With one element everywhere nothing else is left: each tensor has only sides of one, of pixels and of the fixed ends."""
    groups = groups_of(builder(FAMILIES[family])(None))
    one = builder(FAMILIES[family])(Architecture({group.name: tuple(range(group.minimum)) for group in groups}))
    for name, value in one.state_dict().items():
        fixed_sides = {"stem.0.weight", "embed.weight", "classify.weight", "classify.bias", "place", "head.1.weight"}
        channels = value.shape[:2] if value.dim() == 4 else value.shape
        assert set(channels) <= {1} or any(name.endswith(ending) for ending in fixed_sides), name


def counted(model: nn.Module, side: int) -> tuple[float, float]:
    image = torch.empty(1, 3, side, side)
    with FlopCounterMode(display=False) as counter:
        model(image)
    macs = cost.total(cost.macs(model, lambda: model(image)))
    assert macs == counter.get_total_flops() / 2
    return macs, cost.total(cost.parameters(model))


EFFICIENT = [
    (16, 1, 1, 1, 3),
    (24, 2, 6, 2, 3),
    (40, 2, 6, 2, 5),
    (80, 3, 6, 2, 3),
    (112, 3, 6, 1, 5),
    (192, 4, 6, 2, 5),
    (320, 1, 6, 1, 3),
]
B0 = [dict(zip(("width", "blocks", "expansion", "stride", "kernel"), row, strict=True)) for row in EFFICIENT]


@pytest.mark.parametrize(
    ("block", "macs", "parameters"),
    [
        ({"family": "resnet", "block": "bottleneck"}, 4_089_184_256, 25_557_032),
        ({"family": "resnet", "blocks": [2, 2, 2, 2]}, 1_814_073_344, 11_689_512),
        ({"family": "mobilenet"}, 300_774_272, 3_504_872),
        ({"family": "mobilenet", "stages": B0, "squeeze": 0.25, "activation": "silu"}, 385_814_752, 5_288_548),
        ({"family": "transformer"}, 1_253_683_200, 5_717_416),
    ],
    ids=["ResNet-50", "ResNet-18", "MobileNetV2", "EfficientNet-B0", "DeiT-Tiny"],
)
def test_published_networks_have_their_published_sizes(block: dict[str, object], macs: float, parameters: float) -> None:
    """Parameters as everywhere stated, for 1000 classes; multiply-adds at 224 by 224, no norm and no bias counted."""
    with torch.device("meta"):
        model = builder(block, {"channels": 3, "height": 224, "width": 224, "classes": 1000})(None).eval()
        assert counted(model, 224) == (macs, parameters)


def test_the_groups_of_resnet_50() -> None:
    """41 structure scalars over 11,468 elements (arXiv 2405.07194, table 2): stem, inner widths, trunks, removable blocks."""
    with torch.device("meta"):
        groups = groups_of(builder({"family": "resnet", "block": "bottleneck"}, {"channels": 3, "classes": 1000})(None))
    inner = [group for group in groups if group.name.endswith((".first", ".second"))]
    trunks = [group for group in groups if group.name in ("stage1", "stage2", "stage3", "stage4")]
    depths = [group for group in groups if group.kind == "depth"]
    stem = [group for group in groups if group.name == "stem"]
    assert [len(part) for part in (stem, inner, trunks, depths)] == [1, 32, 4, 4]
    assert [sum(group.size for group in part) for part in (stem, inner, trunks, depths)] == [64, 7552, 3840, 12]
    assert (len(groups), sum(group.size for group in groups)) == (41, 11_468)


def test_the_trunk_of_a_transformer_is_one_group() -> None:
    model = builder(FAMILIES["transformer"])(None)
    assert [group.name for group in groups_of(model) if "." not in group.name] == ["trunk", "layers"]
    reading = {name for name, module in model.named_modules() for axes in getattr(module, "axes", {}).values() if "trunk" in str(axes)}
    assert {
        "",
        "embed",
        "norm",
        "classify",
        "layers.0.attend.0",
        "layers.0.attend.2.merge",
        "layers.0.feed.2",
        "layers.0.feed.5",
    } <= reading
    assert {tuple(axes[1].parts) for key, axes in model.axes.items() if key in ("token", "place")} == {(("trunk", 6),)}
