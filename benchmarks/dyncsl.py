"""Graphs whose class is only in when their edges change: time-then-graph, the time-and-graph peers and three controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import _temporal_graph
from benchmarks._cells import WORK
from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import write_json
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.graphs.temporal import WORKLOAD
from stillhouse.workloads.graphs.temporal.batch import Batch

name = "dyncsl"
expected_seconds = 1800
_PUBLISHED = {"family": "time_then_graph", "edges": "gru", "join": "concatenate", "activation": "softplus"}
_STRIPPED = {**_PUBLISHED, "convolution": "sum", "join": "none", "activation": "tanh"}
_GINE = {**_PUBLISHED, "nodes": "series", "edges": "series", "convolution": "gine"}
_PEERS = ("graph_then_time", "evolvegcn_h", "evolvegcn_o", "gcrn", "dcrnn")
_PLAIN = {"graph_then_time", "evolvegcn_h", "evolvegcn_o"}
"""These may leave the normalisation out, without which they could count neighbours."""
settings: dict[str, Any] = {
    "seeds": [42, 43, 44, 45, 46],
    "generator": {"generator": "dyncsl", "samples": 1000, "seed": 7},
    "harder": {"noise_edges": 4, "unequal": True},
    "data": {"batch_size": 32, "evaluation_batch_size": 200},
    "fit": {"epochs": 20, "patience": 8, "clip_norm": 1.0, "schedule": "cosine"},
    "rates": list(_temporal_graph.RATES),
    "methods": {"time_then_graph": _STRIPPED, "time_then_graph_gine": _GINE, "gru_gcn": _PUBLISHED}
    | {peer: {"family": peer, **({"normalize": False} if peer in _PLAIN else {})} for peer in _PEERS},
    "controls": {"union_shape": {**_GINE, "edges": "gru"}, "union_counts": {**_GINE, "edges": "gru"}},
}


def run(data: Path | None = None) -> list[_temporal_graph.Row]:
    """Test graphs are fresh draws. With random marks (`dyncsl-marks`) peers may rise, since nodes are then told apart."""
    plain, harder, marked = (
        _set(*each) for each in (("dyncsl", {}), ("dyncsl-hard", settings["harder"]), ("dyncsl-marks", {"random_marks": True}))
    )
    methods, controls = settings["methods"], settings["controls"]
    variants = {"union_shape": _on_the_union(_ones), "union_counts": _on_the_union(_counts)}
    rows = _temporal_graph.run([plain, harder], methods | controls, settings["seeds"], variants)
    return rows + _temporal_graph.run([marked], {peer: methods[peer] for peer in _PEERS}, settings["seeds"])


def _set(title: str, further: dict[str, Any]) -> _temporal_graph.Set:
    raw = WORK / f"{title}.json"
    write_json(raw, settings["generator"] | further)
    return _temporal_graph.Set(title, raw, {}, settings["data"], settings["fit"])


def _on_the_union(weight: Callable[[Batch], torch.Tensor]) -> Workload[Batch]:
    """The workload with every window's union of edges in place of their histories."""

    def load(*given: Any, **named: Any) -> Data[Batch]:
        data = WORKLOAD.load(*given, **named)
        splits = {split: _changed(getattr(data, split), weight) for split in ("train", "valid", "test") if getattr(data, split)}
        return replace(data, **splits, sizes={**data.sizes, "static": 1})

    return replace(WORKLOAD, load=load)


def _changed(batches: Batches[Batch], weight: Callable[[Batch], torch.Tensor]) -> Batches[Batch]:
    def draw(rng: torch.Generator) -> Iterator[Batch]:
        return (replace(batch, weight=weight(batch), pair=batch.pair[:0], starts=()) for batch in batches.draw(rng))

    return Batches(draw, batches.length)


def _ones(batch: Batch) -> torch.Tensor:
    return batch.weight.new_ones(batch.edges.shape[1])


def _counts(batch: Batch) -> torch.Tensor:
    return torch.bincount(batch.pair, minlength=batch.edges.shape[1]).to(batch.weight) / batch.steps
