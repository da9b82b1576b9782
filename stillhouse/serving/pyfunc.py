"""How MLflow loads a model: the `loader_module` of its pyfunc flavour, which takes and returns tables and reads no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from stillhouse.serving.model import Model


class Answers:
    """What MLflow calls a model."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The answers to the rows; there are no `params`. Raises UserError at what is wrong with the rows."""
        asked = pa.Table.from_pandas(rows, preserve_index=False)
        answer = pa.concat_tables(self._model.answer(asked))
        # Lists and not arrays in the cells, so that a server can write them as JSON.
        return pd.DataFrame({name: answer.column(name).to_pylist() for name in answer.column_names})


def _load_pyfunc(path: str) -> Answers:
    """MLflow's entry: `path` is a model's folder as a stage writes it."""
    return Answers(Model(Path(path)))
