"""What one node's answer costs: the nodes that must be looked up, and milliseconds on ONNX Runtime once they are at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from torch import nn
from torch_geometric.utils import k_hop_subgraph

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Workload
from stillhouse.runtimes.clock import with_threads
from stillhouse.runtimes.program import capture
from stillhouse.runtimes.table import RUNTIMES
from stillhouse.training import checkpoint
from stillhouse.training.latency import least
from stillhouse.workloads.graphs.static_nodes.sample import Batch, Prepared, read

_EDGELESS = ("mlp", "nosmog")
ROUNDS, SECONDS = 20, 0.02


def cost(workload: Workload[Any], model: Path, prepared: Path, nodes: int) -> Metrics:
    """Of so many test nodes, drawn by chance, one query each: `query_rows` (mean) and `query_ms` (median of the fastest calls).

    A network with edges is given the nodes that are as many edges away as it has layers, and the edges that lead inwards; the time to
    find them is left out. One thread.
    """
    network, settings = checkpoint.read_model(workload, model).eval(), checkpoint.read_record(model)["model"]
    batches = list(queries(read(prepared), hops(settings), nodes))
    times = timed(workload, network, batches, model)
    return {"query_rows": fmean(len(batch.features) for batch in batches), "query_ms": median(times)}


def hops(settings: Mapping[str, Any]) -> int:
    """How many edges away a network looks."""
    return 0 if settings["family"] in _EDGELESS else int(settings["layers"])


def timed(workload: Workload[Any], network: nn.Module, batches: list[Batch], folder: Path) -> list[float]:
    """Milliseconds of the fastest call for each batch, all about equally many nodes; the network as a file is left in the folder."""
    program = capture(workload, network, batches)
    chosen, file = RUNTIMES["onnx"], folder / RUNTIMES["onnx"].file
    with with_threads(1):
        chosen.save(program, file, [])
        ask = chosen.load(file, program)
        calls = [partial(ask, program.values(batch)) for batch in batches]
        return [least(call, rounds=ROUNDS, seconds=SECONDS, threads=1) for call in calls]


def queries(whole: Prepared, hops: int, count: int, size: int = 1) -> Iterator[Batch]:
    """One batch for every `size` of the test nodes that are drawn: the nodes so many edges away or fewer, and the edges inwards."""
    tested = (whole.split == 2).nonzero()[:, 0]
    chosen = tested[torch.randperm(len(tested), generator=torch.Generator().manual_seed(0))[: count * size]]
    for nodes in chosen.split(size):
        kept, edges, place, _ = k_hop_subgraph(nodes, hops, whole.edges, relabel_nodes=True, num_nodes=len(whole.features), directed=True)
        yield Batch(whole.features[kept], edges, place, whole.label[nodes], torch.zeros(len(nodes), dtype=torch.bool))
