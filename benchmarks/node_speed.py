"""Time and memory of one training step of classes of nodes, beside a plain script of PyTorch Geometric with the same network."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional

from benchmarks._cells import WORK, Row, row
from benchmarks._steps import Step, interleaved, plain, ratio
from benchmarks.static_graphs import SETS
from stillhouse.workloads.graphs._shared.messages import adjacency
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.sample import Batch, DataSettings, load

name = "node_speed"
expected_seconds = 300
needs_data = True
settings: dict[str, Any] = {
    "seeds": 2,
    "rounds": 2,
    "threads": 1,
    "sets": ["cora", "amazon_computers"],
    "families": {"gcn": "GCN", "sage": "GraphSAGE", "gin": "GIN"},
    "sizes": {"hidden": 64, "layers": 2, "dropout": 0.5},
}
METHODS = ("ours", "plain script", "plain script with a matrix")
"""The last one hands its network the edges as a sparse matrix, made once, as the library's guide proposes for memory."""


@dataclass(frozen=True)
class Case:
    """A prepared graph and a family."""

    title: str
    prepared: Path
    family: str


def run(data: Path) -> Iterator[Row]:
    """Milliseconds of processor time of a step, how often the plain script's goes into it (`ratio`), and the megabytes of its peak.

    `later_megabytes` are those of a process that has trained such a network on a few nodes before: without the code that is loaded once.
    """
    torch.set_num_threads(int(settings["threads"]))
    for title in settings["sets"]:
        prepared = _prepared(title, data)
        for family in settings["families"]:
            yield from _rows(Case(title, prepared, family))


def _prepared(title: str, data: Path) -> Path:
    place = WORK / "node_speed" / title
    if not (place / "facts.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        WORKLOAD.prepare(WORKLOAD.prepare_settings(), SETS[title].raw(data, 0), place, torch.Generator().manual_seed(0))
    return place


def _rows(case: Case) -> Iterator[Row]:
    seeds = range(int(settings["seeds"]))
    found = [interleaved(_steps(case, seed), int(settings["rounds"]), torch.device("cpu")) for seed in seeds]
    with forking().Pool(1, maxtasksperchild=1) as pool:
        asked = [(case, method, later) for method in METHODS for later in (False, True)]
        peaks = dict(zip(asked, pool.map(measured_megabytes, asked, chunksize=1), strict=True))
    for method in METHODS:
        label = f"{case.family}, {method}"
        yield row(case.title, label, "milliseconds", [1000 * median(seconds[method]) for seconds in found])
        yield row(case.title, label, "ratio", [ratio(seconds[method], seconds[METHODS[1]]) for seconds in found])
        for later in (False, True):
            yield row(case.title, label, "later_megabytes" if later else "megabytes", [peaks[case, method, later]])


def forking() -> multiprocessing.context.ForkServerContext:
    """Processes that have nothing in memory but what is imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch_geometric.nn"])
    return context


def _steps(case: Case, seed: int) -> dict[str, Step]:
    batch, sizes = batch_of(case.prepared)
    return {method: step(method, case.family, batch, sizes, seed)[0] for method in METHODS}


def batch_of(prepared: Path) -> tuple[Batch, dict[str, int]]:
    """That of training, and the sizes of a network for it."""
    data = load(DataSettings(), prepared)
    return next(iter(data.train.draw(torch.Generator()))), dict(data.sizes)


def step(method: str, family: str, batch: Batch, sizes: dict[str, int], seed: int) -> tuple[Step, Callable[[], Tensor]]:
    """A training step, and the loss that it lowers."""
    torch.manual_seed(seed)
    if method == "ours":
        chosen = TypeAdapter(WORKLOAD.model_settings).validate_python({"family": family, **settings["sizes"]})
        network = WORKLOAD.model(chosen, sizes, None)
        objective = partial(_ours, network, batch)
    else:
        network, objective = _script(method, settings["families"][family], batch, sizes)
    return plain(objective, network), objective


def _ours(network: nn.Module, batch: Batch) -> Tensor:
    return WORKLOAD.loss(WORKLOAD.apply(network, batch), batch)


def _script(method: str, layers: str, batch: Batch, sizes: dict[str, int]) -> tuple[nn.Module, Callable[[], Tensor]]:
    from torch_geometric.nn import models

    given = settings["sizes"]
    network = getattr(models, layers)(sizes["features"], given["hidden"], given["layers"], sizes["classes"], dropout=given["dropout"])
    train = batch.asked[batch.label >= 0]
    label = batch.label[batch.label >= 0]
    matrix = adjacency(batch.edges, len(batch.features), batch.features.dtype) if method == METHODS[2] else batch.edges

    def objective() -> Tensor:
        return functional.cross_entropy(network(batch.features, matrix)[train], label)

    return network, objective


def measured_megabytes(task: tuple[Case, str, bool]) -> float:
    """What a network and two steps add to the memory of this process, which did nothing else but read the graph.

    `later`, it has first made and trained such a network on a few nodes.
    """
    case, method, later = task
    torch.set_num_threads(int(settings["threads"]))
    batch, sizes = batch_of(case.prepared)
    if later:
        _train(method, case.family, *_few(sizes))
    Path("/proc/self/clear_refs").write_text("5")  # Linux forgets the peak that reading had
    before = kilobytes("VmHWM")
    _train(method, case.family, batch, sizes)
    return (kilobytes("VmHWM") - before) / 1024


def _train(method: str, family: str, batch: Batch, sizes: dict[str, int]) -> None:
    taken, _ = step(method, family, batch, sizes, 0)
    for _ in range(2):
        taken()


def _few(sizes: dict[str, int]) -> tuple[Batch, dict[str, int]]:
    """A ring of nodes with few features, and the sizes of a network for it."""
    nodes = torch.arange(16)
    ring = torch.stack((nodes, nodes.roll(1)))
    return Batch(torch.rand(16, 4), ring, nodes, nodes % sizes["classes"], nodes < 0), {**sizes, "features": 4}


def kilobytes(name: str) -> int:
    """Of this process, as Linux tells under that name."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
