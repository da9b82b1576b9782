"""What may be searched in a network: its groups with their sizes and shares of the cost, and what is left whole.

`python -m stillhouse.runner.inspect TEACHER` prints it as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Workload
from stillhouse.record import own
from stillhouse.runner import params
from stillhouse.runner.entries import PARAMS
from stillhouse.space import cost
from stillhouse.space.blueprint import Group, blueprint_of, full
from stillhouse.training.score import first_batch

Facts = dict[str, Any]


def facts(name: str) -> Facts:
    """The facts of a teacher of params.yaml, trained or not; of one whose data are prepared also the shares of MACs.

    Raises UserError if there is no such teacher, or its data are not prepared.
    """
    block = params.read(PARAMS, "teach", name)
    workload, prepared = block.parts["workload"], Path("data") / name / "prepared"
    if not prepared.is_dir():
        wanted = "wanted prepared data, which say how large the inputs are"
        raise UserError(f"{prepared} - {wanted} - there are none: stillhouse run prepare@{name}")
    data = workload.load(block.settings.data, prepared)
    torch.manual_seed(block.seed)
    model = workload.model(block.settings.model, data.sizes, None)
    return {"name": name, **_of(workload, model, first_batch(data.valid, torch.device("cpu")))}


def _of(workload: Workload[Any], model: nn.Module, example: Any) -> Facts:
    blueprint = blueprint_of(model.eval())
    groups = tuple(blueprint.groups.values())
    costs = {"parameters": cost.parameters(model), "macs": cost.macs(model, lambda: workload.apply(model, example))}
    rows = [{"name": group.name, "kind": group.kind, "size": group.size} | _shares(group, groups, costs) for group in groups]
    totals = {name: cost.total(found) for name, found in costs.items()}
    return {**totals, "groups": rows, "left_whole": dict(getattr(blueprint, "left_whole", {}))}


def _shares(group: Group, groups: tuple[Group, ...], costs: dict[str, cost.Cost]) -> dict[str, float]:
    """Of each cost the share that is saved where the group alone is dropped as a whole."""
    counts = cost.counts_of(groups, full(groups))
    without = counts | {group.name: torch.zeros_like(counts[group.name])}
    return {name: 1 - float(cost.evaluate(found, without) / cost.evaluate(found, counts)) for name, found in costs.items()}


if __name__ == "__main__":
    try:
        with own.telling():
            print(json.dumps(facts(sys.argv[1])))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
