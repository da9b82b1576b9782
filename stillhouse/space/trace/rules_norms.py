"""Operations that norm: by statistics of each channel, of all channels of a place, of groups of channels, or of a weight's rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from stillhouse.space.trace.labels import collapse, merged, pinned, single
from stillhouse.space.trace.rules_sums import along
from stillhouse.space.trace.tracer import Tracer, rule

Given = Mapping[str, Any]


@rule(
    "native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit", "_batch_norm_with_update", "cudnn_batch_norm"
)
def _batch_norm(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    rank = len(args[0].shape)
    value = single(tracer.ties, tracer.labels(args[0]), 1)
    vectors = [along(tracer.labels(item), rank) for item in args[1:5] if isinstance(item, Tensor)]
    return [merged(tracer.ties, [value, *vectors], args[0].shape)]


@rule("native_layer_norm", "_fused_rms_norm", "rms_norm")
def _layer_norm(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    rank, own = len(args[0].shape), len(args[1])
    for item in args[2:4]:
        if isinstance(item, Tensor):
            pinned(tracer.ties, tracer.labels(item))
    labels = collapse(tracer.ties, tracer.labels(args[0]), range(rank - own, rank))
    return labels if isinstance(result, Tensor) else [labels, None, None][: len(result)]


@rule("native_group_norm")
def _group_norm(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """(batch, channels, places...): the channels that are normed together are dropped together."""
    rank, groups = args[0].dim(), args[6]
    value = collapse(tracer.ties, single(tracer.ties, tracer.labels(args[0]), 1), range(2, rank))
    vectors = [along(tracer.labels(item), rank) for item in args[1:3] if isinstance(item, Tensor)]
    labels = merged(tracer.ties, [value, *vectors], args[0].shape)
    if groups == 1:
        return [collapse(tracer.ties, labels, [1]), None, None]
    together = labels.ids(1).reshape(groups, -1)
    tracer.ties.tie(together, together[:, :1])
    return [labels, None, None]


@rule("_weight_norm_interface")
def _weight_norm(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """A direction and the size of each of its rows: columns that are masked add nothing to the norm of a row."""
    direction, size = tracer.labels(args[0]), tracer.labels(args[1])
    if (args[2] if len(args) > 2 else 0) != 0:
        pinned(tracer.ties, direction), pinned(tracer.ties, size)
        return None
    tracer.ties.tie(direction.ids(0), size.ids(0))
    tracer.add_weight(result[0])
    return [direction, None]
