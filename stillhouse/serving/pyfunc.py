"""How MLflow loads a model: the `loader_module` of its pyfunc flavor, which takes and returns tables and reads no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from stillhouse.serving.model import Model


class Predictor:
    """What MLflow calls a model."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The predictions for the rows; there are no `params`. Raises UserError at what is wrong with the rows."""
        table = pa.Table.from_pandas(rows, preserve_index=False)
        predicted = pa.concat_tables(self._model.predict(table))
        # Lists and not arrays in the cells, so that a server can write them as JSON.
        return pd.DataFrame({name: predicted.column(name).to_pylist() for name in predicted.column_names})


def _load_pyfunc(path: str) -> Predictor:
    """MLflow's entry: `path` is a model's folder as a stage writes it."""
    return Predictor(Model(Path(path)))
