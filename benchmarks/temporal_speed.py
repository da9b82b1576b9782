"""Time of one training step of time-then-graph and of its peers, at equal parameter counts, by window and by kind of edges."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from benchmarks import _temporal_graph, _temporal_library
from benchmarks._temporal_methods import OURS, PEERS, PUBLISHED, RECURRENT
from stillhouse.workloads.graphs.temporal.batch import Batch

name = "temporal_speed"
expected_seconds = 900
settings: dict[str, Any] = {
    "seeds": 3,
    "steps": 10,
    "threads": 1,
    "windows": [6, 12, 24, 48],
    "nodes": 129,
    "edges": {"stable": [2000, 2500], "changing": [2000, 16641]},
    "parameters": "as many as time_then_graph with a GRU of width 16 has, by width",
    "methods": {"time_then_graph": OURS, "time_then_graph_gru": RECURRENT, "gru_gcn": PUBLISHED, **PEERS},
    "library": list(_temporal_library.MODELS),
}
"""`edges`: so many at each step, drawn from so many pairs (all pairs: redrawn at every step)."""


def run(data: Path | None = None) -> Iterator[dict[str, Any]]:
    """Milliseconds of processor time of the median step. The library's models are timed where their package is installed."""
    torch.set_num_threads(int(settings["threads"]))
    for kind, (edges, pairs) in settings["edges"].items():
        for window in settings["windows"]:
            steps = _methods(window)
            timings = [_timings(steps, window, edges, pairs, seed) for seed in range(int(settings["seeds"]))]
            for method in steps:
                values = [timing[method] for timing in timings]
                row = {"set": f"{kind} edges, {window} steps", "method": method, "metric": "step_seconds", "seeds": len(values)}
                yield row | {"mean": mean(values), "sd": stdev(values)}


Predict = Callable[[Batch], Tensor]
Method = Callable[[], tuple[Predict, list[Tensor]]]


def _methods(window: int) -> dict[str, Method]:
    sizes = {"channels": 1, "outputs": 1, "classes": 0, "steps": window, "static": 0}
    parameters = _temporal_graph.count(RECURRENT, sizes)
    ours = _temporal_graph.of_equal_size(settings["methods"], sizes, parameters)
    own = {name: _maker(model, sizes) for name, model in ours.items()}
    return own | _temporal_library.methods(parameters, settings["nodes"])


def _maker(model: dict[str, Any], sizes: dict[str, int]) -> Method:
    def make() -> tuple[Predict, list[Tensor]]:
        network = _temporal_graph.build(model, sizes)
        return lambda batch: network(batch).prediction, list(network.parameters())

    return make


def _timings(methods: dict[str, Method], window: int, edges: int, pairs: int, seed: int) -> dict[str, float]:
    """Methods take turns, so that what disturbs the machine disturbs all of them."""
    rng = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    made = {name: make() for name, make in methods.items()}
    optimizers = {name: torch.optim.Adam(parameters, 1e-3) for name, (_, parameters) in made.items()}
    taken: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(int(settings["steps"]) + 2):
        batch = random_batch(window, edges, pairs, rng)
        for name, (predict, _) in made.items():
            taken[name].append(_seconds(predict, optimizers[name], batch))
    return {name: sorted(values[2:])[len(values[2:]) // 2] for name, values in taken.items()}


def _seconds(predict: Predict, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    started = time.process_time()
    optimizer.zero_grad()
    error = (predict(batch) - batch.target).square().mean()
    error.backward()
    optimizer.step()
    return time.process_time() - started


def random_batch(window: int, edges: int, pairs: int, rng: torch.Generator) -> Batch:
    """One window of directed edges without loops among the nodes, `edges` of the same `pairs` possible ones at each step."""
    nodes = int(settings["nodes"])
    places = (~torch.eye(nodes, dtype=torch.bool)).nonzero()
    possible = places[torch.randperm(len(places), generator=rng)[: min(pairs, len(places))]]
    chosen = torch.stack([torch.randperm(len(possible), generator=rng)[:edges].sort().values for _ in range(window)])
    used, pair = torch.unique(chosen, return_inverse=True)
    target = torch.randn(nodes, 1, generator=rng)
    return Batch(
        history=torch.randn(nodes, window, 1, generator=rng),
        edges=possible[used].T.contiguous(),
        weight=1 - torch.rand(window * edges, generator=rng),  # never 0: the library's DCRNN takes that for no edge
        pair=pair.flatten(),
        starts=tuple(range(0, window * edges + 1, edges)),
        window=torch.zeros(nodes, dtype=torch.int64),
        windows=1,
        target=target,
        asked=torch.ones(nodes, dtype=torch.bool),
        last=target,
    )
