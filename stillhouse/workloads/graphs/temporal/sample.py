"""Batches of windows, cut out of the prepared tables in bulk."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.training.labels import HIDDEN, FewLabels, order
from stillhouse.training.rows import Order, taken
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.split import TEST, TRAIN, VALID, Split


class DataSettings(FewLabels):
    """How windows are batched, and which error is trained on. An example is a window; windows of values are all of one class."""

    batch_size: int = Field(16, gt=0)
    evaluation_batch_size: int = Field(32, gt=0)
    absolute: bool = False
    """Whether training is by the absolute error and not by the square."""
    history_limit: int = Field(50_000_000, gt=0)
    """The most values (pairs x steps) that the edge histories of a batch may have; beyond it, pairs seen once are left out."""


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Training and validation, and the test if it is asked for."""
    tables = Tables.of(settings, prepared)
    size = settings.evaluation_batch_size
    facts = tables.facts
    return Data(
        _shuffled(tables, settings),
        _ordered(tables, VALID, size),
        _ordered(tables, TEST, size) if test else None,
        {
            "channels": len(facts["channels"]),
            "outputs": facts["targets"],
            "classes": facts["classes"],
            "steps": facts["window"],
            "static": int(facts["static"]),
        },
    )


def _shuffled(tables: Tables, settings: DataSettings) -> Batches[Batch]:
    windows = tables.split.of(TRAIN)
    label = torch.zeros(len(windows)) if tables.labels is None else tables.labels[tables.split.graph[windows]]
    rows, known = order(settings, label, settings.batch_size, lambda limit: _plain(taken(len(windows), limit), settings.batch_size))

    def draw(rng: torch.Generator) -> Iterator[Batch]:
        return (_hidden(tables, tables.batch(windows[part], TRAIN), ~known[part]) for part in rows.draw(rng))

    return Batches(draw, rows.length)


def _plain(rows: Tensor, size: int) -> Order:
    return Order(lambda rng: rows[torch.randperm(len(rows), generator=rng)].split(size), -(-len(rows) // size))


def _hidden(tables: Tables, batch: Batch, unknown: Tensor) -> Batch:
    """The batch with nothing to train on in the windows that are unknown (windows,)."""
    target = batch.target if tables.labels is None else batch.target.masked_fill(unknown, HIDDEN)
    return replace(batch, asked=batch.asked & ~unknown[batch.window], target=target)


def _ordered(tables: Tables, role: int, size: int) -> Batches[Batch]:
    parts = tables.split.of(role).split(size)
    return Batches(lambda rng: (tables.batch(part, role) for part in parts), len(parts))


@dataclass(frozen=True, eq=False)
class Tables:
    """What `prepare` wrote. Events are in the order of (graph, step), and `key` is graph x steps + step of each."""

    settings: DataSettings
    facts: dict[str, Any]
    features: Tensor
    source: Tensor
    target: Tensor
    weight: Tensor
    key: Tensor
    first_node: Tensor
    split: Split
    labels: Tensor | None
    known: Tensor | None = None
    """(nodes, steps, targets), bool, where not all values are known."""

    @staticmethod
    def of(settings: DataSettings, prepared: Path) -> Tables:
        """Reads the folder."""
        facts: dict[str, Any] = read_json(prepared / "facts.json")
        columns: dict[str, Any] = read_parquet(prepared / "events.parquet")
        nodes: dict[str, Any] = read_parquet(prepared / "nodes.parquet")
        windows: dict[str, Any] = read_parquet(prepared / "windows.parquet")
        values: Any = read_parquet(prepared / "features.parquet")["values"]
        key = nodes["graph"][columns["source"]] * facts["steps"] + columns["step"]
        order = torch.argsort(key, stable=True)
        labels: Any = read_parquet(prepared / "labels.parquet")["label"] if facts["classes"] else None
        known: Any = read_parquet(prepared / "known.parquet")["known"] if facts.get("missing", {}).get("how") == "mask" else None
        return Tables(
            settings=settings,
            facts=facts,
            features=values.view(len(values), facts["steps"], -1),
            source=columns["source"][order],
            target=columns["target"][order],
            weight=columns["weight"][order],
            key=key[order],
            first_node=torch.cat((torch.zeros(1, dtype=torch.int64), torch.bincount(nodes["graph"]).cumsum(0))),
            split=Split(windows["graph"], windows["start"], windows["role"], nodes["role"] if facts["split_nodes"] else None),
            labels=labels,
            known=None if known is None else known.bool().view(len(values), facts["steps"], -1),
        )

    def batch(self, windows: Tensor, role: int) -> Batch:
        """Some windows, by their numbers, side by side."""
        facts, graph, start = self.facts, self.split.graph[windows], self.split.start[windows]
        node, window = _ranges(self.first_node[graph], self.first_node[graph + 1])
        offset = torch.cat((torch.zeros(1, dtype=torch.int64), torch.bincount(window, minlength=len(windows)).cumsum(0)))[:-1]
        shift = offset - self.first_node[graph]
        history = self.features[node[:, None], start[window][:, None] + torch.arange(facts["window"])]
        outputs = 0 if facts["classes"] else facts["targets"]
        edges = self._static(graph, shift) if facts["static"] else self._changing(graph, start, shift)
        return Batch(
            history=history,
            **edges,
            window=window,
            windows=len(windows),
            target=self._target(windows, node, window),
            asked=torch.ones(len(node), dtype=torch.bool) if self.split.node_role is None else self.split.node_role[node] == role,
            last=history[:, -1, :outputs],
            absolute=self.settings.absolute,
            unit=torch.tensor([facts["offset"], facts["span"]], dtype=history.dtype)[:, : facts["targets"]],
            log=facts["log"],
            known=None if self.known is None else self.known[node, self._asked_step(windows, window)],
        )

    def _target(self, windows: Tensor, node: Tensor, window: Tensor) -> Tensor:
        if self.labels is not None:
            return self.labels[self.split.graph[windows]]
        return self.features[node, self._asked_step(windows, window), : self.facts["targets"]]

    def _asked_step(self, windows: Tensor, window: Tensor) -> Tensor:
        """(nodes,): the step of each node's target."""
        step: Tensor = self.split.start[windows][window] + self.facts["window"] - 1 + self.facts["horizon"]
        return step

    def _static(self, graph: Tensor, shift: Tensor) -> dict[str, Any]:
        event, window = _ranges(*self._bounds(graph * self.facts["steps"], 1))
        edges = torch.stack((self.source[event], self.target[event])) + shift[window]
        return {"edges": edges, "weight": self.weight[event], "pair": event.new_empty(0), "starts": ()}

    def _changing(self, graph: Tensor, start: Tensor, shift: Tensor) -> dict[str, Any]:
        length = self.facts["window"]
        event, window = _ranges(*self._bounds(graph * self.facts["steps"] + start, length))
        step = self.key[event] - (graph * self.facts["steps"] + start)[window]
        order = torch.argsort(step.to(torch.int16), stable=True)
        event, window, step = event[order], window[order], step[order]
        source, target = self.source[event] + shift[window], self.target[event] + shift[window]
        base = int(source.max()) + int(target.max()) + 1 if len(event) else 1
        code, pair, counts = torch.unique(source * base + target, return_inverse=True, return_counts=True)
        weight = self.weight[event]
        if len(code) * length > self.settings.history_limit:
            kept = _often_seen(counts, length, self.settings.history_limit)
            chosen = kept[pair]
            code, pair = code[kept], (kept.cumsum(0) - 1)[pair[chosen]]
            weight, step = weight[chosen], step[chosen]
        starts = (0, *torch.bincount(step, minlength=length).cumsum(0).tolist())
        return {"edges": torch.stack((code // base, code % base)), "weight": weight, "pair": pair, "starts": starts}

    def _bounds(self, key: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """The first event at or after `key`, and the first one `steps` later."""
        return torch.searchsorted(self.key, key), torch.searchsorted(self.key, key + steps)


def _often_seen(counts: Tensor, steps: int, limit: int) -> Tensor:
    """(pairs,), bool: those seen more than once; says so. Raises UserError if they are too many still."""
    kept = counts > 1
    if int(kept.sum()) * steps > limit:
        got = f"{int(kept.sum())} pairs seen more than once x {steps} steps"
        raise UserError(f"data.history_limit - wanted edge histories of at most {limit} values in a batch - got {got}: take fewer windows")
    left_out = int((~kept).sum())
    warnings.warn(f"edge histories of a batch are above {limit} values: {left_out} pairs seen once were left out", stacklevel=2)
    return kept


def _ranges(first: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """All numbers from first[i] to end[i], one range after the other, and the i of each."""
    counts = end - first
    which = torch.arange(len(counts)).repeat_interleave(counts)
    place = torch.arange(len(which)) - (counts.cumsum(0) - counts)[which]
    return first[which] + place, which
