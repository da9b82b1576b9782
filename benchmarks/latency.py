"""What share of the latency is left at a half and a quarter of the multiply-accumulates, by runtime; how well latencies are predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from benchmarks._cells import Cell, Row, measure
from benchmarks._timed import SUBJECTS, Subject
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.ready import MakesReady
from stillhouse.runtimes.clock import clock, opened, with_threads
from stillhouse.searches._rounding import Rounding
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, groups_of
from stillhouse.space.cost import Cost
from stillhouse.training.latency import least
from stillhouse.training.latency_model import drawn, features, fit

name = "latency"
expected_seconds = 1500
SLOWEST = ("onnx-int8", "torch-compile")
SHARES = {"1/2": 0.5, "1/4": 0.25}
settings: dict[str, Any] = {
    "seeds": 2,
    "threads": 1,
    "turns": 10,
    "rounds": 4,
    "runtimes": ["onnx", "torch", "onnx-int8", "torch-compile"],
    "multiple": 16,
    "shallow": ["digits, 256 pictures", "us-income, 16 windows", "umls, 20 queries", "calls, one split", "calls, 1000 loads"],
    "networks": 30,
    "predicted": {"digits, 256 pictures": ["torch", "onnx"], "us-income, 16 windows": ["torch"], "umls, 20 queries": ["torch"]},
}


def run(data: Path | None = None) -> Iterator[Row]:
    """Untrained networks, cut uniformly to a share of the multiply-accumulates; a runtime that cannot run one has `runs` 0."""
    with with_threads(int(settings["threads"])):
        yield from measure(_cells(), lambda cell: {cell.set: _shares(cell) if "turns" in cell.settings else _predicted(cell)})


def _cells() -> Iterator[Cell]:
    """The slowest at the end, so that the rest is there when the measuring is interrupted."""
    fixed = {"threads": settings["threads"], "multiple": settings["multiple"]}
    order = [(runtime, seed) for runtime in settings["runtimes"] for seed in range(int(settings["seeds"]))]
    shares = [
        Cell(title, runtime, seed, fixed | {"turns": settings["turns"], "rounds": settings["rounds"]})
        for runtime, seed in order
        for title in SUBJECTS
    ]
    yield from (cell for cell in shares if cell.method not in SLOWEST)
    for title, runtimes in settings["predicted"].items():
        for runtime in runtimes:
            yield Cell(title, runtime, 0, fixed | {"networks": settings["networks"]})
    yield from (cell for cell in shares if cell.method in SLOWEST)


@cache
def _subject(title: str) -> Subject:
    return SUBJECTS[title]()


def _shares(cell: Cell) -> Metrics:
    subject = _subject(cell.set)
    torch.manual_seed(cell.seed)
    whole = subject.build(None).eval()
    cut = _cut(subject, whole, int(cell.settings["multiple"]), shallow=cell.set in settings["shallow"])
    models = {"teacher": whole} | {title: subject.build(architecture).eval() for title, architecture in cut.items()}
    try:
        found = times(subject, models, cell.method, cell.settings)
    except UserError:
        return {"runs": 0.0}
    shares = {f"share at {title}": found[title] / found["teacher"] for title in cut}
    return {"runs": 1.0, "teacher ms": found["teacher"], "empty call ms": _empty(cell)} | _ready(subject, whole, cell) | shares


def _ready(subject: Subject, whole: nn.Module, cell: Cell) -> Metrics:
    """Milliseconds of what is made ready in Python and asked of no runtime; `torch` is given the question as it is, and does it itself."""
    if not isinstance(whole, MakesReady) or cell.method == "torch":
        return {}
    how: dict[str, Any] = {"rounds": cell.settings["rounds"], "seconds": 1, "threads": cell.settings["threads"]}
    return {"ready ms": min(least(lambda: whole.ready(subject.example), **how) for _ in range(cell.settings["turns"]))}


def _empty(cell: Cell) -> float:
    """Milliseconds of a network that adds one to a number: what a call costs on a runtime, whatever is computed."""
    task: Any = SimpleNamespace(apply=lambda model, batch: Output(model(batch) + 1, "values"))
    return times(Subject(task, torch.zeros(1), lambda _: nn.Identity()), {"teacher": nn.Identity()}, cell.method, cell.settings)["teacher"]


def times(subject: Subject, models: dict[str, nn.Module], runtime: Any, how: dict[str, Any]) -> Metrics:
    """Milliseconds of the fastest call of each; all take turns."""
    given: dict[str, Any] = {"rounds": how["rounds"], "seconds": 1, "threads": how["threads"]}
    with ExitStack() as stack:
        calls = {title: stack.enter_context(opened(subject.task, model, subject.example, runtime)) for title, model in models.items()}
        found = [{title: least(call, **given) for title, call in calls.items()} for _ in range(how["turns"])]
    return {title: min(turn[title] for turn in found) for title in models}


def _cut(subject: Subject, whole: nn.Module, multiple: int, *, shallow: bool) -> dict[str, Architecture]:
    """By what they are: uniform ones, and of those in multiples a `shallow` one, which loses its blocks and then widths."""
    groups, macs = groups_of(whole), cost.macs(whole, _asked(subject, whole))
    shares = {group.name: 1.0 for group in groups if group.kind == "width"}
    whole_depth = {group.name: tuple(range(group.size)) for group in groups if group.kind == "depth"}
    least_depth = {group.name: tuple(range(group.minimum)) for group in groups if group.kind == "depth"}
    scores = {group.name: torch.zeros(group.size) for group in groups}

    def fitted(share: float, multiple: int, blocks: dict[str, tuple[int, ...]] = whole_depth) -> Architecture:
        rounding = Rounding(groups, lambda counts: cost.evaluate(macs, counts), share * cost.total(macs), multiple)
        return rounding.fit(shares, blocks, scores)

    grids = {"": 1, f" in {multiple}s": multiple}
    found = {f"{title}{grid}": fitted(share, of) for grid, of in grids.items() for title, share in SHARES.items()}
    return found | ({"1/2 with the fewest blocks": fitted(SHARES["1/2"], multiple, least_depth)} if shallow else {})


def _asked(subject: Subject, model: nn.Module) -> Callable[[], object]:
    return lambda: subject.task.apply(model, subject.example)


def _predicted(cell: Cell) -> Metrics:
    """The median difference of predicted from measured latencies of random networks, as a share, each left out of its fit."""
    subject, found = _subject(cell.set), Metrics()
    torch.manual_seed(cell.seed)
    whole = subject.build(None).eval()
    groups, known = groups_of(whole), features(whole, groups_of(whole), _asked(subject, whole))
    alone = {"macs": Cost(cost.macs(whole, _asked(subject, whole)).terms), "constant": known["constant"]}
    timed = clock(subject.task, subject.example, runtime=cell.method, threads=int(cell.settings["threads"]))  # type: ignore[arg-type]
    grids = {"": 1, f" in {cell.settings['multiple']}s": int(cell.settings["multiple"])} if cell.method == "onnx" else {"": 1}
    for grid, multiple in grids.items():
        architectures = drawn(groups, int(cell.settings["networks"]), multiple)
        times = [timed.milliseconds(subject.build(architecture)) for architecture in architectures]
        found |= {f"error{grid}": fit(known, groups, architectures, times).error}
        found |= {f"error of MACs alone{grid}": fit(alone, groups, architectures, times).error}
    return found
