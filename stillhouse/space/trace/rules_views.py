"""Operations that move entries without changing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from stillhouse.space.trace.labels import Block, Ids, Labels, collapse, merged, pinned, reshaped, simple, single, spread
from stillhouse.space.trace.tracer import Tracer, rule

Given = Mapping[str, Any]


@rule("alias", "detach", "clone", "_to_copy", "contiguous", "lift_fresh", "native_dropout", "copy", "fill", "zero")
@rule("zeros_like", "ones_like", "full_like", "empty_like")
def _same(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    if func.overloadpacket.__name__ == "copy_":  # of what is written into, other views may be read
        for value in args[:2]:
            pinned(tracer.ties, tracer.labels(value))
        return None
    labels = tracer.labels(args[0])
    return labels if isinstance(result, Tensor) else [labels, None]


@rule("view", "_unsafe_view", "reshape", "_reshape_alias")
def _view(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    if 0 in result.shape:
        return pinned(tracer.ties, tracer.labels(args[0])) and None
    return reshaped(tracer.ties, tracer.labels(args[0]), result.shape)


@rule("t", "transpose", "permute", "numpy_T", "movedim")
def _permute(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    labels, rank = tracer.labels(args[0]), len(args[0].shape)
    order = list(range(rank))
    if func.overloadpacket.__name__ == "permute":
        order = [axis % rank for axis in args[1]]
    else:
        one, other = args[1:3] if len(args) > 2 else (0, rank - 1)
        order[one], order[other] = order[other % rank], order[one % rank]
    return permuted(labels, order)


def permuted(labels: Labels, order: Sequence[int]) -> Labels:
    """The labels after a permutation: axis i is the one that was `order[i]`."""
    blocks = []
    for axes, ids in labels.blocks:
        places = [order.index(axis) for axis in axes]
        by_place = sorted(range(len(axes)), key=lambda index: places[index])
        blocks.append((tuple(sorted(places)), ids.transpose(by_place)))
    return Labels(tuple(labels.shape[axis] for axis in order), tuple(blocks))


@rule("unsqueeze")
def _unsqueeze(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    place = args[1] % len(result.shape)
    return shifted(tracer.labels(args[0]), result.shape, lambda axis: axis + (axis >= place))


@rule("squeeze")
def _squeeze(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    labels = tracer.labels(args[0])
    asked = range(len(labels.shape)) if len(args) < 2 else args[1] if isinstance(args[1], list | tuple) else [args[1]]
    gone = {axis % len(labels.shape) for axis in asked if labels.shape[axis] == 1}
    labels = collapse(tracer.ties, labels, gone)
    return shifted(labels, result.shape, lambda axis: axis - sum(other < axis for other in gone))


def shifted(labels: Labels, shape: Sequence[int], place: Callable[[int], int]) -> Labels:
    """The labels with each axis at a new place."""
    return Labels(tuple(shape), tuple((tuple(place(axis) for axis in axes), ids) for axes, ids in labels.blocks))


@rule("expand")
def _expand(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    labels = tracer.labels(args[0])
    shift = len(result.shape) - len(labels.shape)
    grown = [axis for axis, size in enumerate(labels.shape) if size != result.shape[axis + shift]]
    found = shifted(collapse(tracer.ties, labels, grown), result.shape, lambda axis: axis + shift)
    return Labels(found.shape, found.blocks, frozenset([*range(shift), *(axis + shift for axis in grown)]))


@rule("repeat", "tile")
def _repeat(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    labels = tracer.labels(args[0])
    shift = len(result.shape) - len(labels.shape)
    blocks = [(axes, np.tile(ids, [args[1][axis + shift] for axis in axes])) for axes, ids in labels.blocks]
    return shifted(Labels(labels.shape, tuple(blocks)), result.shape, lambda axis: axis + shift)


def _entries(chosen: Any, ids: Ids, place: int) -> Ids:
    return ids.take(chosen, place)


def _rolled(by: int, ids: Ids, place: int) -> Ids:
    return np.roll(ids, by, place)


def taken(labels: Labels, axis: int, take: Callable[[Ids, int], Ids], shape: Sequence[int], *, gone: bool = False) -> Labels:
    """The labels where `take(ids, place)` has chosen among the entries of an axis; `gone`: a single one, whose axis is no more."""
    blocks: list[Block] = []
    for axes, ids in labels.blocks:
        if axis in axes:
            ids = take(ids, axes.index(axis))
            axes = tuple(other for other in axes if not gone or other != axis)
        axes = tuple(other - (gone and other > axis) for other in axes)
        blocks += simple((axes, ids)) if axes else []
    return Labels(tuple(shape), tuple(blocks))


@rule("select")
def _select(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    labels, axis = tracer.labels(args[0]), args[1] % len(args[0].shape)
    block = labels.block(axis)
    if block and block[0] == (axis,):
        labels = collapse(tracer.ties, labels, [axis])
    return taken(labels, axis, partial(_entries, args[2]), result.shape, gone=True)


@rule("slice")
def _slice(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    axis = (args[1] if len(args) > 1 else 0) % len(result.shape)
    start, end, step = [*args[2:5], None, None, None][:3]
    chosen = range(args[0].shape[axis])[start:end:step]
    return taken(tracer.labels(args[0]), axis, partial(_entries, chosen), result.shape)


@rule("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk")
def _split(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    rank = len(args[0].shape)
    axis = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % rank
    found, begin = [], 0
    for part in result:
        chosen = range(begin, begin + part.shape[axis])
        found.append(taken(tracer.labels(args[0]), axis, partial(_entries, chosen), part.shape))
        begin += part.shape[axis]
    return found


@rule("glu")
def _glu(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """One half of an axis times the other."""
    axis = (args[1] if len(args) > 1 else -1) % len(result.shape)
    size = result.shape[axis]
    halves = [taken(tracer.labels(args[0]), axis, partial(_entries, range(begin, begin + size)), result.shape) for begin in (0, size)]
    return merged(tracer.ties, halves, result.shape)


@rule("_prelu_kernel", "hardswish", "log_sigmoid_forward", "rsub", "floor_divide", "rrelu_with_noise")
def _by_entry(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """What PyTorch does not mark as going entry by entry, but does. The slopes of a PReLU are broadcast."""
    first = result if isinstance(result, Tensor) else result[0]
    labels = merged(tracer.ties, [tracer.labels(item) for item in args[:2] if isinstance(item, Tensor)], first.shape)
    return labels if isinstance(result, Tensor) else [labels]


@rule("unbind")
def _unbind(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    axis = (args[1] if len(args) > 1 else 0) % len(args[0].shape)
    labels = tracer.labels(args[0])
    block = labels.block(axis)
    if block and block[0] == (axis,):
        labels = collapse(tracer.ties, labels, [axis])
    return [taken(labels, axis, partial(_entries, index), part.shape, gone=True) for index, part in enumerate(result)]


@rule("flip", "roll")
def _moved_along(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    if func.overloadpacket.__name__ == "roll":
        axes, shifts = (args[2], args[1]) if len(args) > 2 else (range(len(result.shape)), args[1])
        moves: list[Callable[[Ids, int], Ids]] = [partial(_rolled, by) for by in shifts]
    else:
        axes, moves = args[1], [np.flip] * len(args[1])
    labels = tracer.labels(args[0])
    for axis, move in zip(axes, moves, strict=True):
        labels = taken(labels, axis % len(result.shape), move, result.shape)
    return labels


@rule("constant_pad_nd", "pad")
def _pad(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    labels, rank = tracer.labels(args[0]), len(result.shape)
    for place in range(len(args[1]) // 2):
        axis, (before, after) = rank - 1 - place, args[1][2 * place : 2 * place + 2]
        if before or after:
            labels = single(tracer.ties, labels, axis)
            grown = tuple(size + (other == axis) * (before + after) for other, size in enumerate(labels.shape))
            labels = taken(labels, axis, partial(_padded, before, after), grown)
    return labels


def _padded(before: int, after: int, ids: Ids, place: int) -> Ids:
    """(size,) with entries that are never cut around it; negative numbers take some away."""
    ids = ids[max(-before, 0) : len(ids) - max(-after, 0)]
    return np.pad(ids, (max(before, 0), max(after, 0)))


@rule("cat", "stack")
def _cat(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    parts = [tensor for tensor in args[0] if tensor.dim() == len(result.shape) or func.overloadpacket.__name__ == "stack"]
    axis = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % len(result.shape)
    found = [tracer.labels(part) for part in parts]
    if func.overloadpacket.__name__ == "stack":
        shape = (*result.shape[:axis], 1, *result.shape[axis + 1 :])
        found = [shifted(labels, shape, lambda other: other + (other >= axis)) for labels in found]
        return merged(tracer.ties, found, result.shape)
    return concatenated(tracer, found, axis, result.shape)


def concatenated(tracer: Tracer, parts: Sequence[Labels], axis: int, shape: Sequence[int]) -> Labels:
    """The labels of a concatenation along an axis; the other axes are those of all parts."""
    joint = {block[0] for labels in parts if (block := labels.block(axis))}
    if len(joint) == 1:
        parts = [_spread_over(labels, next(iter(joint))) for labels in parts]
    if len(joint) > 1 or (any(len(axes) > 1 for axes in joint) and not all(labels.block(axis) for labels in parts)):
        parts = [single(tracer.ties, labels, axis) for labels in parts]
        joint = {(axis,)}
    others = [Labels(_with_one(labels.shape, axis), tuple(b for b in labels.blocks if axis not in b[0])) for labels in parts]
    rest = merged(tracer.ties, others, _with_one(shape, axis))
    blocks = list(rest.blocks)
    if joint:
        [axes] = joint
        place = axes.index(axis)
        arrays = [block[1] if (block := labels.block(axis)) else np.zeros(labels.shape[axis], dtype=np.int64) for labels in parts]
        blocks += simple((axes, np.concatenate(arrays, place)))
    return Labels(tuple(shape), tuple(blocks))


def _spread_over(labels: Labels, axes: tuple[int, ...]) -> Labels:
    """The same, with numbers for all of some axes jointly where it has them for one or some of these."""
    mine = [block for block in labels.blocks if set(block[0]) & set(axes)]
    if len(mine) != 1 or not set(mine[0][0]) < set(axes):
        return labels
    whole = np.broadcast_to(spread(mine[0], axes), [labels.shape[axis] for axis in axes])
    return Labels(labels.shape, (*(block for block in labels.blocks if block is not mine[0]), (axes, whole)), labels.free)


def _with_one(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis + 1 :])


@rule("index_select", "embedding")
def _lookup(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    if func.overloadpacket.__name__ == "embedding":
        labels = collapse(tracer.ties, tracer.labels(args[0]), [0])
        return shifted(labels, result.shape, lambda axis: axis + len(result.shape) - 2)
    axis = args[1] % len(args[0].shape)
    return taken(tracer.labels(args[0]), axis, partial(_entries, args[2].cpu().numpy()), result.shape)


@rule("index_put")
def _put(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """One number wherever a condition of the same shape holds goes entry by entry; all else is left whole."""
    given, [condition, *more], value = args[:3]
    if more or str(condition.dtype) != "torch.bool" or condition.shape != given.shape or value.dim():
        for tensor in (given, value):
            pinned(tracer.ties, tracer.labels(tensor))
        return None
    return merged(tracer.ties, [tracer.labels(given), tracer.labels(condition)], given.shape)


@rule("index")
def _index(tracer: Tracer, func: Any, args: tuple[Any, ...], kwargs: Given, result: Any) -> Any:
    """With one tensor of indices; the axes of more than one move about, and are left whole."""
    labels, given = tracer.labels(args[0]), [axis for axis, index in enumerate(args[1]) if index is not None]
    if len(given) > 1 or args[1][given[0]].dtype.is_floating_point or str(args[1][given[0]].dtype) in ("torch.bool", "torch.uint8"):
        pinned(tracer.ties, labels)
        return None
    [axis], index = given, args[1][given[0]].cpu().numpy()
    if index.ndim == 1:
        return taken(labels, axis, partial(_entries, index), result.shape)
    labels = collapse(tracer.ties, labels, given)
    more = index.ndim - 1
    return shifted(labels, result.shape, lambda axis: axis + more * (axis > given[0]))
