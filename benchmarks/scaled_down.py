"""Networks cut by `dms` from a larger one down to the cost of a hand-made one of the family, beside that one trained as long."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from benchmarks import _students
from benchmarks._cells import Row, row
from benchmarks._choices import best, named
from benchmarks._few import Block, Method, ahead, measured
from benchmarks.labels import dealt
from stillhouse.space import cost
from stillhouse.training import machine
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.sample import Batch

name = "scaled_down"
expected_seconds = 600
_STAGE = ("width", "blocks", "expansion", "stride")


def _stages(*stages: tuple[int, int, int, int]) -> list[Block]:
    return [dict(zip(_STAGE, stage, strict=True)) for stage in stages]


def _mobilenet(stem: int, head: int, *stages: tuple[int, int, int, int]) -> Block:
    return {"family": "mobilenet", "stem": stem, "stem_stride": 1, "stages": _stages(*stages), "head": head}


def _transformer(width: int, heads: int, hidden: int, layers: int) -> Block:
    return {"family": "transformer", "width": width, "heads": heads, "hidden": hidden, "layers": layers, "patch": 2}


settings: dict[str, Any] = {
    "choosing": [0],
    "seeds": [1, 2, 3, 4, 5],
    "draw": {"train": 500, "val": 200, "test": 1097},
    "sizes": {"channels": 1, "height": 8, "width": 8, "classes": 10},
    "data": {"batch_size": 64, "evaluation_batch_size": 200, "shift": 1},
    "families": {
        "mobilenet": {
            "hand-made": _mobilenet(12, 96, (12, 1, 1, 1), (20, 2, 4, 2), (40, 2, 4, 2)),
            "larger": _mobilenet(16, 160, (16, 1, 1, 1), (32, 3, 6, 2), (64, 3, 6, 2)),
        },
        "transformer": {"hand-made": _transformer(32, 2, 64, 3), "larger": _transformer(48, 3, 144, 5)},
    },
    "epochs": {"larger": 20, "search": 10, "student": 25, "longer": 100},
    "rates": [3e-3, 1e-2],
    "structure_learning_rate": 2e-2,
}
CONTROLS = ("hand-made", "longer")


def run(data: Path | None = None) -> Iterator[Row]:
    """Validation on the seed `choosing` chooses the rate of each family, for the hand-made network.

    `accuracy_gain` is seed by seed over the better one of two: the hand-made network trained for as many epochs as a cut one (`hand-made`),
    or for as long as the larger one's training, the search and the cut one's training take together (`longer`). `epochs_in_all` is the
    processor time of everything that leads to a network, in epochs of the larger one.
    """
    for family in settings["families"]:
        tried = {named("hand-made", rate): _hand_made(family, rate, "student") for rate in settings["rates"]}
        _, rows = measured(lambda seed, tried=tried: tried, settings["choosing"])  # type: ignore[misc]
        rate = best(rows, "hand-made", settings["rates"])
        methods = dict(_methods(family, rate))
        cells, rows = measured(lambda seed, methods=methods: methods, settings["seeds"])  # type: ignore[misc]
        yield from [*map(_in_all, rows), row("digits", f"hand-made@{family}", "chosen", [rate])]
        yield from ahead(cells, rows, family, CONTROLS, "accuracy")


def _methods(family: str, rate: float) -> Iterator[tuple[str, Method]]:
    budget = {"unit": "macs", "value": hand_made_macs(family)}
    fit = _fit("search", rate) | {"schedule": "constant"}
    dms = {"method": "dms", "settings": {"fit": fit, "structure_learning_rate": settings["structure_learning_rate"]}}
    yield f"larger@{family}", Method(_entry(family, rate), {}, WORKLOAD)
    yield f"hand-made@{family}", _hand_made(family, rate, "student")
    yield f"longer@{family}", _hand_made(family, rate, "longer")
    for title, search in (("dms", dms), ("uniform", {"method": "uniform"})):
        yield f"{title}@{family}", Method(_entry(family, rate), _block(search | {"budget": budget}, rate, "student"), WORKLOAD)


def _hand_made(family: str, rate: float, passes: str) -> Method:
    whole = {"method": "uniform", "budget": {"unit": "macs", "share": 1.0}, "weights": "scratch"}
    model = settings["families"][family]["hand-made"]
    return Method(_entry(family, rate), _block(whole | {"model": model}, rate, passes), WORKLOAD)


def _block(search: Block, rate: float, passes: str) -> Block:
    start = "fresh" if "model" in search else "inherited"
    return {"search": search, "distill": {"start": start, "fit": _fit(passes, rate)}}


def _entry(family: str, rate: float) -> _students.Set:
    teach = {"model": settings["families"][family]["larger"], "data": settings["data"], "fit": _fit("larger", rate)}
    return _students.Set("digits", partial(dealt, settings["draw"]), {}, teach, settings["draw"])


def _fit(passes: str, rate: float) -> Block:
    fit = {"learning_rate": rate, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": "cosine"}
    return fit | {"epochs": settings["epochs"][passes]}


def _in_all(entry: Row) -> Row:
    """The time of a cut network with that of the larger one, which the hand-made one does without."""
    if entry["metric"] != "student_epochs":
        return entry
    before = settings["epochs"]["larger"] if entry["method"].startswith(("dms", "uniform")) else 0
    return entry | {"metric": "epochs_in_all", "mean": entry["mean"] + before}


def hand_made_macs(family: str) -> float:
    """Of a validation batch."""
    sizes, count = settings["sizes"], settings["data"]["evaluation_batch_size"]
    network: nn.Module = WORKLOAD.model(
        TypeAdapter(WORKLOAD.model_settings).validate_python(settings["families"][family]["hand-made"]), sizes, None
    )
    shape = (count, sizes["channels"], sizes["height"], sizes["width"])
    batch = Batch(torch.zeros(shape, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64), torch.full((2, sizes["channels"]), 0.5))
    return cost.total(cost.macs(network.to(machine.device()).eval(), lambda: WORKLOAD.apply(network, batch.to(machine.device()))))
