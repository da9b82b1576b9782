"""Prepared graphs as batches: the nodes of several graphs side by side, laid out as PyTorch Geometric's `Batch`."""

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
from stillhouse.contracts.shown import Shown
from stillhouse.training.files import read_parquet
from stillhouse.training.rows import anywhere, in_order, shuffled
from stillhouse.workloads.graphs._shared.nodes import SPLITS

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class DataSettings(Settings):
    """Batches of training differ in size by at most one graph."""

    batch_size: int = Field(32, gt=0)
    evaluation_batch_size: int = Field(256, gt=0)
    train_limit: int | None = Field(None, gt=0)
    """Train on so many graphs, spread evenly over the table; None takes all."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Nodes with their features, edges from the first row to the second, and the graph of each node."""

    x: Float[Tensor, "nodes features"]
    edge_index: Int[Tensor, "2 edges"]
    batch: Int[Tensor, " nodes"]
    graphs: int
    """How many there are."""
    target: Tensor
    """(graphs,) classes, or (graphs, values) in units of their deviation."""
    scale: Float[Tensor, "2 values"]
    """The mean and the deviation of values; (2, 0) where classes are learnt."""
    any_length: ClassVar[Mapping[str, tuple[int, ...]]] = {"x": (0,), "edge_index": (1,), "batch": (0,), "graphs": ()}
    """What an exported network leaves free."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        names = ("x", "edge_index", "batch", "target", "scale")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=non_blocking) for name in names})

    def raw(self, values: Float[Tensor, "graphs values"]) -> Float[Tensor, "graphs values"]:
        """Values in their own units, in double precision."""
        mean, deviation = self.scale.double()
        return values.double() * deviation + mean


def thinned(share: float, batch: Batch, rng: torch.Generator) -> Batch:
    """A batch without that share of its edges, each drawn by itself: of two that lead back and forth one may stay."""
    return replace(batch, edge_index=batch.edge_index[:, torch.rand(batch.edge_index.shape[1], generator=rng) >= share])


def shown(batch: Batch) -> Shown:
    """The classes of graphs, all of which are known."""
    if batch.target.is_floating_point():
        return Shown(batch)
    return Shown(batch, batch.target, torch.ones_like(batch.target, dtype=torch.bool))


@dataclass(frozen=True, eq=False)
class Prepared:
    """Graphs one after the other: how many nodes and edges each has, and these."""

    features: Float[Tensor, "nodes features"]
    edges: Int[Tensor, "2 edges"]
    """By the places of nodes in their graph."""
    nodes: Int[Tensor, " graphs"]
    counts: Int[Tensor, " graphs"]
    """Of edges."""
    target: Tensor
    scale: Float[Tensor, "2 values"]

    def batch(self, rows: Int[Tensor, " rows"]) -> Batch:
        """The graphs of some rows, in their order."""
        place, graph = spans(self.nodes, rows)
        edge, inside = spans(self.counts, rows)
        first = self.nodes[rows].cumsum(0) - self.nodes[rows]
        return Batch(self.features[place], self.edges[:, edge] + first[inside], graph, len(rows), self.target[rows], self.scale)


def spans(counts: Int[Tensor, " all"], rows: Int[Tensor, " rows"]) -> tuple[Int[Tensor, " items"], Int[Tensor, " items"]]:
    """Of items that lie group by group, `counts` of each: those of some groups, and which of these each belongs to."""
    taken, first = counts[rows], counts.cumsum(0) - counts
    group = torch.repeat_interleave(torch.arange(len(rows)), taken)
    return torch.arange(len(group)) - (taken.cumsum(0) - taken)[group] + first[rows][group], group


def read(prepared: Path) -> tuple[Prepared, Int[Tensor, " graphs"]]:
    """All graphs of prepared data, and the split of each."""
    graphs, nodes, edges = (_columns(prepared / f"{name}.parquet") for name in ("graphs", "nodes", "edges"))
    facts = read_json(prepared / "facts.json")
    target = graphs["label"].long() if "label" in graphs else graphs["value"]
    both = torch.stack((edges["source"], edges["target"]))
    return Prepared(nodes["features"], both, graphs["nodes"], graphs["edges"], target, scale(facts)), graphs["split"].long()


def scale(facts: Mapping[str, Any]) -> Float[Tensor, "2 values"]:
    """The mean and the deviation of values."""
    return torch.tensor([facts.get("mean", []), facts.get("deviation", [])], dtype=torch.float64)


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Train is shuffled by the generator that it is drawn with; valid and test keep the order of the table."""
    graphs, split = read(prepared)
    facts = read_json(prepared / "facts.json")
    train, valid, tested = ((split == place).nonzero()[:, 0] for place in range(len(SPLITS)))

    def fixed(rows: Tensor) -> Batches[Batch]:
        return in_order(len(rows), settings.evaluation_batch_size, lambda part: graphs.batch(rows[part]))

    learnt = {"classes": len(facts["names"])} if "names" in facts else {"values": len(facts["mean"])}
    return Data(
        train=shuffled(anywhere(len(train), settings.batch_size, settings.train_limit), lambda part: graphs.batch(train[part])),
        valid=fixed(valid),
        test=fixed(tested) if test else None,
        sizes={"features": facts["width"], **learnt},
    )


def _columns(path: Path) -> dict[str, Any]:
    return read_parquet(path)
