"""Labels of 1, 10 and 100 % of the pictures, the rest without one: what a teacher adds to a small student, and what else does."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks import _students
from benchmarks._cells import ROOT, WORK, Row, row
from benchmarks._choices import best, named
from benchmarks._few import Block, Method, ahead, measured
from benchmarks.pictures import drawn
from stillhouse.contracts.output import Output
from stillhouse.training.files import write_parquet
from stillhouse.training.labels import HIDDEN
from stillhouse.training.packaged import read_pointer
from stillhouse.workloads.pictures._shared.digits import DigitsPointer, read_digits
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.sample import Batch

name = "labels"
expected_seconds = 900
needs_data = True


def _fit(epochs: int, rate: float) -> Block:
    return {"epochs": epochs, "learning_rate": rate, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": "cosine"}


settings: dict[str, Any] = {
    "choosing": [0, 1],
    "seeds": [2, 3, 4, 5, 6],
    "names": "digits",
    "sets": {
        "digits": {
            "draw": {"train": 1097, "val": 200, "test": 500},
            "prepare": {},
            "data": {"batch_size": 96, "evaluation_batch_size": 500, "shift": 1},
            "teach": _fit(20, 1e-2),
            "shares": {
                "0.01": {"labels": 170, "all": 10},
                "0.1": {"labels": 40, "all": 10},
                "1.0": {"labels": 14, "all": 14},
            },
        },
        "fashion-mnist": {
            "draw": {"train": 6000, "val": 500, "test": 10000},
            "prepare": {"size": 14},
            "data": {"batch_size": 96, "evaluation_batch_size": 500, "flip": True, "shift": 1},
            "teach": _fit(12, 1e-2),
            "shares": {
                "0.01": {"labels": 140, "all": 3},
                "0.1": {"labels": 13, "all": 3},
                "1.0": {"labels": 4, "all": 4},
            },
        },
        "cifar10-jpeg": {
            "draw": {"train": 2000, "val": 500, "test": 5000},
            "prepare": {},
            "data": {"batch_size": 96, "evaluation_batch_size": 500, "flip": True, "shift": 2},
            "teach": _fit(12, 1e-2),
            "shares": {"0.1": {"labels": 40, "all": 10}},
        },
    },
    "teacher": {"family": "resnet", "stem": "small", "width": 16, "blocks": [2, 2, 2]},
    "untrained": {"epochs": 1, "learning_rate": 1e-12},
    "student": {"method": "uniform", "budget": {"unit": "macs", "share": 0.25}, "weights": "scratch"},
    "few": {"batch_size": 32},
    "beside": {"unlabelled": 64},
    "smoothing": 0.1,
    "rates": [3e-3, 1e-2, 3e-2],
    "weights": [1.0, 4.0],
    "weights_at": "0.1",
    "losses": {
        "logits": {"temperature": 4.0},
        "standardised": {"temperature": 2.0},
        "dist": {},
        "pearson": {"pairs": ["stage3"]},
        "ssld": {},
    },
    "same": ["logits"],
}
"""`shares` are those of the labels, each with the passes over the labelled pictures alone and over all pictures that are as many steps."""
CONTROLS = ("alone", "longer", "beside", "smoothing", "untrained")


@dataclass(frozen=True)
class Source:
    """Pictures by the name of their set, the raw data of each seed, and what the settings say of the set."""

    title: str
    raw: Callable[[int], Path]

    @property
    def block(self) -> Block:
        """How much is drawn, how it is prepared and taught, and the passes of each share."""
        found: Block = settings["sets"][self.title]
        return found

    def entry(self, fit: Block, data: Block | None = None) -> _students.Set:
        """A teacher, of all labels unless its `data` say otherwise."""
        teach = {"model": settings["teacher"], "data": self.block["data"] | (data or {}), "fit": fit}
        return _students.Set(self.title, self.raw, self.block["prepare"], teach, self.block["draw"])

    def passes(self, share: str, over: str) -> int:
        """Over the `labels` alone, or over `all` pictures."""
        return int(self.block["shares"][share][over])


def run(data: Path) -> list[Row]:
    """`data` holds fashion-mnist/fashion-mnist.parquet and cifar10-jpeg/cifar10-jpeg.parquet; the digits come with a package.

    Validation on the seeds `choosing` chooses the rate of each share, for the student alone, and the weight of each loss, at a tenth of
    the labels. `accuracy_gain` is seed by seed what a student of `seeds` is above the control of its share that is the best on the
    test, and `accuracy_gain_95` the half width of its interval.
    """
    return [found for title in settings["names"].split(",") for found in _one(source(title, data))]


def source(title: str, data: Path) -> Source:
    """A set by its name."""
    draw = settings["sets"][title]["draw"]
    own = partial(dealt, draw) if title == "digits" else partial(drawn, title, data / title / f"{title}.parquet", draw)
    return Source(title, own)


def dealt(draw: Mapping[str, int], seed: int) -> Path:
    """A table of all digits, dealt to the splits by the seed."""
    pointer = ROOT / "data" / "raw" / "digits.json"
    digits = read_digits(str(pointer), read_pointer(pointer, DigitsPointer, "digits"))
    order = np.random.default_rng(seed).permutation(len(digits.label))[: sum(draw.values())]
    split = [name for name, count in draw.items() for _ in range(count)]
    path = WORK / "pictures" / f"digits-{seed}.parquet"
    write_parquet(path, {"image": list(map(_coded, digits.image[order])), "label": digits.label[order], "split": split})
    return path


def _coded(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def _one(source: Source) -> list[Row]:
    rates, weights = _chosen(source)
    every = dict(methods(source, rates, weights))
    cells, rows = measured(lambda seed: every, settings["seeds"])
    chosen = {f"alone@{share}": rate for share, rate in rates.items()} | weights
    rows += [row(source.title, method, "chosen", [value]) for method, value in chosen.items()]
    return rows + [found for share in rates for found in ahead(cells, rows, share, CONTROLS, "accuracy")]


def _chosen(source: Source) -> tuple[dict[str, float], dict[str, float]]:
    """The rate of each share, and the weight of each loss."""
    taught, shares, at = source.entry(source.block["teach"]), source.block["shares"], settings["weights_at"]
    tried = {
        named(f"alone@{share}", rate): Method(taught, _alone(source, share, rate), WORKLOAD)
        for share in shares
        for rate in settings["rates"]
    }
    _, rows = measured(lambda seed: tried, settings["choosing"])
    rates = {share: best(rows, f"alone@{share}", settings["rates"]) for share in shares}
    tried = {
        named(loss, weight): Method(taught, _taught(source, at, rates[at], loss, weight), WORKLOAD)
        for loss in settings["losses"]
        for weight in settings["weights"]
    }
    _, rows = measured(lambda seed: tried, settings["choosing"])
    return rates, {loss: best(rows, loss, settings["weights"]) for loss in settings["losses"]}


def methods(source: Source, rates: Mapping[str, float], weights: Mapping[str, float]) -> Iterator[tuple[str, Method]]:
    """The teacher, and for each share with a rate the controls, a student of each loss with a weight, and teachers of few labels."""
    taught, untrained = (source.entry(fit) for fit in (source.block["teach"], settings["untrained"]))
    yield "teacher", Method(taught, {}, WORKLOAD)
    for share, rate in rates.items():
        alone = Method(taught, _alone(source, share, rate), WORKLOAD)
        yield f"alone@{share}", alone
        yield f"longer@{share}", Method(taught, _alone(source, share, rate, times=2), WORKLOAD)
        yield f"smoothing@{share}", replace(alone, workload=replace(WORKLOAD, loss=_smoothed))
        yield f"untrained@{share}", Method(untrained, _taught(source, share, rate, "logits", weights["logits"]), WORKLOAD)
        for loss, weight in weights.items():
            yield f"{loss}@{share}", Method(taught, _taught(source, share, rate, loss, weight), WORKLOAD)
        if float(share) < 1:
            yield from _with_few(source, share, rate, weights)


def _with_few(source: Source, share: str, rate: float, weights: Mapping[str, float]) -> Iterator[tuple[str, Method]]:
    """The pictures without labels and no teacher, and a teacher that has seen no more labels than its student."""
    few = source.entry(_fit(source.passes(share, "labels"), source.block["teach"]["learning_rate"]), _labels(share))
    beside = _student(_beside(share), source.passes(share, "all"), rate)
    yield f"beside@{share}", Method(source.entry(source.block["teach"]), beside, WORKLOAD)
    yield f"same@{share}", Method(few, {}, WORKLOAD)
    for loss in settings["same"]:
        yield f"same-{loss}@{share}", Method(few, _taught(source, share, rate, loss, weights[loss]), WORKLOAD)


def _alone(source: Source, share: str, rate: float, times: int = 1) -> Block:
    return _student(_labels(share), times * source.passes(share, "labels"), rate)


def _taught(source: Source, share: str, rate: float, loss: str, weight: float) -> Block:
    block = {"loss": loss, "weight": weight, "settings": settings["losses"][loss]}
    return _student(_beside(share), source.passes(share, "all"), rate, block)


def _student(data: Block, passes: int, rate: float, *losses: Block) -> Block:
    return {"search": settings["student"], "distill": {"losses": list(losses), "start": "fresh", "fit": _fit(passes, rate), "data": data}}


def _labels(share: str) -> Block:
    return {"train_limit": float(share)} | (settings["few"] if float(share) < 1 else {})


def _beside(share: str) -> Block:
    return _labels(share) | settings["beside"]


def _smoothed(output: Output, batch: Batch) -> Tensor:
    return cross_entropy(output.prediction, batch.label, ignore_index=HIDDEN, label_smoothing=settings["smoothing"])
