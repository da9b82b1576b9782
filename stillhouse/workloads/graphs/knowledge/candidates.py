"""Lists of candidates: for each query the true triple and false ones to rank it among (arXiv 2302.01313, section 6)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.knowledge.graph import Task

_CELLS = 2**24
"""Queries times possible answers that one draw holds at a time."""


def candidate_lists(
    triples: Tensor, known: Tensor, pool: Tensor, relations: int, negatives: int, rng: torch.Generator
) -> Iterator[tuple[Task, Tensor]]:
    """(queries, 1 + negatives, 3) for each task, with the true triple in column 0.

    "node": other tails out of `pool`. "relation": other relations of the R. "mixed": 24 of 50 other tails, else other
    relations of the 2R. None is a triple of `known` (int64, (triples, 3), over 2R relations, with the true ones).
    Candidates repeat only where there are fewer of them than negatives.
    """
    if relations < 2:
        why = "there is one relation alone, and the true one is ranked among others; edges of one kind are for `workload: static_edges`"
        raise UserError(f"wanted at least 2 possible answers to draw false ones from - got {relations}: {why}")
    directions = torch.arange(2 * relations)
    tails = negatives * 24 // 50
    yield "node", _join(triples, _tails(triples, known, pool, negatives, rng))
    forward = triples[triples[:, 1] < relations]
    yield "relation", _join(forward, _relations(forward, known, directions[:relations], negatives, rng))
    mixed = _tails(triples, known, pool, tails, rng), _relations(triples, known, directions, negatives - tails, rng)
    yield "mixed", _join(triples, torch.cat(mixed, 1))


def _join(triples: Tensor, negatives: Tensor) -> Tensor:
    return torch.cat((triples[:, None], negatives), 1)


def _tails(triples: Tensor, known: Tensor, pool: Tensor, number: int, rng: torch.Generator) -> Tensor:
    return _replaced(triples, 2, _draw(triples[:, :2], known[:, :2], known[:, 2], triples[:, 2], pool, number, rng))


def _relations(triples: Tensor, known: Tensor, pool: Tensor, number: int, rng: torch.Generator) -> Tensor:
    return _replaced(triples, 1, _draw(triples[:, ::2], known[:, ::2], known[:, 1], triples[:, 1], pool, number, rng))


def _replaced(triples: Tensor, column: int, values: Tensor) -> Tensor:
    repeated = triples[:, None].repeat(1, values.shape[1], 1)
    repeated[..., column] = values
    return repeated


def _draw(asked: Tensor, asked_of: Tensor, answer: Tensor, true: Tensor, pool: Tensor, number: int, rng: torch.Generator) -> Tensor:
    """(queries, number) values of the sorted `pool` that are no answer known to a query; (asked_of, answer) are the known ones."""
    if len(pool) < 2:
        raise UserError(f"wanted at least 2 possible answers to draw false ones from - got {len(pool)}")
    base = int(max(asked.max(), asked_of.max())) + 1
    code, order = torch.sort(asked_of[:, 0] * base + asked_of[:, 1])
    parts = torch.arange(len(asked)).split(max(1, _CELLS // len(pool)))
    drawn = []
    for part in parts:
        query, value = _matches(asked[part, 0] * base + asked[part, 1], code, answer[order])
        chance = torch.rand(len(part), len(pool), generator=rng)
        place, found = _place(value, pool)
        chance[query[found], place[found]] = -1
        # Where everything is true, any other answer must do; the true one itself never is its own rival.
        hopeless = chance.amax(1) < 0
        chance[hopeless] = torch.rand(int(hopeless.sum()), len(pool), generator=rng)
        place, found = _place(true[part], pool)
        chance[torch.arange(len(part))[found], place[found]] = -1
        drawn.append(pool[_best(chance, number, rng)])
    return torch.cat(drawn)


def _matches(wanted: Tensor, code: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
    """All answers under each wanted code, `code` being sorted: the place in `wanted`, and the answer."""
    first, end = torch.searchsorted(code, wanted), torch.searchsorted(code, wanted, right=True)
    counts = end - first
    query = torch.repeat_interleave(torch.arange(len(wanted)), counts)
    offset = torch.arange(len(query)) - (counts.cumsum(0) - counts)[query]
    return query, answer[first[query] + offset]


def _place(value: Tensor, pool: Tensor) -> tuple[Tensor, Tensor]:
    place = torch.searchsorted(pool, value).clamp(max=len(pool) - 1)
    return place, pool[place] == value


def _best(chance: Tensor, number: int, rng: torch.Generator) -> Tensor:
    """(queries, number) places of positive chance, all different where there are enough of them, else drawn anew each time."""
    order = chance.topk(min(number, chance.shape[1]), dim=1).indices
    allowed = (chance >= 0).sum(1)
    again = (torch.rand(len(chance), number, generator=rng) * allowed[:, None]).long()
    again = torch.minimum(again, allowed[:, None] - 1)  # a chance of 1 - 2**-24 times a large count can round up to the count
    repeated = order.gather(1, again.clamp(max=order.shape[1] - 1))
    return repeated if order.shape[1] < number else torch.where(allowed[:, None] < number, repeated, order)
