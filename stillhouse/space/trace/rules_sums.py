"""Operations that sum over axes: products of matrices, convolutions, attention, means and what else mixes entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from stillhouse.space.trace.labels import Ids, Labels, collapse, merged, of_axes, pinned, single
from stillhouse.space.trace.tracer import Tracer, rule

Given = Mapping[str, Any]


def summed(tracer: Tracer, pairs: Sequence[tuple[Tensor, Labels, int]]) -> tuple[Ids, list[Labels]]:
    """The axes that a product sums over: their numbers, and the labels without them. (tensor, its labels, the axis) of each factor.

    Where one factor is a weight, it is masked there, so that what is dropped counts as zero. Between two results nothing does that, and
    only other axes of their blocks can be cut, such as whole heads.
    """
    if not any(tracer.is_weight(tensor) for tensor, _, _ in pairs):
        found = [collapse(tracer.ties, labels, [axis]) for _, labels, axis in pairs]
        return np.zeros(pairs[0][0].shape[pairs[0][2]], dtype=np.int64), found
    alone = [single(tracer.ties, labels, axis) for _, labels, axis in pairs]
    columns = [labels.ids(axis) for labels, (_, _, axis) in zip(alone, pairs, strict=True)]
    known = [of_axes(column.shape, [column]) for column, labels in zip(columns, alone, strict=True) if not labels.free or labels.blocks]
    both = merged(tracer.ties, known, columns[0].shape).ids(0)
    for column, (tensor, _, _) in zip(columns, pairs, strict=True):
        if tracer.is_weight(tensor):
            tracer.read |= set(column.tolist())
    return both, [
        Labels(labels.shape, tuple(b for b in labels.blocks if b[0] != (axis,))) for labels, (*_, axis) in zip(alone, pairs, strict=True)
    ]


@rule("mm", "addmm", "bmm", "baddbmm")
def _product(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    added = func.overloadpacket.__name__ in ("addmm", "baddbmm")
    one, other = args[1:3] if added else args[:2]
    rank = one.dim()
    over, (left, right) = summed(tracer, [(one, tracer.labels(one), rank - 1), (other, tracer.labels(other), rank - 2)])
    ids: list[Ids] = []
    if rank == 3:  # what is cut along the batch, such as heads, stands alone there
        left, right = (single(tracer.ties, labels, 0) for labels in (left, right))
        ids.append(merged(tracer.ties, [_only(labels, 0) for labels in (left, right)], (result.shape[0],)).ids(0))
        tracer.heads |= set(ids[0].tolist())
    ids += [single(tracer.ties, labels, axis).ids(axis) for labels, axis in ((left, rank - 2), (right, rank - 1))]
    tracer.note_product(1.0, [over, *ids])
    found = of_axes(result.shape, ids)
    return merged(tracer.ties, [found, tracer.labels(args[0])], result.shape) if added else found


@rule("_grouped_mm")
def _experts(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """Each row by one of many matrices: its sizes have to be multiples of sixteen bytes, so that nothing may be cut; but it has a cost."""
    for value in args[:2]:
        pinned(tracer.ties, tracer.labels(value))
    tracer.note_product(result.numel() * args[0].shape[-1], [])


def _repeated(labels: Labels, size: int) -> Labels:
    """Heads of keys and values, each for several of the queries' heads that stand side by side."""
    ids = labels.ids(0)
    return of_axes((size,), [ids.repeat(size // len(ids))]) if len(ids) > 1 else labels


def _only(labels: Labels, axis: int) -> Labels:
    """One axis as a tensor of its own."""
    return of_axes((labels.shape[axis],), [labels.ids(axis)])


@rule("dot", "mv", "addmv")
def _vector(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    for value in args:
        if isinstance(value, Tensor):
            pinned(tracer.ties, tracer.labels(value))


@rule("convolution", "mkldnn_convolution", "cudnn_convolution")
def _convolution(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    value, weight, bias, *_, transposed, _, groups = args[:9]
    labels, kernel = single(tracer.ties, tracer.labels(value), 1), tracer.labels(weight)
    labels = collapse(tracer.ties, labels, range(2, value.dim()))
    outside, inside = (1, 0) if transposed else (0, 1)
    area = prod(weight.shape[2:]) * prod((value if transposed else result).shape[2:]) * result.shape[0]
    if not tracer.is_weight(weight) or (transposed and groups > 1):
        pinned(tracer.ties, labels), pinned(tracer.ties, kernel)
        tracer.note_product(area * prod(weight.shape[:2]), [])
        return None
    if groups == 1:
        over, _ = summed(tracer, [(value, labels, 1), (weight, kernel, inside)])
        made = kernel.ids(outside)
        tracer.note_product(area, [over, made])
    else:
        made = _grouped(tracer, labels.ids(1), kernel, groups, area)
    found = of_axes(result.shape, [np.zeros(1, dtype=np.int64), made])
    return found if bias is None else merged(tracer.ties, [found, along(tracer.labels(bias), len(result.shape))], result.shape)


def along(labels: Labels, rank: int) -> Labels:
    """A vector along axis 1 of a tensor."""
    shape = (1, labels.shape[0], *[1] * (rank - 2))
    return Labels(shape, tuple(((1,), ids) for _, ids in labels.blocks))


def _grouped(tracer: Tracer, inside: Ids, kernel: Labels, groups: int, area: float) -> Ids:
    """Depthwise, an output is dropped with its input. Else each group keeps the same places among its own, so their number stays."""
    made = kernel.ids(0)
    if kernel.shape[1] == 1:
        each = inside.repeat(kernel.shape[0] // groups)
        both = merged(tracer.ties, [of_axes(each.shape, [each]), of_axes(made.shape, [made])], made.shape).ids(0)
        tracer.note_product(area, [both])
        return both
    columns = kernel.ids(1)
    tracer.ties.tie(inside.reshape(groups, -1), columns[None])
    tracer.ties.tie(made.reshape(groups, -1), made.reshape(groups, -1)[:1])
    tracer.read |= set(columns.tolist())
    tracer.note_product(area, [columns, made])
    return made


@rule("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention")
def _attention(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """(batch, heads, places, channels) of queries, keys and values: heads are what can be cut."""
    query, key, value = args[:3]
    bias = next((item for item in (*args[3:], *kwargs.values()) if isinstance(item, Tensor)), None)
    found = []
    for tensor in (query, key, value, *([] if bias is None else [bias])):
        labels = tracer.labels(tensor)
        shift = 4 - len(labels.shape)
        labels = collapse(tracer.ties, labels, [axis - shift for axis in (0, 2, 3) if axis >= shift])
        if shift <= 1:
            found.append(_repeated(_only(labels, 1 - shift), query.shape[1]))
    heads = merged(tracer.ties, found, (query.shape[1],)).ids(0)
    tracer.heads |= set(heads.tolist())
    for size in (query.shape[-1], value.shape[-1]):
        tracer.note_product(query.shape[0] * query.shape[2] * key.shape[2] * size, [heads])
    nothing = np.zeros(1, dtype=np.int64)
    return [of_axes(result[0].shape, [nothing, heads]), None]


@rule(
    "mean",
    "sum",
    "amax",
    "amin",
    "max",
    "min",
    "var",
    "std",
    "var_mean",
    "prod",
    "logsumexp",
    "linalg_vector_norm",
    "argmax",
    "argmin",
    "median",
    "nanmedian",
    "any",
    "all",
    "norm",
)
def _reduced(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    labels = tracer.labels(args[0])
    rank = len(labels.shape)
    asked = kwargs.get("dim", next((arg for arg in args[1:] if isinstance(arg, int | list | tuple) and not isinstance(arg, bool)), None))
    if func.overloadpacket.__name__ in ("linalg_vector_norm", "norm"):
        asked = args[2] if len(args) > 2 else None
    axes = {axis % rank for axis in ([asked] if isinstance(asked, int) else asked or range(rank))}
    labels = collapse(tracer.ties, labels, axes)
    first = result if isinstance(result, Tensor) else result[0]
    if len(first.shape) == rank:
        return Labels(tuple(first.shape), labels.blocks)
    blocks = tuple((tuple(axis - sum(gone < axis for gone in axes) for axis in own), ids) for own, ids in labels.blocks)
    found = Labels(tuple(first.shape), blocks)
    return found if isinstance(result, Tensor) else [found] * len(result)


@rule("_softmax", "_log_softmax", "_safe_softmax", "cumsum", "cumprod", "logcumsumexp")
def _mixed_along(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    return collapse(tracer.ties, tracer.labels(args[0]), [args[1] % len(args[0].shape)])


@rule("topk", "sort", "kthvalue", "cummax", "cummin")
def _sorted(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """The last axis, where none is said; a kthvalue may lose it."""
    rank, numbers = len(args[0].shape), [arg for arg in args[1:] if isinstance(arg, int) and not isinstance(arg, bool)]
    asked = numbers[func.overloadpacket.__name__ in ("topk", "kthvalue") :][:1]
    axis = kwargs.get("dim", asked[0] if asked else -1) % rank
    labels = collapse(tracer.ties, tracer.labels(args[0]), [axis])
    if len(result[0].shape) < rank:
        labels = Labels((), tuple((tuple(other - (other > axis) for other in axes), ids) for axes, ids in labels.blocks))
    return [Labels(tuple(part.shape), labels.blocks) for part in result]


@rule("gather")
def _gathered(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    labels = collapse(tracer.ties, tracer.labels(args[0]), [args[1] % len(args[0].shape)])
    return merged(tracer.ties, [Labels(tuple(result.shape), labels.blocks)], result.shape)


@rule("scatter_add", "index_add", "scatter_reduce", "scatter", "index_reduce")
def _scattered(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """scatter_add(into, axis, index, values): what is not along the axis stays apart."""
    axis = args[1] % len(result.shape)
    found = []
    for value in (args[0], args[3]):
        labels = collapse(tracer.ties, tracer.labels(value), [axis])
        found.append(Labels(_without_size(labels.shape, axis), labels.blocks, labels.free))
    return Labels(tuple(result.shape), merged(tracer.ties, found, _without_size(result.shape, axis)).blocks)


def _without_size(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis + 1 :])


@rule(
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "adaptive_avg_pool1d",
    "adaptive_max_pool2d",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_linear1d",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "_upsample_bilinear2d_aa",
    "reflection_pad2d",
    "replication_pad2d",
    "grid_sampler_2d",
    "grid_sampler_3d",
)
def _pooled(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """(batch, channels, places...)"""
    if func.overloadpacket.__name__.startswith("grid"):  # where to look is told by a second tensor, of two or three numbers for each place
        pinned(tracer.ties, tracer.labels(args[1]))
    labels = collapse(tracer.ties, tracer.labels(args[0]), range(2, len(args[0].shape)))
    first = result if isinstance(result, Tensor) else result[0]
    found = Labels(tuple(first.shape), labels.blocks)
    return found if isinstance(result, Tensor) else [found, None]


@rule("mkldnn_rnn_layer")
def _lstm(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """mkldnn_rnn_layer(input, weights of the input, weights of the state, two biases, ...): the hidden size is one axis, in four gates."""
    value, inside, hidden, *biases = args[:5]
    over, _ = summed(tracer, [(value, single(tracer.ties, tracer.labels(value), 2), 2), (inside, tracer.labels(inside), 1)])
    gates = tracer.labels(inside).ids(0)
    state = tracer.labels(hidden).ids(1)
    for ids in (gates, tracer.labels(hidden).ids(0), *(tracer.labels(bias).ids(0) for bias in biases)):
        tracer.ties.tie(ids.reshape(4, -1), state[None])
    tracer.read |= set(state.tolist())
    steps = value.shape[0] * value.shape[1]
    tracer.note_product(steps, [over, gates])
    tracer.note_product(steps, [state, gates])
    nothing = np.zeros(1, dtype=np.int64)
    return [
        of_axes(part.shape, [*[nothing] * (part.dim() - 1), state])
        if isinstance(part, Tensor) and part.dim() == 3 and part.shape[-1] == len(state)
        else None
        for part in result
    ]
