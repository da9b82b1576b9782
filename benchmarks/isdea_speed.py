"""Time and memory of one training step of ISDEA beside its formula relation by relation, and beside the other families."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.isdea_literal import literal_scores
from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs.knowledge.families.isdea import Isdea, IsdeaSettings
from stillhouse.workloads.graphs.knowledge.families.isdea_plus import IsdeaPlus, IsdeaPlusSettings
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph
from stillhouse.workloads.graphs.knowledge.prepare import Numbering
from stillhouse.workloads.graphs.knowledge.ranking import loss
from stillhouse.workloads.graphs.knowledge.read import read
from stillhouse.workloads.graphs.knowledge.sample import DataSettings, Training

BASE = {"nodes": 2000, "relations": 40, "edges": 8000}
"""The random graph of which one size varies."""

name = "isdea_speed"
expected_seconds = 1200
needs_data = True
settings = {"seeds": 3, "steps": 3, "threads": 1, "width": 32, "layers": 3, "batch": 256, "base": BASE}

SIZES = {"relations": (20, 40, 80), "nodes": (1000, 2000, 4000), "edges": (4000, 8000, 16000)}
LOOPS = ("subtracting loop", "double loop")
REAL = {
    "WN18RR v1": (("kg_grail", "wn18rr_v1-4.zip"), "WN18RR_v1", "WN18RR_v1_ind", ("isdea", "isdea_plus", *LOOPS)),
    "DB2WD": (("kg_isdea", "pediatypes_15k_v2.zip"), "DB2WD-15K-V2", "", ("isdea", "isdea_plus", LOOPS[0])),
}
"""One loop over DB2WD's 288 relations takes half a minute a step and 10 GB; the double loop would take 288 times as many passes."""


@dataclass(frozen=True)
class Case:
    """One graph, by its files or by its sizes, and one way to score it."""

    title: str
    method: str
    raw: tuple[Path, str, str] | None
    sizes: tuple[int, int, int]

    def graph(self, seed: int) -> Graph:
        """The training graph."""
        if self.raw is None:
            return _random(*self.sizes, torch.Generator().manual_seed(seed))
        source = read(*self.raw)
        names = Numbering.of(source.observed, source.valid)
        return Graph(*names.number(source.observed).T.contiguous(), nodes=len(names.nodes), relations=len(names.relations))


def run(data: Path) -> Iterator[dict[str, Any]]:
    """Milliseconds of the fastest step and the megabytes that it adds to the process at its peak, each case in a process of its own."""
    for case in _cases(data):
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            measured = pool.map(_measured, [(case, seed) for seed in range(int(settings["seeds"]))], chunksize=1)
        for metric, values in zip(("milliseconds", "megabytes"), zip(*measured, strict=True), strict=True):
            row = {"set": case.title, "method": case.method, "metric": metric, "seeds": len(values)}
            yield row | {"mean": mean(values), "sd": stdev(values)}


def _cases(data: Path) -> Iterator[Case]:
    for title, (place, train, test, methods) in REAL.items():
        for method in methods:
            yield Case(title, method, (data.joinpath(*place), train, test), (0, 0, 0))
    for axis, counts in SIZES.items():
        for count in counts:
            sizes = BASE | {axis: count}
            for method in ("isdea", "isdea_plus", *LOOPS[: axis == "relations"]):
                yield Case(f"random, {axis} {count}", method, None, (sizes["nodes"], sizes["relations"], sizes["edges"]))


def _random(nodes: int, relations: int, edges: int, rng: torch.Generator) -> Graph:
    """Nodes and relations of unequal frequency, as in real graphs: densities fall as 1 / sqrt(rank)."""
    ends = [(torch.rand(2 * edges, generator=rng).square() * nodes).long() for _ in range(2)]
    kind = (torch.rand(2 * edges, generator=rng).square() * relations).long()
    codes = ((ends[0] * relations + kind) * nodes + ends[1]).unique()
    codes = codes[torch.randperm(len(codes), generator=rng)[:edges]]
    return Graph(codes // (relations * nodes), codes // nodes % relations, codes % nodes, nodes, relations)


def _measured(task: tuple[Case, int]) -> tuple[float, float]:
    case, seed = task
    torch.set_num_threads(int(settings["threads"]))
    torch.manual_seed(seed)
    graph = case.graph(seed)
    triples = torch.stack((graph.head, graph.relation, graph.tail), -1)
    batches = Training(DataSettings(batch_size=settings["batch"]), graph, triples, triples).draw(torch.Generator().manual_seed(seed))
    model, predict = _model(case.method)
    before = _peak()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    _step(optimizer, predict, next(batches))  # also builds what is kept for the graph
    times = [_timed(optimizer, predict, next(batches)) for _ in range(int(settings["steps"]))]
    return 1000 * min(times), _peak() - before


def _model(method: str) -> tuple[nn.Module, Callable[[Batch], Tensor]]:
    sizes = {"width": settings["width"], "layers": settings["layers"]}
    if method == "isdea_plus":
        plus = IsdeaPlus(IsdeaPlusSettings(**sizes))
        return plus, lambda batch: plus(batch).prediction
    isdea = Isdea(IsdeaSettings(**sizes))
    if method == "isdea":
        return isdea, lambda batch: isdea(batch).prediction
    return isdea, lambda batch: literal_scores(isdea, batch, subtract=method == "subtracting loop")


def _timed(optimizer: torch.optim.Optimizer, predict: Callable[[Batch], Tensor], batch: Batch) -> float:
    """Seconds of processor time, which neighbours on the machine disturb less than the clock."""
    started = time.process_time()
    _step(optimizer, predict, batch)
    return time.process_time() - started


def _step(optimizer: torch.optim.Optimizer, predict: Callable[[Batch], Tensor], batch: Batch) -> None:
    optimizer.zero_grad()
    loss(Output(predict(batch), "candidates"), batch).backward()
    optimizer.step()


def _peak() -> float:
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
