"""The output of a model for a batch: a prediction, and named features that say which of their axes is which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor
from torch.utils._pytree import register_pytree_node

if TYPE_CHECKING:
    from jaxtyping import Float


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


@dataclass(frozen=True)
class Feature:
    """An intermediate result of a model, under a name in its `Output`, with the meaning of its axes."""

    value: Float[Tensor, " ..."]
    layout: Layout


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


def _flatten(output: Output) -> tuple[list[Tensor], Any]:
    layouts = tuple((name, feature.layout) for name, feature in output.features.items())
    return [output.prediction, *(feature.value for feature in output.features.values())], (output.meaning, layouts)


def _unflatten(values: Iterable[Tensor], context: Any) -> Output:
    prediction, *features = values
    meaning, layouts = context
    named = {name: Feature(value, layout) for value, (name, layout) in zip(features, layouts, strict=True)}
    return Output(prediction, meaning, named)


# Whatever looks for the tensors of a result, as tracing and export do, finds them here too.
register_pytree_node(Output, _flatten, _unflatten, serialized_type_name="stillhouse.Output")
