"""Memory: the bytes that are alive while a small network runs, counted apart, and those of what is cut out of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stillhouse.space.blueprint import full, groups_of
from stillhouse.space.cost import counts_of
from stillhouse.space.memory import memory
from stillhouse.space.trace import cut, traced
from tests.space.cutting import random_architecture


class Alive(TorchDispatchMode):
    """The most bytes of results that were alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most, self.known = 0, 0, set[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage()
            if isinstance(tensor, Tensor) and tensor._base is None and func.overloadpacket.__name__ not in ("t", "detach"):
                self.now += storage.nbytes()
                weakref.finalize(tensor, self._free, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def _free(self, size: int) -> None:
        self.now -= size


def small() -> nn.Module:
    """Its largest operation is in the middle."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 3)).eval()


def alive(run: Callable[[], object]) -> int:
    with torch.no_grad(), Alive() as counter:
        run()
    return counter.most


def test_a_network_needs_its_weights_and_what_is_alive_at_once() -> None:
    model, rows = small(), torch.randn(10, 4)
    wanted = 4 * sum(weight.numel() for weight in model.parameters()) + alive(lambda: model(rows))
    assert memory(model, lambda: model(rows)).total() == wanted


def test_what_is_cut_out_needs_what_the_counts_say() -> None:
    rows = torch.randn(10, 4)
    model = traced(small(), (rows,))
    groups, found = groups_of(model), memory(model, lambda: model(rows))
    assert float(found.evaluate(counts_of(groups, full(groups)))) == found.total()
    for seed in range(5):
        architecture = random_architecture(groups, torch.Generator().manual_seed(seed))
        static = cut(model, architecture)
        wanted = 4 * sum(weight.numel() for weight in static.parameters()) + alive(lambda static=static: static(rows))  # type: ignore[misc]
        assert float(found.evaluate(counts_of(groups, architecture))) == wanted
        assert memory(static, lambda static=static: static(rows)).total() == wanted  # type: ignore[misc]


def test_the_largest_activation_has_a_gradient() -> None:
    rows = torch.randn(10, 4)
    model = traced(small(), (rows,))
    counts = {name: count.requires_grad_() for name, count in counts_of(groups_of(model), full(groups_of(model))).items()}
    first, second = torch.autograd.grad(memory(model, lambda: model(rows)).evaluate(counts), list(counts.values()))
    assert (float(first), float(second)) == pytest.approx((4 * (5 + 32), 4 * (24 + 1 + 3) + 4 * 10 * 2))
