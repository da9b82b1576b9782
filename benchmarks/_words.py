"""Logistic regression on words and pairs of words: what classes of texts cost without any network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pyarrow import parquet
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks._cells import Cell
from stillhouse.contracts.data import Metrics
from stillhouse.training.labels import labelled


def words(table: Path, cell: Cell) -> dict[str, Metrics]:
    """Test accuracy with the labels that the cell's `data` leave known; the texts of the others are counted in how rare a word is.

    Of the penalties' inverses `inverses` the one that is best on the validation split is taken, the first one of equals.
    """
    rows = parquet.read_table(table, filters=[("set", "=", cell.set)])
    split, text, names = (np.array(rows.column(column).to_pylist(), dtype=object) for column in ("split", "text", "label_name"))
    known, data = np.flatnonzero(split == "train"), cell.settings["data"]
    number = torch.as_tensor(np.unique(names.astype(str), return_inverse=True)[1])
    few = known[labelled(number[known], data.get("train_limit"), data.get("labels_seed", 0)).numpy()]
    counter = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(text[known])
    x = {name: counter.transform(text[place]) for name, place in (("few", few), ("valid", split == "valid"), ("test", split == "test"))}
    models = [LogisticRegression(C=inverse, max_iter=300).fit(x["few"], names[few]) for inverse in cell.settings["inverses"]]
    best = max(models, key=lambda model: model.score(x["valid"], names[split == "valid"]))
    scores = {name: float(best.score(x[part], names[split == part])) for name, part in (("valid", "valid"), ("accuracy", "test"))}
    return {cell.set: scores}
