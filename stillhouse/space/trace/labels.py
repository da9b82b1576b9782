"""Which entries of a tensor's axes are kept or dropped together, followed through a network by numbers.

Each entry of an axis has a number; 0 stands for what is never dropped. Where an operation needs two entries to stay together, their numbers
are tied, and in the end the connected ones are one element. A view may split an axis (channels into heads and channels of a head), so that
the numbers belong to several axes jointly until an operation treats one of them alone: a `Labels` holds an array for each such block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Block = tuple[tuple[int, ...], Ids]
"""Some axes, in increasing order, and the number of each combination of their entries."""


@dataclass(frozen=True)
class Labels:
    """The numbers of a tensor of some shape; axes in no block are never cut, unless they are `free`: of any size, made in every run."""

    shape: tuple[int, ...]
    blocks: tuple[Block, ...] = ()
    free: frozenset[int] = frozenset()

    def block(self, axis: int) -> Block | None:
        """The block that an axis belongs to."""
        return next((block for block in self.blocks if axis in block[0]), None)

    def ids(self, axis: int) -> Ids:
        """(size,) the numbers of an axis that shares its block with no other; zeros if it is never cut."""
        block = self.block(axis)
        assert block is None or block[0] == (axis,), "make it single first"
        return np.zeros(self.shape[axis], dtype=np.int64) if block is None else block[1]


def of_axes(shape: Sequence[int], ids: Iterable[Ids]) -> Labels:
    """A tensor with numbers for each axis alone."""
    return Labels(tuple(shape), tuple(((axis,), array) for axis, array in enumerate(ids) if array.any()))


@dataclass
class Ties:
    """What has to stay together. `where` names the operation at hand, for the reasons of what is never dropped."""

    where: str = ""
    reasons: dict[int, str] = field(default_factory=dict)
    _pairs: list[Ids] = field(default_factory=list)
    _used: int = 0

    def fresh(self, size: int) -> Ids:
        """(size,) numbers that nothing has yet."""
        first = self._used + 1
        self._used += size
        return np.arange(first, first + size, dtype=np.int64)

    def tie(self, one: Ids, other: Ids) -> None:
        """Entry by entry; the shapes broadcast."""
        one, other = np.broadcast_arrays(one, other)
        whole = (one == 0) | (other == 0)
        self.pin(np.maximum(one, other)[whole])
        differing = (one != other) & ~whole
        if differing.any():
            self._pairs.append(np.stack((one[differing], other[differing])))

    def pin(self, ids: Ids) -> None:
        """These are never dropped."""
        for number in np.unique(ids[ids > 0]).tolist():
            self.reasons.setdefault(number, self.where)

    def elements(self) -> Elements:
        """Which numbers are one element."""
        from scipy.sparse import coo_array  # a third of a second that only who traces has to pay
        from scipy.sparse.csgraph import connected_components

        pairs = np.concatenate(self._pairs, axis=1) if self._pairs else np.zeros((2, 0), dtype=np.int64)
        size = self._used + 1
        graph = coo_array((np.ones(pairs.shape[1], dtype=np.int8), (pairs[0], pairs[1])), shape=(size, size))
        number, component = connected_components(graph, directed=False)
        smallest = np.full(number, size, dtype=np.int64)
        np.minimum.at(smallest, component, np.arange(size))
        whole: dict[int, str] = {}
        for one, reason in self.reasons.items():
            whole.setdefault(int(smallest[component[one]]), reason)
        return Elements(smallest[component], whole)


@dataclass(frozen=True)
class Elements:
    """`smallest` (numbers + 1,): the smallest number that each is tied to; `whole`: such a number -> why it is never dropped."""

    smallest: Ids
    whole: dict[int, str]

    def of(self, ids: Ids) -> Ids:
        """The elements of some entries, 0 for what is never dropped."""
        found = self.smallest[ids]
        return np.where(np.isin(found, list(self.whole)), 0, found)

    def reason(self, ids: Ids) -> str | None:
        """Why all of some entries are never dropped; None if one may be."""
        found = self.smallest[ids].tolist()
        return self.whole[found[0]] if all(number in self.whole for number in found) else None


def collapse(ties: Ties, labels: Labels, axes: Iterable[int]) -> Labels:
    """The labels where some axes can no longer be cut: what varies along them is tied, and pinned if nothing else is left to cut."""
    blocks = list(labels.blocks)
    for axis in axes:
        index = next((place for place, block in enumerate(blocks) if axis in block[0]), None)
        if index is not None:
            blocks[index : index + 1] = _without(ties, blocks[index], axis)
    return Labels(labels.shape, tuple(blocks), labels.free)


def _without(ties: Ties, block: Block, axis: int) -> list[Block]:
    axes, ids = block
    place = axes.index(axis)
    first = ids.take([0], place)
    ties.tie(ids, first)
    rest = tuple(other for other in axes if other != axis)
    if math.prod(ids.shape) == ids.shape[place]:
        ties.pin(first)
        return []
    return simple((rest, first.squeeze(place)))


def single(ties: Ties, labels: Labels, axis: int) -> Labels:
    """The labels where an axis has numbers of its own: the others of its block can no longer be cut."""
    block = labels.block(axis)
    return labels if block is None else collapse(ties, labels, [other for other in block[0] if other != axis])


def pinned(ties: Ties, labels: Labels) -> Labels:
    """The labels with nothing left to cut."""
    for _, ids in labels.blocks:
        ties.pin(ids)
    return Labels(labels.shape)


def simple(block: Block) -> list[Block]:
    """The block without axes along which its numbers are all the same, or nothing."""
    axes, ids = block
    if not ids.any():
        return []
    for place in reversed(range(len(axes))):
        first = ids.take([0], place)
        if len(axes) > 1 and (ids == first).all():
            axes, ids = axes[:place] + axes[place + 1 :], first.squeeze(place)
    return [(axes, ids)]


def merged(ties: Ties, inputs: Sequence[Labels], shape: Sequence[int]) -> Labels:
    """The result of an operation entry by entry on tensors that broadcast to `shape`."""
    aligned = [_aligned(labels, len(shape)) for labels in inputs]
    joint = {block[0] for labels in aligned for block in labels.blocks}
    if any(set(one) < set(other) for one in joint for other in joint):
        aligned = [_settled(ties, labels) for labels in aligned]
    blocks: list[Block] = []
    for axes in _partition([block[0] for labels in aligned for block in labels.blocks]):
        blocks += _merged_block(ties, aligned, axes, shape)
    flexible = [axis for axis in range(len(shape)) if all(labels.shape[axis] == 1 or axis in labels.free for labels in aligned)]
    return Labels(tuple(shape), tuple(blocks), frozenset(flexible))


def _aligned(labels: Labels, rank: int) -> Labels:
    shift = rank - len(labels.shape)
    shape = (1,) * shift + labels.shape
    return Labels(
        shape,
        tuple((tuple(axis + shift for axis in axes), ids) for axes, ids in labels.blocks),
        frozenset(axis + shift for axis in labels.free),
    )


def _settled(ties: Ties, labels: Labels) -> Labels:
    """The same, where axes are left out along which all is tied by now, such as the channels of a head that was normed."""
    smallest = ties.elements().smallest
    blocks = [part for axes, ids in labels.blocks for part in (simple((axes, smallest[ids])) if len(axes) > 1 else [(axes, ids)])]
    return Labels(labels.shape, tuple(blocks), labels.free)


def free(shape: Sequence[int]) -> Labels:
    """A tensor of one value, which would have any size."""
    return Labels(tuple(shape), (), frozenset(range(len(shape))))


def _partition(sets: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Unions of the sets that overlap, each sorted."""
    found: list[set[int]] = []
    for axes in sets:
        touched = [one for one in found if one & set(axes)]
        found = [one for one in found if one not in touched] + [set(axes).union(*touched)]
    return [tuple(sorted(one)) for one in found]


def _merged_block(ties: Ties, inputs: Sequence[Labels], axes: tuple[int, ...], shape: Sequence[int]) -> list[Block]:
    arrays, rigid = [], set[int]()
    for labels in inputs:
        mine = [block for block in labels.blocks if set(block[0]) <= set(axes)]
        for _, ids in mine[1:]:  # of axes that are cut jointly elsewhere, the first can stay apart: heads, and not their channels
            ties.pin(ids)
        mine = mine[:1]
        arrays += [spread(block, axes) for block in mine]
        covered = {axis for block in mine for axis in block[0]}
        rigid |= {axis for axis in axes if labels.shape[axis] > 1 and axis not in covered | labels.free}
    base = max(arrays, key=lambda array: array.size)
    whole = np.broadcast_to(base, np.broadcast_shapes(*(array.shape for array in arrays)))
    for array in arrays:
        ties.tie(whole, array)
    result = Labels(tuple(shape), ((axes, whole),))
    result = collapse(ties, result, sorted(rigid))
    return [part for block in result.blocks for part in simple(block)]


def spread(block: Block, axes: tuple[int, ...]) -> Ids:
    """The numbers of a block with an axis of size 1 for each axis that it lacks."""
    missing = tuple(place for place, axis in enumerate(axes) if axis not in block[0])
    return np.expand_dims(block[1], missing)


def reshaped(ties: Ties, labels: Labels, shape: Sequence[int]) -> Labels:
    """The labels after a view with another shape."""
    blocks: list[Block] = []
    for inside, outside in _segments(labels.shape, shape):
        labels, moved = _moved(ties, labels, inside, outside, shape)
        blocks = [*blocks, *moved]
    return Labels(tuple(shape), tuple(blocks))


def _segments(old: Sequence[int], new: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Runs of axes before and after, of equal products and as short as can be."""
    one, other = list(range(len(old))), list(range(len(new)))
    found = []
    while one or other:
        before, after = one[:1], other[:1]
        del one[:1], other[:1]
        while (left := math.prod(old[axis] for axis in before)) != (right := math.prod(new[axis] for axis in after)):
            (before if left < right else after).append((one if left < right else other).pop(0))
        found.append((tuple(before), tuple(after)))
    return found


def _moved(
    ties: Ties, labels: Labels, inside: tuple[int, ...], outside: tuple[int, ...], shape: Sequence[int]
) -> tuple[Labels, list[Block]]:
    """What the axes `inside` become; blocks that reach beyond them lose their other axes."""
    for axis in inside:
        block = labels.block(axis)
        if block:
            labels = collapse(ties, labels, [other for other in block[0] if other not in inside])
    mine = [block for block in labels.blocks if set(block[0]) <= set(inside)]
    for _, ids in mine[1:]:  # entries of a merged axis have one number
        ties.pin(ids)
    if not mine:
        return labels, []
    whole = np.broadcast_to(spread(mine[0], inside), [labels.shape[axis] for axis in inside])
    return labels, simple((outside, whole.reshape([shape[axis] for axis in outside])))
