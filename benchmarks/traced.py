"""What is found in networks of other libraries and in handmade ones: groups by kind, and what stays whole because of which operation."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, blueprint_of, groups_of
from stillhouse.space.trace import traced
from stillhouse.space.trace.found import call

name = "traced"
expected_seconds = 60
settings: dict[str, Any] = {}


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """For each network: its groups by kind, the share of its multiply-accumulates that a search can drop, and the layers left whole."""
    warnings.simplefilter("ignore")
    from tests.space.trace.handmade import HANDMADE
    from tests.space.trace.libraries import LIBRARIES

    return [row for name, (make, example, *_) in (LIBRARIES | HANDMADE).items() for row in _rows(name, make, example)]


def _rows(name: str, make: Any, example: Any) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    example = tree_map_only(torch.Tensor, lambda value: torch.randn_like(value) if value.is_floating_point() else value, example)
    model = traced(make().eval(), example)
    groups = groups_of(model)
    kinds = Counter("depth" if group.kind == "depth" else "heads" if group.sharpness > 1 else "width" for group in groups)
    terms = cost.macs(model, lambda: call(model, example))
    least = Architecture({group.name: tuple(range(group.minimum)) for group in groups})
    whole = getattr(blueprint_of(model), "left_whole", {})
    found: dict[str, float] = {f"{kind} groups": kinds[kind] for kind in ("width", "heads", "depth")}
    found["share of MACs that a search can drop"] = 1 - float(cost.evaluate(terms, cost.counts_of(groups, least))) / cost.total(terms)
    reasons = Counter(reason.partition(" in ")[0].partition(":")[0] for reason in whole.values())
    found |= {f"layers left whole: {reason}": count for reason, count in sorted(reasons.items())}
    return [{"set": name, "method": "traced", "metric": metric, "mean": value, "sd": 0.0, "seeds": 1} for metric, value in found.items()]
