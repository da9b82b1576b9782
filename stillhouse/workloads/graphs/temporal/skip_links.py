"""DynCSL: graphs whose classes differ only in when their edges change (after arXiv 2103.07016, section 5).

A snapshot is a ring of 19 nodes with skip links of one length, so that every node of every snapshot has four neighbours,
and one snapshot tells nothing. A class is a pattern of lengths over time: AAAAAAAA, ABABABAB, AAAABBBB or ABCABCAB, where
A, B, C are random lengths whose rings with skip links are not isomorphic. The construction is our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stillhouse.contracts.settings import Settings
from stillhouse.workloads.graphs.temporal.panel import Events, Graphs, Panel, assemble

NODES = 19
CLASSES = 4
SNAPSHOTS = 200_000
"""Of all samples together: some two gigabytes."""
SKIPS = ((2, 9), (3, 6), (4, 5), (7, 8))
"""The lengths of skip links by isomorphism class: all that there are on a ring of 19."""
PAIRS = torch.triu_indices(NODES, NODES, 1)


class SkipLinks(Settings):
    """Labels are dealt in turn: 0, 1, 2, 3, 0, ..."""

    generator: Literal["dyncsl"]
    samples: int = Field(800, ge=CLASSES)
    steps: int = Field(8, ge=4)
    """Fewer would not tell the patterns apart."""
    noise_edges: int = Field(0, ge=0, le=NODES * (NODES - 5) // 2)
    """At every step a random number of edges, at most so many, are added to the snapshot."""
    unequal: bool = False
    """Whether graphs have random lengths of `steps` to twice as many; patterns go on or are stretched."""
    random_marks: bool = False
    """Whether nodes have a second channel that tells them apart: a random number that stays the same."""
    seed: int = Field(42, ge=0)

    @model_validator(mode="after")
    def _feasible(self) -> SkipLinks:
        if (count := self.samples * self.steps * (1 + self.unequal)) > SNAPSHOTS:
            raise ValueError(f"wanted at most {SNAPSHOTS:,} snapshots, samples times steps - got {count:.3g}")
        return self


@dataclass(frozen=True)
class _Steps:
    """Which sample and which step of the panel each snapshot is: (snapshots,) each, and the length of the skip links there."""

    sample: Tensor
    step: Tensor
    skip: Tensor


def generate(settings: SkipLinks) -> Panel:
    """(samples x 19 nodes, steps, 1 or 2 channels): all features are 1, all weights 1, edges in both directions, no self loops."""
    rng = torch.Generator().manual_seed(settings.seed)
    samples, steps = settings.samples, settings.steps
    labels = torch.arange(samples) % CLASSES
    lengths = torch.randint(steps, 2 * steps + 1, (samples,), generator=rng) if settings.unequal else torch.full((samples,), steps)
    snapshots = _snapshots(labels, lengths, rng)
    names = torch.rand(samples, NODES, generator=rng).argsort(1)
    snapshot, source, target = _edges(snapshots.skip, settings.noise_edges, rng)
    sample = snapshots.sample[snapshot]
    source, target = (sample * NODES + names[sample, end] for end in (source, target))
    events = Events(snapshots.step[snapshot], source, target, torch.ones(len(sample), dtype=torch.float64))
    features = _features(lengths, torch.rand(samples * NODES, generator=rng, dtype=torch.float64) if settings.random_marks else None)
    graphs = Graphs(torch.arange(samples).repeat_interleave(NODES), lengths, labels)
    return assemble(features, ("one", "mark")[: features.shape[2]], events, static=False, graphs=graphs)


def _snapshots(labels: Tensor, lengths: Tensor, rng: torch.Generator) -> _Steps:
    """The snapshots of all samples; graphs end together, so a short one begins late."""
    samples, steps = len(labels), int(lengths.max())
    age = torch.arange(steps) - (steps - lengths)[:, None]
    classes = torch.rand(samples, len(SKIPS), generator=rng).argsort(1)
    choice = torch.randint(2, (samples, len(SKIPS)), generator=rng)
    skips = torch.tensor(SKIPS)[classes, choice]
    which = torch.stack((torch.zeros_like(age), age % 2, (age >= lengths[:, None] // 2).long(), age % 3))
    skip = skips.gather(1, which[labels, torch.arange(samples)])
    sample, step = (age >= 0).nonzero(as_tuple=True)
    return _Steps(sample, step, skip[sample, step])


def _edges(skip: Tensor, noise_edges: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The snapshot, the source and the target of every edge in both directions, nodes by their place on the ring."""
    gap = PAIRS[1] - PAIRS[0]
    gap = torch.minimum(gap, NODES - gap)
    present = (gap == 1) | (gap == skip[:, None])
    if noise_edges:
        present |= _noise(present, noise_edges, rng)
    snapshot, pair = present.nonzero(as_tuple=True)
    one, other = PAIRS[:, pair]
    return snapshot.repeat(2), torch.cat((one, other)), torch.cat((other, one))


def _noise(present: Tensor, noise_edges: int, rng: torch.Generator) -> Tensor:
    """(snapshots, pairs): the added edges, 0 to `noise_edges` in each snapshot, none of which is there already."""
    count = torch.randint(noise_edges + 1, (len(present), 1), generator=rng)
    rank = torch.rand(present.shape, generator=rng).masked_fill(present, 1.0).argsort(1).argsort(1)
    return rank < count


def _features(lengths: Tensor, marks: Tensor | None) -> Tensor:
    steps = int(lengths.max())
    alive = torch.arange(steps) >= (steps - lengths)[:, None]
    ones = alive.repeat_interleave(NODES, 0).to(torch.float64)
    return ones[:, :, None] if marks is None else torch.stack((ones, ones * marks[:, None]), 2)
