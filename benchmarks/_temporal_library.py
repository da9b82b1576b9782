"""The recurrent graph layers of torch-geometric-temporal as whole models, where that package is installed.

It asks for torch-sparse, which has no wheel for every torch, and needs it for one annotation only: install it by
`pip install --no-deps torch-geometric-temporal==0.56.2`, beside pandas, networkx, scipy and scikit-learn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.workloads.graphs.temporal.batch import Batch

PACKAGE = "torch_geometric_temporal"
MODELS: dict[str, Callable[[Any, int, int], nn.Module]] = {
    "library GConvGRU": lambda layers, width, nodes: layers.GConvGRU(1, width, 2),
    "library GConvLSTM": lambda layers, width, nodes: layers.GConvLSTM(1, width, 2),
    "library DCRNN": lambda layers, width, nodes: layers.DCRNN(1, width, 2),
    "library EvolveGCNO": lambda layers, width, nodes: layers.EvolveGCNO(width),
    "library EvolveGCNH": lambda layers, width, nodes: layers.EvolveGCNH(nodes, width),
}


class Model(nn.Module):
    """A layer over the steps of a window, and a linear head."""

    def __init__(self, make: Callable[[int], nn.Module], width: int) -> None:
        super().__init__()
        self.layer = make(width)
        self.evolves = hasattr(self.layer, "reinitialize_weight")
        self.lift = nn.Linear(1, width) if self.evolves else nn.Identity()
        self.head = nn.Linear(width, 1)

    def forward(self, batch: Batch) -> Tensor:
        """(nodes, 1)"""
        state: Any = None
        if self.evolves:
            self.layer.reinitialize_weight()
        for step in range(batch.steps):
            value, (edges, weight) = self.lift(batch.history[:, step]), batch.at(step)
            if self.evolves:
                output = self.layer(value, edges, weight)
            else:
                state = self.layer(value, edges, weight, *(state if isinstance(state, tuple) else (state,)))
                output = state[0] if isinstance(state, tuple) else state
        return self.head(torch.relu(output))


def methods(parameters: int, nodes: int) -> dict[str, Any]:
    """By name, each at the width whose number of parameters comes closest to `parameters`."""
    if find_spec(PACKAGE) is None:
        return {}
    layers = _layers()
    return {name: _maker(build, layers, nodes, parameters) for name, build in MODELS.items()}


def _maker(build: Callable[[Any, int, int], nn.Module], layers: Any, nodes: int, parameters: int) -> Any:
    def model(width: int) -> Model:
        return Model(lambda size: build(layers, size, nodes), width)

    def distance(width: int) -> int:
        return abs(sum(tensor.numel() for tensor in model(width).parameters()) - parameters)

    width = min(range(2, 65), key=distance)

    def make() -> tuple[Any, list[Tensor]]:
        network = model(width)
        return network, list(network.parameters())

    return make


def _layers() -> Any:
    """The package's layers; the sparse type that it names and never uses here is stood in for."""
    if "torch_sparse" not in sys.modules and find_spec("torch_sparse") is None:
        stand_in: Any = ModuleType("torch_sparse")
        stand_in.SparseTensor = type("SparseTensor", (), {})
        sys.modules["torch_sparse"] = stand_in
    import torch_geometric_temporal.nn.recurrent as layers

    return layers
