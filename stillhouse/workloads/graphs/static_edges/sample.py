"""Prepared edges as batches: the whole graph without the edges that are asked about, and queries with candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import read_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import read_parquet
from stillhouse.training.rows import anywhere, in_order, shuffled
from stillhouse.workloads.graphs.static_edges.strangers import Strangers

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class DataSettings(Settings):
    """A batch of training takes the edges that it asks about out of the graph, so it should ask about a small part of them."""

    batch_size: int = Field(1024, gt=0)
    evaluation_batch_size: int = Field(4096, gt=0)
    strangers: int = Field(1, gt=0)
    """So many nodes are scored beside the second one of each training edge; drawn anew each time."""
    train_limit: int | None = Field(None, gt=0)
    """Ask about so many training edges, spread evenly over the table; None takes all. Messages pass over all."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Nodes with their features, edges that messages pass over, and queries: a first node, and candidates for the second."""

    features: Float[Tensor, "nodes features"]
    edges: Int[Tensor, "2 edges"]
    source: Int[Tensor, " queries"]
    target: Int[Tensor, "queries candidates"]
    """The node that an edge joins to the first one stands in column 0."""
    any_length: ClassVar[Mapping[str, tuple[int, ...]]] = {"features": (0,), "edges": (1,), "source": (0,), "target": (0, 1)}
    """Axes that an exported network leaves free."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        parts = (self.features, self.edges, self.source, self.target)
        return Batch(*(part.to(device, non_blocking=non_blocking) for part in parts))


def thinned(share: float, batch: Batch, rng: torch.Generator) -> Batch:
    """A batch without that share of its edges, each drawn by itself: of two that lead back and forth one may stay."""
    return replace(batch, edges=batch.edges[:, torch.rand(batch.edges.shape[1], generator=rng) >= share])


@dataclass(frozen=True, eq=False)
class Seen:
    """The graph of training: features of all nodes, and edges, each both ways."""

    features: Float[Tensor, "nodes features"]
    edges: Int[Tensor, "2 edges"]

    def batch(self, source: Int[Tensor, " queries"], target: Int[Tensor, "queries candidates"]) -> Batch:
        """Queries whose edges, from the source to column 0, are taken out of the graph both ways.

        Features are a tensor of their own on the same memory: what batches share as one object, an export takes for a constant.
        """
        asked = self._pair(source, target[:, 0])
        kept = ~torch.isin(self._pair(*self.edges), asked)
        return Batch(self.features[:], self.edges[:, kept], source, target)

    def _pair(self, one: Tensor, other: Tensor) -> Tensor:
        """A number for two nodes in either order."""
        return torch.minimum(one, other) * len(self.features) + torch.maximum(one, other)


def read(folder: Path) -> Seen:
    """The graph of prepared data, or of what a model keeps of them."""
    edges = _columns(folder / "edges.parquet")
    return Seen(_columns(folder / "nodes.parquet")["features"], torch.stack((edges["source"], edges["target"])))


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Training asks about its own edges, each from both ends; in all splits messages pass over training edges alone."""
    seen, held = read(prepared), _columns(prepared / "held.parquet")
    strangers = Strangers.of(seen.edges, len(seen.features))
    targets = torch.cat((held["target"][:, None], held["strangers"]), 1)

    def trained(rows: Tensor, chance: Tensor) -> Batch:
        source, target = seen.edges[:, rows]
        return seen.batch(source, torch.cat((target[:, None], strangers.drawn(source, chance)), 1))

    def fixed(tested: bool) -> Batches[Batch]:
        rows = (held["tested"].bool() == tested).nonzero()[:, 0]
        source, target = held["source"][rows], targets[rows]
        return in_order(len(rows), settings.evaluation_batch_size, lambda part: seen.batch(source[part], target[part]))

    def chance(count: int, rng: torch.Generator) -> Tensor:
        return torch.rand(count, settings.strangers, generator=rng, dtype=torch.float64)

    return Data(
        train=shuffled(anywhere(seen.edges.shape[1], settings.batch_size, settings.train_limit), trained, chance),
        valid=fixed(False),
        test=fixed(True) if test else None,
        sizes={"features": read_json(prepared / "facts.json")["features"]},
    )


def _columns(path: Path) -> dict[str, Any]:
    return read_parquet(path)
