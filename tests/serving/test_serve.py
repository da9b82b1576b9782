"""A registered student behind MLflow's own server."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import free_port, listens, until
from tests.projects import tell
from tests.tracking.test_registration import Make, distilled, evaluated

__all__ = ["distilled", "evaluated"]


def ask(port: int, body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def test_the_champion_is_served_without_its_project(
    project: Path, distilled: Make, evaluated: Make, start: Callable[..., Any], tmp_path: Path, monkeypatch
):
    import mlflow
    import pandas

    tell(project, distilled())
    tell(project, evaluated(0.8))
    rows = {"x": [0.0, 3.0], "y": [1.0, 0.5]}
    wanted = mlflow.pyfunc.load_model("models:/half@champion").predict(pandas.DataFrame(rows))
    port = free_port()
    server = ["mlflow", "models", "serve", "--model-uri", "models:/half@champion", "--env-manager", "local", "--workers", "1"]
    shutil.rmtree(project / "data")
    (project / "parts").rename(project / "away")
    process = start(*server, "--host", "127.0.0.1", "--port", str(port), MLFLOW_DISABLE_TELEMETRY="true")
    until(lambda: listens(port) or process.poll() is not None, seconds=200)
    (project / "away").rename(project / "parts")
    columns = {"columns": ["x", "y"], "data": [[0.0, 1.0], [3.0, 0.5]]}
    assert ask(port, {"dataframe_split": columns}) == {"predictions": wanted.to_dict("records")}
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        ask(port, {"dataframe_split": {"columns": ["x"], "data": [[0.0]]}})
    assert "missing inputs ['y']" in refused.value.read().decode()
    refused.value.close()
