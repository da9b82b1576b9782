"""Question types and intents: what a teacher adds to a small network where all texts have their class, and where a tenth has it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import Cell, Row, compared, measure, row
from benchmarks._choices import best, named
from benchmarks._few import Block, Method, ahead, measured
from benchmarks._words import words
from stillhouse.workloads.text.text_classes import WORKLOAD

name = "text_classes"
expected_seconds = 1600
needs_data = True
CONTROLS = ("alone", "longer")


def _fit(epochs: int, rate: float) -> Block:
    return {"epochs": epochs, "learning_rate": rate, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": "cosine", "clip_norm": 1.0}


def _bert(dropout: float, epochs: int) -> Block:
    sizes = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
    dropouts = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return {"model": {"family": "transformers", "config": {"model_type": "bert", **sizes, **dropouts}}, "fit": _fit(epochs, 2e-3)}


def _convolutions(width: int, rate: float) -> Block:
    arguments = {"width": width, "channels": width, "dropout": 0.5}
    return {
        "model": {"family": "module", "factory": "benchmarks._text_networks:Convolutions", "arguments": arguments},
        "fit": _fit(15, rate),
    }


settings: dict[str, Any] = {
    "choosing": [0],
    "seeds": {"banking77": [1, 2, 3], "trec": [1, 2, 3]},
    "classes": {"trec": 6, "banking77": 77},
    "prepare": {"tokenizer": {"vocabulary": 4096}, "length": 32},
    "data": {"batch_size": 64, "evaluation_batch_size": 256},
    "teachers": {
        "bert": _bert(0.3, 20),
        "convolutions, 64, rate 0.002": _convolutions(64, 2e-3),
        "convolutions, 64, rate 0.005": _convolutions(64, 5e-3),
        "convolutions, 128, rate 0.005": _convolutions(128, 5e-3),
    },
    "untried": {"trec": [], "banking77": ["bert", "convolutions, 128, rate 0.005"]},
    "shares": {
        "trec": {"0.1": {"labels": 44, "longer": 132, "all": 10}, "1.0": {"labels": 12, "longer": 24, "all": 12}},
        "banking77": {"0.1": {"labels": 35, "longer": 105, "all": 8}, "1.0": {"labels": 12, "longer": 24, "all": 12}},
    },
    "student": {"method": "uniform", "budget": {"unit": "macs", "share": 0.25}, "weights": "scratch"},
    "few": {"batch_size": 32},
    "beside": {"unlabelled": 64},
    "rates": [2e-3, 5e-3],
    "weights": [1.0, 4.0],
    "weights_at": "0.1",
    "losses": {"logits": {"temperature": 2.0}, "dist": {}},
    "inverses": [3.0, 30.0, 100.0],
}
"""`untried` teachers of a set are left out for time. `shares` are those of the classes known, each with the passes over these texts alone,
over them for as long in time as a taught student takes or longer, and over all texts that are as many steps."""


@dataclass(frozen=True)
class Source:
    """A set by its name, the table that holds it, and the block of its teacher."""

    title: str
    table: Path
    teacher: Block

    @property
    def shares(self) -> Block:
        """Of each share of the classes its passes."""
        found: Block = settings["shares"][self.title]
        return found

    def entry(self, fit: Block, data: Block) -> _students.Set:
        """A teacher, of all classes unless its `data` say otherwise."""
        prepare = settings["prepare"] | {"read": {"where": {"set": self.title}, "label": "label_name"}}
        teach = {"model": self._model(), "data": settings["data"] | data, "fit": fit}
        return _students.Set(self.title, self.table, prepare, teach)

    def _model(self) -> Block:
        model = self.teacher["model"]
        sizes = {"vocabulary": settings["prepare"]["tokenizer"]["vocabulary"], "classes": settings["classes"][self.title]}
        return model | {"arguments": model["arguments"] | sizes} if "arguments" in model else model

    @property
    def taught(self) -> _students.Set:
        """The teacher of all classes."""
        return self.entry(self.teacher["fit"], {})


def run(data: Path) -> Iterator[Row]:
    """`data` holds text-classes/text-classes.parquet, with the columns set, text, label_name and split.

    Validation on the seeds `choosing` chooses the teacher (`tried`), the rate of each share, for the student alone, and the weight of each
    loss, at a tenth of the classes. Each seed draws its own tenth. `accuracy_gain` is seed by seed what a student is above the control of
    its share that is the best on the test, `accuracy_over_words` above the regression on words, each with half its 95 % interval (`_95`).
    """
    table = data / "text-classes" / "text-classes.parquet"
    for title in settings["seeds"]:
        yield from _one((yield from _taught_best(title, table)))


def _taught_best(title: str, table: Path) -> Generator[Row, None, Source]:
    """The set with the teacher that is best on validation, of equals the first; yields a row for each."""
    sources = {
        label: Source(title, table, block) for label, block in settings["teachers"].items() if label not in settings["untried"][title]
    }
    tried = {f"teacher: {label}": Method(source.taught, {}, WORKLOAD) for label, source in sources.items()}
    _, rows = measured(lambda seed: tried, settings["choosing"])
    found = {entry["method"]: entry["mean"] for entry in rows if entry["metric"] == "valid"}
    for method, value in found.items():
        yield row(title, method, "tried", [value])
    return sources[max(sources, key=lambda label: found[f"teacher: {label}"])]


def _one(source: Source) -> Iterator[Row]:
    rates, weights = _chosen(source)
    seeds = settings["seeds"][source.title]
    cells, rows = measured(lambda seed: dict(_methods(source, seed, rates, weights)), seeds)
    counted = [_counted(source, share, seed) for seed in seeds for share in rates]
    yield from rows + measure(counted, partial(words, source.table))
    chosen = {f"alone@{share}": rate for share, rate in rates.items()} | weights
    yield from (row(source.title, method, "chosen", [value]) for method, value in chosen.items())
    for share in rates:
        yield from ahead(cells, rows, share, CONTROLS, "accuracy")
        yield from _over_words([*cells, *counted], share)


def _over_words(cells: list[Cell], share: str) -> list[Row]:
    return compared([cell for cell in cells if cell.method.endswith(f"@{share}")], f"words@{share}", "accuracy_over_words")


def _counted(source: Source, share: str, seed: int) -> Cell:
    data = {name: value for name, value in _known(share, seed).items() if name != "batch_size"}
    return Cell(source.title, f"words@{share}", seed, {"data": data, "inverses": settings["inverses"]})


def _chosen(source: Source) -> tuple[dict[str, float], dict[str, float]]:
    """The rate of each share, and the weight of each loss."""
    at, losses = settings["weights_at"], settings["losses"]

    def alone(seed: int) -> dict[str, Method]:
        return {named(f"alone@{share}", rate): _alone(source, seed, share, rate) for share in source.shares for rate in settings["rates"]}

    _, rows = measured(alone, settings["choosing"])
    rates = {share: best(rows, f"alone@{share}", settings["rates"]) for share in source.shares}

    def taught(seed: int) -> dict[str, Method]:
        every = [(loss, weight) for loss in losses for weight in settings["weights"]]
        return {named(loss, weight): _taught(source, seed, at, rates[at], (loss, weight)) for loss, weight in every}

    _, rows = measured(taught, settings["choosing"])
    return rates, {loss: best(rows, loss, settings["weights"]) for loss in losses}


def _methods(source: Source, seed: int, rates: Mapping[str, float], weights: Mapping[str, float]) -> Iterator[tuple[str, Method]]:
    yield "teacher", Method(source.taught, {}, WORKLOAD)
    for share, rate in rates.items():
        yield f"alone@{share}", _alone(source, seed, share, rate)
        yield f"longer@{share}", _alone(source, seed, share, rate, "longer")
        for given in weights.items():
            yield f"{given[0]}@{share}", _taught(source, seed, share, rate, given)
        if float(share) < 1:
            fit = source.teacher["fit"] | {"epochs": source.shares[share]["labels"]}
            few = source.entry(fit, _known(share, seed))
            yield f"same@{share}", Method(few, {}, WORKLOAD)
            yield f"same-logits@{share}", _taught(source, seed, share, rate, ("logits", weights["logits"]), few)


def _alone(source: Source, seed: int, share: str, rate: float, passes: str = "labels") -> Method:
    block = _student(_known(share, seed), _fit(source.shares[share][passes], rate))
    return Method(source.taught, block, WORKLOAD)


def _taught(source: Source, seed: int, share: str, rate: float, given: tuple[str, float], teacher: _students.Set | None = None) -> Method:
    loss, weight = given
    beside = settings["beside"] if float(share) < 1 else {}
    item = {"loss": loss, "weight": weight, "settings": settings["losses"][loss]}
    block = _student(_known(share, seed) | beside, _fit(source.shares[share]["all"], rate), item)
    return Method(teacher or source.taught, block, WORKLOAD)


def _student(data: Block, fit: Block, *losses: Block) -> Block:
    return {"search": settings["student"], "distill": {"losses": list(losses), "start": "fresh", "fit": fit, "data": data}}


def _known(share: str, seed: int) -> Block:
    return {"train_limit": float(share), "labels_seed": seed, **settings["few"]} if float(share) < 1 else {}
