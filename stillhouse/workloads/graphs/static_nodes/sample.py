"""The prepared graph as batches: the whole graph, or neighbourhoods in it, and the nodes that are asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator, model_serializer
from torch import Tensor

from stillhouse.contracts.data import Batches, Data, Jobs
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.shown import Shown
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs._shared.nodes import NONE, SPLITS
from stillhouse.workloads.graphs.static_nodes.neighbours import ALL, Incoming, around

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class DataSettings(Settings):
    """A batch is the whole graph, or in training the drawn neighbourhoods of some nodes."""

    neighbours: tuple[int, ...] = ()
    """How many edges are drawn to each node, an entry for each layer, -1 for all of them; none: a batch is the whole graph."""
    batch_size: int = Field(512, gt=0)
    """Nodes whose neighbourhoods are a batch; one more or less is in some."""
    asked: Literal["known", "all"] = "all"
    """Whether such batches are of training nodes alone, or of all that may be seen, as a student needs, each with its share of both."""

    @field_validator("neighbours")
    @classmethod
    def _drawn(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(each < 1 and each != ALL for each in value):
            raise ValueError(f"wanted numbers above 0, or -1 for all edges - got {list(value)}")
        return value

    @model_serializer(mode="wrap")
    def _as_before(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Without what says nothing: results of before the settings keep their fingerprint, as far as they are concerned."""
        return plain(self) if self.neighbours else {}


@dataclass(frozen=True, eq=False)
class Batch:
    """Nodes with their features, edges from the first row to the second, and the nodes that are asked about."""

    features: Float[Tensor, "nodes features"]
    """With the positions of nodes after the features, where there are some."""
    edges: Int[Tensor, "2 edges"]
    asked: Int[Tensor, " asked"]
    label: Int[Tensor, " _"]
    """(asked,), NONE where the class is not for this batch to know; an exported network does without it."""
    unseen: Bool[Tensor, " _"]
    """(asked,), whether no model saw the node in training; the same."""
    any_length: ClassVar[Mapping[str, tuple[int, ...]]] = {"features": (0,), "edges": (1,)}
    """Axes that an exported network leaves free."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        parts = (self.features, self.edges, self.asked, self.label, self.unseen)
        return Batch(*(part.to(device, non_blocking=non_blocking) for part in parts))


def thinned(share: float, batch: Batch, rng: torch.Generator) -> Batch:
    """A batch without that share of its edges, each drawn by itself: of two that lead back and forth one may stay."""
    return replace(batch, edges=batch.edges[:, torch.rand(batch.edges.shape[1], generator=rng) >= share])


def shown(batch: Batch) -> Shown:
    """The classes that the batch knows, and the edges of which both ends are asked about; each node is asked about once."""
    place = torch.full((len(batch.features),), NONE, device=batch.asked.device)
    place[batch.asked] = torch.arange(len(batch.asked), device=batch.asked.device)
    ends = place[batch.edges]
    return Shown(batch, batch.label, batch.label != NONE, ends[:, (ends != NONE).all(0)])


@dataclass(frozen=True, eq=False)
class Prepared:
    """The whole graph, with the label, the split and the protocol of each node."""

    features: Tensor
    edges: Tensor
    label: Tensor
    split: Tensor
    unseen: Tensor

    def observed(self) -> Prepared:
        """What is seen before the test: without the unseen nodes and every edge that touches one."""
        kept = ~self.unseen
        number = kept.cumsum(0) - 1
        edges = self.edges[:, kept[self.edges].all(0)]
        return Prepared(self.features[kept], number[edges], self.label[kept], self.split[kept], self.unseen[kept])

    def batch(self, asked: Tensor, known: Tensor) -> Batch:
        """About the `asked` nodes, with the classes of those that are `known`; both are masks.

        Features and edges are tensors of their own on the same memory: what batches share as one object, an export takes for a constant.
        """
        label = self.label.where(known, NONE)
        return Batch(self.features[:], self.edges[:], asked.nonzero()[:, 0], label[asked], self.unseen[asked])


def read(prepared: Path) -> Prepared:
    """The graph of prepared data."""
    nodes, edges = _columns(prepared / "nodes.parquet"), _columns(prepared / "edges.parquet")
    label, split = nodes["label"].long(), nodes["split"].long()
    return Prepared(located(nodes), torch.stack((edges["source"], edges["target"])), label, split, nodes["unseen"].bool())


def located(nodes: Mapping[str, Any]) -> Float[Tensor, "nodes _"]:
    """The features of the columns of nodes, and where there are positions, these after them."""
    found: Tensor = torch.cat((nodes["features"], nodes["position"]), 1) if "position" in nodes else nodes["features"]
    return found


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """One batch a split. That of training asks about all nodes that may be seen, as a teacher can tell of them, and knows some classes.

    Where nodes are unseen, training and validation know nothing of them; the test is then two batches: the other test nodes on the graph
    without the unseen ones, and these on the whole graph.
    """
    whole, facts = read(prepared), read_json(prepared / "facts.json")
    seen = whole.observed()
    train, valid, tested = (seen.split == place for place in range(len(SPLITS)))
    everything = torch.ones_like(train)
    batches = [seen.batch(tested, tested), whole.batch(whole.unseen, whole.unseen)]
    return Data(
        train=neighbourhoods(settings, seen, train) if settings.neighbours else _fixed([seen.batch(everything, train)]),
        valid=_fixed([seen.batch(valid, valid)]),
        test=_fixed([batch for batch in batches if len(batch.asked)]) if test else None,
        sizes={name: facts[name] for name in ("features", "positions") if facts.get(name)} | {"classes": len(facts["names"])},
    )


def neighbourhoods(settings: DataSettings, seen: Prepared, train: Bool[Tensor, " nodes"]) -> Batches[Batch]:
    """Batches of nodes in random order, each with the neighbourhood that is drawn for it and the classes of its training nodes.

    Raises UserError unless there is a training node for each batch.
    """
    parts = [train] if settings.asked == "known" else [train, ~train]
    rows = [part.nonzero()[:, 0] for part in parts]
    nodes = sum(map(len, rows))
    count = -(-nodes // settings.batch_size)
    if count > len(rows[0]):
        wanted = f"wanted a training node in each batch, so {-(-nodes // len(rows[0]))} or more"
        raise UserError(f"data.batch_size - {wanted} - got {settings.batch_size}")
    incoming, label = Incoming.of(seen.edges, len(train)), seen.label.where(train, NONE)

    def plan(rng: torch.Generator) -> Iterator[tuple[Tensor, int]]:
        mixed = [part[torch.randperm(len(part), generator=rng)].tensor_split(count) for part in rows]
        for pieces in zip(*mixed, strict=True):
            yield torch.cat(pieces), int(torch.randint(2**62, (), generator=rng))

    def build(job: tuple[Tensor, int]) -> Batch:
        asked, drawn = job
        nodes, edges = around(incoming, asked, settings.neighbours, torch.Generator().manual_seed(drawn))
        return Batch(seen.features[nodes], edges, torch.arange(len(asked)), label[asked], seen.unseen[asked])

    return Batches.of(Jobs(plan, build), count)


def _fixed(batches: list[Batch]) -> Batches[Batch]:
    return Batches(lambda rng: iter(batches), len(batches))


def _columns(path: Path) -> dict[str, Any]:
    return read_parquet(path)
