"""GAL files of spatial neighbours (libpysal): the number of nodes, then for each its id, how many neighbours, and these."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.found import nodes
from stillhouse.workloads.graphs.temporal.panel import Events

Token = tuple[int, str]
"""The number of a line and a word of it."""


def events(content: str, place: str, known: Mapping[Hashable, int]) -> Events:
    """An edge of weight 1 into each node from each of its neighbours; raises UserError with the line at what is wrong.

    The first line may also be 0, the number of nodes, and the names of a shape file and of its key.
    """
    header, *lines = [line.split() for line in content.splitlines()] or [[]]
    declared = header[1] if len(header) == 4 else " ".join(header)
    if declared != str(len(known)):
        raise UserError(f"{place}:1 - wanted {len(known)} nodes, as in the series - got {declared!r}")
    areas, counts, neighbours = _blocks([(number, word) for number, line in enumerate(lines, start=2) for word in line], place)
    words = areas + neighbours
    found = nodes([word for _, word in words], known, lambda end: f"{place}:{words[end][0]}")
    targets, source = found[: len(areas)], found[len(areas) :]
    if len(targets.unique()) != len(known) or len(targets) != len(known):
        raise UserError(
            f"{place} - wanted each of the {len(known)} nodes once - got {len(targets)} of which {len(targets.unique())} differ"
        )
    target = targets.repeat_interleave(torch.tensor(counts))
    weight = torch.ones(len(source), dtype=torch.float64)
    return Events(torch.zeros_like(source), source, target, weight, lambda event: f"{place}:{neighbours[event][0]}")


def _blocks(words: list[Token], place: str) -> tuple[list[Token], list[int], list[Token]]:
    """The nodes, how many neighbours each has, and all the neighbours in turn. A node without neighbours may have no second line."""
    areas, counts, neighbours = [], [], []
    position = 0
    while position < len(words):
        number, area = words[position]
        declared = words[position + 1][1] if position + 1 < len(words) else ""
        if not declared.isdecimal() or len(declared) > 15:
            raise UserError(f"{place}:{number} - wanted a node and how many neighbours it has - got {area!r:.60} and {declared!r:.60}")
        end = position + 2 + int(declared)
        if end > len(words):
            raise UserError(f"{place}:{number} - wanted {declared} neighbours of {area!r} - got {len(words) - position - 2}, and the end")
        areas.append(words[position])
        counts.append(int(declared))
        neighbours += words[position + 2 : end]
        position = end
    return areas, counts, neighbours
