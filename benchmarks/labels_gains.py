"""A tenth of the digits' labels, on ten seeds that had no part in any choice: gains under teachers that know all labels, or no more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import labels
from benchmarks._cells import Row
from benchmarks._choices import recorded
from benchmarks._few import ahead, measured

name = "labels_gains"
expected_seconds = 400
settings: dict[str, Any] = {
    "seeds": list(range(7, 17)),
    "share": "0.1",
    "losses": ["logits"],
    "methods": ["teacher", "alone", "longer", "smoothing", "beside", "logits", "same", "same-logits"],
}


def run(data: Path) -> list[Row]:
    """The rate and the weight are those in the results of `labels`, from seeds of its own; gains are as there."""
    return gained(labels.source("digits", data), settings, "digits")


def gained(source: labels.Source, given: Mapping[str, Any], chosen_on: str) -> list[Row]:
    """Rows of `methods` at a `share` of the labels on `seeds`, with the rate and the weights that `labels` chose on a set."""
    share = given["share"]
    chosen = {row["method"]: row["mean"] for row in recorded(labels.name) if row["set"] == chosen_on}
    every = labels.methods(source, {share: chosen[f"alone@{share}"]}, {loss: chosen[loss] for loss in given["losses"]})
    methods = {title: method for title, method in every if title.partition("@")[0] in given["methods"]}
    cells, rows = measured(lambda seed: methods, given["seeds"])
    return rows + ahead(cells, rows, share, labels.CONTROLS, "accuracy")
