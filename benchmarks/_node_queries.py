"""What one node's answer costs: the nodes that must be looked up, and milliseconds on ONNX Runtime once they are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
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
    network, whole = checkpoint.read_model(workload, model).eval(), read(prepared)
    settings = checkpoint.read_record(model)["model"]
    hops = 0 if settings["family"] in _EDGELESS else int(settings["layers"])
    batches = list(queries(whole, hops, nodes))
    program = capture(workload, network, batches)
    chosen, file = RUNTIMES["onnx"], model / RUNTIMES["onnx"].file
    with with_threads(1):
        chosen.save(program, file, [])
        ask = chosen.load(file, program)
        calls = [partial(ask, program.values(batch)) for batch in batches]
        times = [least(call, rounds=ROUNDS, seconds=SECONDS, threads=1) for call in calls]
    return {"query_rows": fmean(len(batch.features) for batch in batches), "query_ms": median(times)}


def queries(whole: Prepared, hops: int, count: int) -> Iterator[Batch]:
    """One batch for each test node that is drawn: the nodes so many edges away or fewer, and the edges inwards."""
    tested = (whole.split == 2).nonzero()[:, 0]
    chosen = tested[torch.randperm(len(tested), generator=torch.Generator().manual_seed(0))[:count]]
    for node in chosen.tolist():
        kept, edges, place, _ = k_hop_subgraph(node, hops, whole.edges, relabel_nodes=True, num_nodes=len(whole.features), directed=True)
        label = whole.label[node].reshape(1)
        yield Batch(whole.features[kept], edges, place, label, torch.zeros(1, dtype=torch.bool))
