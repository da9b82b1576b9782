"""Killed between any two calls of MLflow's client, and told again: everything is there, and nothing twice."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stillhouse.record import outbox as record_outbox
from stillhouse.record.run_record import Closing, Execution, Planned
from stillhouse.tracking import outbox
from tests import killing
from tests.tracking.test_registration import Make, distilled, evaluated
from tests.tracking.test_tracking import record

__all__ = ["distilled", "evaluated"]
EVERY = int(os.environ.get("STILLHOUSE_TEST_KILL_EVERY", "17"))
"""Of how many calls one is tried."""
MANAGED = Execution("flow", "", managed=True)


def counted(kill_before: int | None, tell: killing.Tell) -> None:
    """Counts the calls of the client, and the last step of a record, and dies before one of them."""
    from mlflow import MlflowClient

    calls = 0

    def wrapped(function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            tell(calls)
            if calls == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **keywords)

        return call

    for name, function in list(vars(MlflowClient).items()):
        if not name.startswith("_") and callable(function):
            setattr(MlflowClient, name, wrapped(function))
    record_outbox.done = wrapped(record_outbox.done)


def in_child(root: Path, kill_before: int | None = None) -> tuple[int, int]:
    """Empties the outbox in a process of its own: its exit status, and how many calls it made."""

    def work(tell: killing.Tell) -> int:
        counted(kill_before, tell)
        return 0 if outbox.sync(root) else 1

    return killing.in_child(work)


def test_told_once_whatever_call_it_is_killed_before(project: Path, distilled: Make, evaluated: Make, monkeypatch: pytest.MonkeyPatch):
    import mlflow

    assert mlflow.__version__
    made = [distilled(), evaluated(0.8), record("search@half", MANAGED, output=None)]
    planned = Planned("due", [], "f" * 64, {})
    for each in (*made, Closing("flow", "FINISHED", 2_000_000, {"search@half": planned})):
        record_outbox.leave(project, each)
    shutil.copytree(project / ".work/outbox", project.parent / "outbox")
    shutil.copy(project / "mlflow.db", project.parent / "empty.db")

    def restore(number: int) -> None:
        shutil.rmtree(project / ".work/outbox")
        shutil.copytree(project.parent / "outbox", project / ".work/outbox")
        shutil.copy(project.parent / "empty.db", project / f"{number}.db")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project / f'{number}.db'}")

    restore(0)
    status, calls = in_child(project)
    assert (status, calls > 40) == (0, True)
    wanted = seen()
    for number in range(1, calls + 1, EVERY):
        restore(number)
        assert in_child(project, number)[0] == signal.SIGKILL
        assert in_child(project)[0] == 0, f"killed before call {number} of {calls}"
        assert seen() == wanted, f"killed before call {number} of {calls}"
    assert wanted["stages"] == Counter({("distill@half", "FINISHED"): 1, ("evaluate@half", "FINISHED"): 1, ("search@half", "FINISHED"): 1})
    assert (wanted["parents"], len(wanted["versions"]), wanted["champion"]) == (Counter({"FINISHED": 2}), 1, 1)


def seen() -> dict[str, Any]:
    """What a reader of MLflow sees, without names and times that differ each time."""
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(outbox.EXPERIMENT).experiment_id
    runs = [client.get_run(run.info.run_id) for run in client.search_runs([experiment])]
    models = client.search_logged_models([experiment])
    stages = [run for run in runs if "dvc.stage" in run.data.tags]
    return {
        "stages": Counter((run.data.tags["dvc.stage"], run.info.status) for run in stages),
        "parents": Counter(run.info.status for run in runs if "dvc.stage" not in run.data.tags),
        "versions": [(version.tags["bytes"], version.tags["gate"]) for version in client.search_model_versions("name = 'half'")],
        "champion": int(client.get_registered_model("half").aliases["champion"]),
        "models": Counter((model.tags["dvc.path"], "mlflow.model.isExternal" in model.tags, str(model.status)) for model in models),
        "metrics": Counter(
            (run.data.tags["dvc.stage"], key, len(client.get_metric_history(run.info.run_id, key)))
            for run in stages
            for key in run.data.metrics
        ),
        "links": Counter((run.data.tags["dvc.stage"], len(run.inputs.model_inputs), len(run.outputs.model_outputs)) for run in stages),
        "sets": Counter((run.data.tags["dvc.stage"], len(run.inputs.dataset_inputs)) for run in stages),
        "plan": [len(client.list_artifacts(run.info.run_id)) for run in runs if run.data.tags.get("stillhouse.execution") == "flow"],
    }
