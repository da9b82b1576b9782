"""Many architectures once, small and with random weights: is anything found in them, and does a network cut to half equal its masks?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves, tree_map_only

from benchmarks._cells import Cell, Row, measure
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.searches._rounding import Rounding
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.space.trace import cut, traced
from stillhouse.space.trace.found import call

name = "architectures"
expected_seconds = 150
settings: dict[str, Any] = {"share": 0.5}


def run(data: Path | None = None) -> Iterator[Row]:
    """Of each the groups that are found, the share of the multiply-accumulates after the cut, and the difference in double precision.

    The difference is that of the smaller network from the masked one, as a share of the largest number. What is refused has `found` 0.
    """
    warnings.simplefilter("ignore")
    cells = [Cell(title, "traced", 0, dict(settings)) for title in _cases()]
    yield from measure(cells, lambda cell: {cell.set: _found(cell)})


def _cases() -> dict[str, tuple[Callable[[], nn.Module], Any]]:
    from benchmarks._architectures import ARCHITECTURES
    from tests.space.trace.layers import LAYERS

    return {title: (each.build, each.example) for title, each in ARCHITECTURES.items()} | {
        title: (make, example) for title, (make, example, *_) in LAYERS.items()
    }


def _found(cell: Cell) -> Metrics:
    torch.manual_seed(cell.seed)
    make, example = _cases()[cell.set]
    model = _unlike_its_start(make().double().eval())
    example = tree_map_only(Tensor, lambda value: torch.randn_like(value.double()) if value.is_floating_point() else value, example)
    try:
        traced(model, example)
    except UserError:
        return {"found": 0.0}
    groups = groups_of(model)
    kinds = ["depth" if group.kind == "depth" else "heads" if group.sharpness > 1 else "width" for group in groups]
    with sdpa_kernel(SDPBackend.MATH):
        share, gap = _halved(model, example, float(cell.settings["share"]))
    return {"found": 1.0, **{f"{kind} groups": float(kinds.count(kind)) for kind in ("width", "heads", "depth")}} | {
        "share of MACs": share,
        "difference": gap,
    }


def _unlike_its_start(model: nn.Module) -> nn.Module:
    """Where all numbers of a tensor are alike, as a norm's ones and zeros, they would hide mistakes."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point() and tensor.numel() and (tensor == tensor.flatten()[0]).all():
            tensor.data = tensor.data + 0.1 * torch.rand_like(tensor)
    return model


def _halved(model: nn.Module, example: Any, share: float) -> tuple[float, float]:
    """What is left of the multiply-accumulates, and how far the smaller network is from the masked one."""
    groups = groups_of(model)
    macs = cost.macs(model, lambda: call(model, example))
    architecture = _cut(model, macs, share)
    with masked(model, hard_masks(groups, architecture, next(model.parameters()))):
        wanted = _outputs(model, example)
    smaller = cut(model, architecture)
    smaller.load_state_dict(extract(model, architecture))
    found = _outputs(smaller, example)
    gaps = [float((one - other).abs().max() / other.abs().max()) for one, other in zip(found, wanted, strict=True)]
    return float(cost.evaluate(macs, cost.counts_of(groups, architecture))) / cost.total(macs), max(gaps)


def _cut(model: nn.Module, macs: Any, share: float) -> Architecture:
    """All widths by one share, with all blocks; the least there can be where that is still too much."""
    groups = groups_of(model)
    rounding = Rounding(groups, lambda counts: cost.evaluate(macs, counts), share * cost.total(macs))
    widths = {group.name: 1.0 for group in groups if group.kind == "width"}
    blocks = {group.name: tuple(range(group.size)) for group in groups if group.kind == "depth"}
    try:
        return rounding.fit(widths, blocks, {group.name: torch.zeros(group.size) for group in groups})
    except UserError:
        return Architecture({group.name: tuple(range(group.minimum)) for group in groups})


def _outputs(model: nn.Module, example: Any) -> list[Tensor]:
    with torch.no_grad():
        return [item for item in tree_leaves(call(model, example)) if isinstance(item, Tensor) and item.is_floating_point()]
