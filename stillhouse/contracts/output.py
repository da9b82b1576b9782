"""The output of a model for a batch: a prediction, and named features that say which of their axes is which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from torch import Tensor
from torch.utils import _pytree

if TYPE_CHECKING:
    from jaxtyping import Float


_Context = tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]
_BRANCHES: list[type] = [Tensor, dict]
_Kind = TypeVar("_Kind", bound=type)


def branching(kind: _Kind) -> _Kind:
    """Lets a kind of dataclass through `torch.export` and all else that maps over tensors: its fields with tensors are branches."""
    _BRANCHES.append(kind)
    _pytree.register_pytree_node(
        kind,
        _flat,
        lambda values, context: _whole(kind, values, context),
        serialized_type_name=f"{kind.__module__}.{kind.__qualname__}",
        flatten_with_keys_fn=_flat_with_keys,
    )
    return kind


def _flat(record: Any) -> tuple[list[Any], _Context]:
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    branches = {name: value for name, value in values.items() if isinstance(value, tuple(_BRANCHES))}
    return list(branches.values()), (tuple(branches), tuple((name, value) for name, value in values.items() if name not in branches))


def _flat_with_keys(record: Any) -> tuple[list[tuple[Any, Any]], _Context]:
    values, context = _flat(record)
    return [(_pytree.GetAttrKey(name), value) for name, value in zip(context[0], values, strict=True)], context


def _whole(kind: type, values: Any, context: _Context) -> Any:
    """Past the constructor, because what stands for a tensor in the meantime may be anything."""
    record: Any = object.__new__(kind)
    for name, value in (*zip(context[0], values, strict=True), *context[1]):
        object.__setattr__(record, name, value)
    return record


@dataclass(frozen=True)
class Layout:
    """What the axes of a feature mean: which one holds channels, which are positions, which (if any) is the batch."""

    channel: int
    positions: tuple[int, ...]
    batch: int | None = None


IMAGE = Layout(channel=1, positions=(2, 3), batch=0)
"""(batch, channel, height, width)"""
NODES = Layout(channel=1, positions=(0,))
"""(nodes, channel): one graph, its nodes are the positions"""


@branching
@dataclass(frozen=True)
class Feature:
    """An intermediate result of a model, under a name in its `Output`, with the meaning of its axes."""

    value: Float[Tensor, " ..."]
    layout: Layout


@branching
@dataclass(frozen=True)
class Output:
    """The output of a model for one batch.

    `prediction` by `meaning`: "classes" is (..., classes) of logits; "candidates" is (queries, candidates) of scores
    with the true answer in column 0; "values" is any shape of real numbers, for which no softmax makes sense.
    `features` are what distillation losses may compare, by name.
    """

    prediction: Float[Tensor, " ..."]
    meaning: Literal["classes", "candidates", "values"]
    features: Mapping[str, Feature] = field(default_factory=dict)

    def __init_subclass__(cls) -> None:
        branching(cls)
