"""Answers of 1, 10 and 100 % of the triples or windows of small graphs: what a teacher adds to a small student, and what else does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import ROOT, Row, row
from benchmarks._choices import best, named
from benchmarks._few import Block, Method, ahead, measured
from benchmarks._temporal_methods import RECURRENT
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.graphs.knowledge import WORKLOAD as KNOWLEDGE
from stillhouse.workloads.graphs.temporal import WORKLOAD as TEMPORAL

name = "few_graphs"
expected_seconds = 1200
needs_data = True
_FIT = {"optimizer": "adamw", "weight_decay": 1e-4, "schedule": "cosine", "clip_norm": 1.0}
_TRIPLES: Block = {"valid_tasks": ["node"], "test_tasks": ["node"]}
_RANKED: Block = {"logits": {"temperature": 2.0}, "margin": {}}
_VALUES: Block = {"regression": {"absolute": True}}
_SERIES: Block = RECURRENT | {"width": 32, "join": "residual", "layers": 3}
settings: dict[str, Any] = {
    "choosing": [0],
    "seeds": [2, 3, 4, 5, 6],
    "names": "umls,us-income",
    "sets": {
        "umls": {
            "prepare": {},
            "model": {"family": "isdea", "width": 32, "layers": 2, "residual": True},
            "data": _TRIPLES | {"batch_size": 128, "evaluation_batch_size": 60},
            "few": {"batch_size": 32},
            "beside": 128,
            "teach": {"epochs": 3, "learning_rate": 1e-2},
            "losses": _RANKED,
            "metric": "node_mrr",
            "shares": {
                "0.01": {"labels": 16, "longer": 20, "all": 1},
                "0.1": {"labels": 2, "longer": 4, "all": 1},
                "1.0": {"labels": 1, "longer": 2, "all": 1},
            },
        },
        "us-income": {
            "prepare": {"window": 10, "log": True, "read": {"rows": "nodes", "columns": "[0-9]+"}},
            "model": _SERIES | {"anchor": "last"},
            "data": {"batch_size": 4, "evaluation_batch_size": 64, "absolute": True},
            "few": {},
            "beside": 4,
            "teach": {"epochs": 20, "learning_rate": 5e-3},
            "losses": _VALUES,
            "metric": "skill",
            "shares": {
                "0.01": {"labels": 120, "longer": 150, "all": 10},
                "0.1": {"labels": 55, "longer": 83, "all": 10},
                "1.0": {"labels": 10, "longer": 15, "all": 10},
            },
        },
    },
    "untrained": {"epochs": 1, "learning_rate": 1e-12},
    "student": {"method": "uniform", "budget": {"unit": "macs", "share": 0.25}, "weights": "scratch"},
    "rates": [3e-3, 1e-2],
    "weights": [1.0, 4.0],
    "weights_at": "0.1",
}
"""`shares` are those of the answers, each with the passes over the answered examples alone, over them for as long in time as a taught
student takes, and over all examples for as many steps; `beside` is how many examples without an answer ride along with each batch."""
CONTROLS = ("alone", "longer", "untrained", "same")


@dataclass(frozen=True)
class Source:
    """A set by its name, and what learns on it."""

    title: str
    raw: Path
    workload: Workload[Any]

    @property
    def block(self) -> Block:
        """What the settings say of the set."""
        found: Block = settings["sets"][self.title]
        return found

    @property
    def first(self) -> str:
        """The loss that stands for all where a teacher knows nothing more."""
        return next(iter(self.block["losses"]))

    def entry(self, fit: Block, data: Block | None = None) -> _students.Set:
        """A teacher, of all answers unless its `data` say otherwise."""
        teach = {"model": self.block["model"], "data": self.block["data"] | (data or {}), "fit": _FIT | fit}
        return _students.Set(self.title, self.raw, self.block["prepare"], teach)


def run(data: Path) -> list[Row]:
    """`data` holds temporal_pygt/england_covid.json.gz; the other sets are generated or come with packages.

    Validation on the seeds `choosing` chooses the rate of each share, for the student alone, and the weight of each loss, at a tenth of
    the answers. Each seed draws its own answers. `<metric>_gain` is seed by seed what a student is above the control of its share that is
    the best on the test, and `<metric>_gain_95` the half width of its interval.
    """
    own = ROOT / "data" / "raw"
    sources = {
        "umls": Source("umls", own / "umls.json", KNOWLEDGE),
        "england": Source("england", data / "temporal_pygt" / "england_covid.json.gz", TEMPORAL),
        "us-income": Source("us-income", own / "us-income.json", TEMPORAL),
    }
    return [found for title in settings["names"].split(",") for found in _one(sources[title])]


def _one(source: Source) -> list[Row]:
    rates, weights = _chosen(source)
    cells, rows = measured(lambda seed: dict(_methods(source, seed, rates, weights)), settings["seeds"])
    chosen = {f"alone@{share}": rate for share, rate in rates.items()} | weights
    rows += [row(source.title, method, "chosen", [value]) for method, value in chosen.items()]
    return rows + [found for share in rates for found in ahead(cells, rows, share, CONTROLS, source.block["metric"])]


def _chosen(source: Source) -> tuple[dict[str, float], dict[str, float]]:
    """The rate of each share, and the weight of each loss."""
    shares, losses, at = source.block["shares"], source.block["losses"], settings["weights_at"]

    def alone(seed: int) -> dict[str, Method]:
        return {named(f"alone@{share}", rate): _alone(source, seed, share, rate) for share in shares for rate in settings["rates"]}

    _, rows = measured(alone, settings["choosing"])
    rates = {share: best(rows, f"alone@{share}", settings["rates"]) for share in shares}

    def taught(seed: int) -> dict[str, Method]:
        every = [(loss, weight) for loss in losses for weight in settings["weights"]]
        return {named(loss, weight): _taught(source, seed, at, rates[at], loss, weight) for loss, weight in every}

    _, rows = measured(taught, settings["choosing"])
    return rates, {loss: best(rows, loss, settings["weights"]) for loss in losses}


def _methods(source: Source, seed: int, rates: Mapping[str, float], weights: Mapping[str, float]) -> Iterator[tuple[str, Method]]:
    first, untrained = source.first, source.entry(settings["untrained"])
    yield "teacher", Method(source.entry(source.block["teach"]), {}, source.workload)
    for share, rate in rates.items():
        yield f"alone@{share}", _alone(source, seed, share, rate)
        yield f"longer@{share}", _alone(source, seed, share, rate, "longer")
        yield f"untrained@{share}", _taught(source, seed, share, rate, first, weights[first], untrained)
        if float(share) < 1:
            fit = source.block["teach"] | {"epochs": source.block["shares"][share]["labels"]}
            few = source.entry(fit, _answers(source, seed, share))
            yield f"same@{share}", _taught(source, seed, share, rate, first, weights[first], few)
        for loss, weight in weights.items():
            yield f"{loss}@{share}", _taught(source, seed, share, rate, loss, weight)


def _alone(source: Source, seed: int, share: str, rate: float, passes: str = "labels") -> Method:
    data, epochs = _answers(source, seed, share), source.block["shares"][share][passes]
    return Method(source.entry(source.block["teach"]), _student(data, {"epochs": epochs, "learning_rate": rate}), source.workload)


def _taught(source: Source, seed: int, share: str, rate: float, loss: str, weight: float, teacher: _students.Set | None = None) -> Method:
    beside = {"unlabelled": source.block["beside"]} if float(share) < 1 else {}
    fit = {"epochs": source.block["shares"][share]["all"], "learning_rate": rate}
    given = {"loss": loss, "weight": weight, "settings": source.block["losses"][loss]}
    block = _student(_answers(source, seed, share) | beside, fit, given)
    return Method(teacher or source.entry(source.block["teach"]), block, source.workload)


def _student(data: Block, fit: Block, *losses: Block) -> Block:
    return {"search": settings["student"], "distill": {"losses": list(losses), "start": "fresh", "fit": _FIT | fit, "data": data}}


def _answers(source: Source, seed: int, share: str) -> Block:
    return {"train_limit": float(share), "labels_seed": seed} | (source.block["few"] if float(share) < 1 else {})
