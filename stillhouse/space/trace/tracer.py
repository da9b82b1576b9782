"""Runs a network once and follows, operation by operation, which entries of its weights belong together and what multiplies what.

The network runs as it is, in plain Python, on an example batch; PyTorch hands every operation that it comes down to over to `Tracer`
(torch.utils._python_dispatch.TorchDispatchMode), so nothing must be exported or rewritten first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from stillhouse.space.trace.labels import Ids, Labels, Ties, free, merged, of_axes, pinned


@dataclass(frozen=True)
class Product:
    """Multiply-accumulates of one operation: `constant` times the number of entries that are kept of each of some axes."""

    module: str
    constant: float
    axes: tuple[Ids, ...]


@dataclass(frozen=True)
class Call:
    """One call of a module: the first tensor that went in, the first that came out, and whether a sum in it has that input as a term."""

    module: str
    inside: Tensor | None
    outside: Tensor | None
    residual: bool
    alone: bool
    """Whether no other tensor came out."""
    returned: Any
    """What the module gave back with True in the place of that tensor, None in that of all else; None for a tensor alone."""


Rule = Callable[["Tracer", Any, tuple[Any, ...], Mapping[str, Any], Any], Labels | list[Labels] | None]
"""rule(tracer, operation, arguments, keywords, result) -> the labels of the result, a list where that is a list; None: never cut."""
RULES: dict[str, Rule] = {}
"""Name of an operation of ATen -> its rule."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers the rule of some operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


class Tracer(TorchDispatchMode):
    """Follows one forward pass. `leaves` are the weights and buffers, each with the numbers of its axes."""

    def __init__(self, leaves: Mapping[Tensor, Sequence[Ids]], ties: Ties) -> None:
        super().__init__()
        self.ties, self.products, self.calls = ties, list[Product](), list[Call]()
        self.read: set[int] = set()
        """The numbers of the axes of weights that are summed over."""
        self.heads: set[int] = set()
        """The numbers of axes along which products are taken side by side, as those of the heads of an attention are."""
        self.used: set[int] = set()
        """The weights and buffers (by `id`) that some operation has read."""
        self._leaves = {id(tensor): tensor for tensor in leaves}
        self._labels = {id(tensor): of_axes(tensor.shape, ids) for tensor, ids in leaves.items()}
        self._weights = {id(tensor) for tensor in leaves if isinstance(tensor, nn.Parameter)}
        self._alive: list[Any] = list(leaves)  # an `id` stays that of its tensor only while that is alive
        self._stack: list[str] = [""]
        self._sums: list[tuple[tuple[str, ...], set[int]]] = []

    def labels(self, tensor: Any) -> Labels:
        """Those of a tensor; what is no result of the weights is never cut."""
        if not isinstance(tensor, Tensor):
            return Labels(())
        return self._labels.get(id(tensor)) or Labels(tuple(tensor.shape))

    def is_weight(self, tensor: Tensor) -> bool:
        """Whether it is a weight, or a view of one."""
        return id(tensor) in self._weights

    def add_weight(self, tensor: Tensor) -> None:
        """This is as good as a weight: what is masked in the weight that it is made of is zero in it."""
        self._weights.add(id(tensor))

    def note_product(self, constant: float, axes: Sequence[Ids]) -> None:
        """Multiply-accumulates of the operation at hand; axes without numbers count whole."""
        whole = [ids for ids in axes if not ids.any()]
        for ids in whole:
            constant *= len(ids)
        self.products.append(Product(self._stack[-1], constant, tuple(ids for ids in axes if ids.any())))

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        self.ties.where = f"{name} in {self._stack[-1] or 'the network'}"
        tensors = [item for item in tree_leaves((args, dict(kwargs))) if isinstance(item, Tensor)]
        self.used |= {id(tensor) for tensor in tensors} & self._leaves.keys()
        self._keep(result, self._labels_of(name, func, args, kwargs, result, tensors))
        if name in VIEWS and tensors and self.is_weight(tensors[0]):
            self._weights |= {id(item) for item in tree_leaves(result) if isinstance(item, Tensor)}
        if name in ("add", "add_"):
            self._sums.append((tuple(self._stack), {id(tensor) for tensor in tensors}))
        self._alive += [*tensors, result]
        return result

    def _labels_of(self, name: str, func: Any, args: Any, kwargs: Any, result: Any, tensors: list[Tensor]) -> Any:
        if name in MAKERS or (name in FREE_VIEWS and tensors and self._is_free(tensors[0])):
            made = [free(item.shape) for item in tree_leaves(result)]
            return made[0] if isinstance(result, Tensor) else made
        known = RULES.get(name.removesuffix("_") if name not in RULES else name)
        if known:  # also where nothing may be cut: it may have a cost
            return known(self, func, args, kwargs, result)
        inputs = [self.labels(tensor) for tensor in tensors]
        if isinstance(result, Tensor) and torch.Tag.pointwise in func.tags:
            return merged(self.ties, inputs, result.shape)
        for labels in inputs:
            pinned(self.ties, labels)
        return None

    def _is_free(self, tensor: Tensor) -> bool:
        return tensor.dim() > 0 and len(self.labels(tensor).free) == tensor.dim()

    def _keep(self, result: Any, found: Any) -> None:
        if isinstance(result, Tensor):
            result, found = [result], [found]
        elif not isinstance(result, list | tuple):  # a plain number, such as whether two tensors are equal
            return
        for tensor, labels in zip(result, found or (), strict=False):
            if isinstance(tensor, Tensor) and labels is not None:
                assert labels.shape == tuple(tensor.shape), (self.ties.where, labels.shape, tensor.shape)
                self._labels[id(tensor)] = labels

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Knows which module each operation is in, for the time of a `with` block."""
        handles = []
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # an attention in one operation would hide its products
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(self._entering(name)))
            handles.append(module.register_forward_hook(self._leaving(name), with_kwargs=True, always_call=True))
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
            for handle in handles:
                handle.remove()

    def _entering(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any) -> None:
            self._stack.append(name)

        return enter

    def _leaving(self, name: str) -> Callable[..., None]:
        def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            self._stack.pop()
            inside, outside = first_tensor((args, kwargs)), first_tensor(output)
            residual = any(name in stack and id(inside) in terms for stack, terms in self._sums)
            shape = None if isinstance(output, Tensor) else tree_map(lambda item: True if item is outside else None, output)
            alone = sum(isinstance(item, Tensor) for item in tree_leaves(output)) == 1
            self.calls.append(Call(name, inside, outside, residual, alone, shape))
            self._alive += [inside, outside]

        return leave


VIEWS = {"t", "transpose", "permute", "view", "_unsafe_view", "alias", "detach", "_to_copy", "unsqueeze", "squeeze", "clone", "expand"}


FREE_VIEWS = VIEWS | {"select", "slice", "split", "unsafe_split", "unbind"}
MAKERS = {"zeros", "new_zeros", "ones", "new_ones", "full", "new_full"}
"""What makes tensors of one value, such as the first state of a recurrent layer."""


def first_tensor(value: Any) -> Tensor | None:
    """The first one in nested containers."""
    return next((item for item in tree_leaves(value) if isinstance(item, Tensor)), None)
