"""What MLflow is told: on a real database, through a real server, and while there is none."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillhouse.record import process
from stillhouse.record.run_record import Execution, Item, RunRecord
from stillhouse.tracking import outbox
from stillhouse.tracking.__main__ import main
from stillhouse.tracking.store import opened
from tests.processes import free_port, listens, until
from tests.projects import tell

Runs = Callable[[], list[Any]]
PREPARED = Item("data/rings/prepared", "0" * 32 + ".dir", model=False)
TEACHER = Item("data/rings/teacher", "1" * 32 + ".dir", model=True)
STUDENT = Item("data/half/student", "2" * 32 + ".dir", model=True)


def record(stage: str = "teach@rings", execution: Execution | None = None, **changes: Any) -> RunRecord:
    mine = process.identity(os.getpid())
    values: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "stage": stage,
        "execution": execution or Execution(mine, mine, managed=False),
        "status": "FINISHED",
        "started": 1_000_000,
        "ended": 1_009_000,
        "params": {"fit.epochs": "2"},
        "tags": {"dvc.stage": stage, "dvc.fingerprint": "f" * 64},
        "history": [("hits@10", 0.5, 1_001_000, 1), ("hits@10", 0.4, 1_002_000, 2)],
        "metrics": {"hits@10": 0.5},
        "inputs": [PREPARED],
        "output": TEACHER,
    }
    return RunRecord(**{**values, **changes})


def waiting(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".work/outbox").glob("*"))


def test_a_stage_is_a_child_run_of_its_execution_with_all_that_is_known(project: Path, runs: Runs):
    tell(project, record(tags={"dvc.stage": "teach@rings", "dvc.fingerprint": "f" * 64, "dvc.out.data/a": "x"}))
    parent, run = runs()
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time) == ("teach@rings", "FINISHED", 1_000_000, 1_009_000)
    assert run.data.params == {"fit.epochs": "2"}
    assert {"dvc.stage": "teach@rings", "dvc.fingerprint": "f" * 64, "dvc.out.data/a": "x"}.items() <= run.data.tags.items()
    datasets = {(each.dataset.name, each.dataset.digest, each.tags[0].value) for each in run.inputs.dataset_inputs}
    assert datasets == {(PREPARED.path, PREPARED.md5, "read"), (TEACHER.path, TEACHER.md5, "written")}
    assert waiting(project) == []


def test_metrics_are_kept_by_epoch_and_the_final_value_is_the_one_shown(project: Path, runs: Runs):
    from mlflow import MlflowClient

    tell(project, record())
    run = runs()[-1]
    assert run.data.metrics == {"hits_at_10": 0.5}, "the best epoch's, not the last one's"
    told = [(metric.step, metric.value) for metric in MlflowClient().get_metric_history(run.info.run_id, "hits_at_10")]
    assert sorted(told) == [(1, 0.5), (2, 0.4), (2, 0.5)]


def test_models_link_the_stages(project: Path, runs: Runs):
    from mlflow import MlflowClient

    tell(project, record())
    tell(project, record("distill@half", inputs=[PREPARED, TEACHER], output=STUDENT, started=1_000_001))
    _, teach, distill = runs()
    made, read = teach.outputs.model_outputs[0].model_id, distill.inputs.model_inputs[0].model_id
    assert made == read
    teacher, student = (MlflowClient().get_logged_model(run.outputs.model_outputs[0].model_id) for run in (teach, distill))
    assert (teacher.name, teacher.source_run_id, teacher.tags["dvc.md5"]) == ("rings-teacher", teach.info.run_id, TEACHER.md5)
    assert student.name == "half-student"
    assert [(metric.key, metric.value) for metric in teacher.metrics] == [("hits_at_10", 0.5)]


def test_limits_of_mlflow_are_kept(project: Path, runs: Runs):
    params = {f"p{index}": "v" for index in range(250)} | {"long": "x" * 9000, "odd?name": "1"}
    tags = {"dvc.stage": "s", "dvc.fingerprint": "f" * 64, "error": "e" * 9000} | {
        f"dvc.in.{index}+{'p' * 300}": "m" for index in range(120)
    }
    history = [("loss", float(step), 1_000_000, step) for step in range(2500)]
    tell(project, record(params=params, tags=tags, history=history))
    run = runs()[-1]
    assert len(run.data.params) == 252
    assert (len(run.data.params["long"]), run.data.params["odd_name"]) == (6000, "1")
    assert (run.data.metrics["loss"], run.info.status) == (2499.0, "FINISHED")
    assert waiting(project) == []


def test_stages_of_one_plain_dvc_share_a_run_that_ends_with_the_latest_and_remembers_a_failure(project: Path, runs: Runs):
    tell(project, record(started=1_000_000))
    tell(project, record("search@half", status="FAILED", output=None, started=1_000_001, ended=1_020_000))
    tell(project, record("search@third", started=1_000_002, ended=1_030_000))
    parent, *children = runs()
    assert [child.info.status for child in children] == ["FINISHED", "FAILED", "FINISHED"]
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
    assert (parent.info.status, parent.info.start_time, parent.info.end_time) == ("FAILED", 1_000_000, 1_030_000)


def report(project: Path, student: str, quality: float) -> None:
    """The report of a student that costs a quarter of its teacher."""
    path = project / "data/reports" / student / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"metric": "hits", "student": {"macs": 5.0, "hits": quality}, "teacher": {"macs": 20.0, "hits": 0.9}}))


def test_an_execution_is_named_by_the_commit_and_its_run_shows_its_students(project: Path, runs: Runs):
    report(project, "half", 0.5)
    report(project, "third", 0.4)
    named = Execution("k", "k", managed=False, name="Try a smaller student")
    tell(project, record("search@half", named, output=None))
    tell(project, record("search@third", named, status="FAILED", output=None))
    tell(project, record("evaluate@half", named, output=None))
    tell(project, record("evaluate@third", named, status="FAILED", output=None))
    [parent] = [run for run in runs() if "stillhouse.execution" in run.data.tags]
    assert parent.info.run_name == "Try a smaller student"
    assert (parent.data.tags["stillhouse.students"], parent.data.tags["mlflow.note.content"]) == ("half, third", "Students: half, third")
    assert parent.data.metrics == {"half.quality": 0.5, "half.share": 0.25}, "a failed evaluation has found nothing"


@pytest.mark.parametrize(("status", "shown"), [("FINISHED", {"half", "third", "tenth"}), ("FAILED", {"half", "tenth"})])
def test_a_closed_execution_shows_the_results_that_belong_to_it(project: Path, runs: Runs, status: str, shown: set[str]):
    for name in ("half", "third", "tenth"):
        report(project, name, 0.5)
    (project / "data/reports/broken").mkdir()
    (project / "data/reports/broken/report.json").write_text("{}")
    states = {"half": "unchanged", "third": "maybe", "tenth": "due", "broken": "due", "absent": "due"}
    plan = [{"name": "teach@rings", "state": "due"}, *({"name": f"evaluate@{name}", "state": state} for name, state in states.items())]
    tell(project, record("evaluate@tenth", Execution("k", "", managed=True), output=None))
    (project / "plan.json").write_text(json.dumps(plan))
    assert main(["finish", "k", "--status", status, "--plan", "plan.json"]) == 0
    [parent] = [run for run in runs() if "stillhouse.execution" in run.data.tags]
    assert parent.data.tags["stillhouse.students"] == "tenth, half, third, broken, absent"
    assert {name.removesuffix(".quality") for name in parent.data.metrics if name.endswith(".quality")} == shown


def test_a_managed_execution_is_open_until_it_is_finished_and_names_who_made_what_did_not_run(project: Path, runs: Runs):
    from stillhouse.record import hashes

    unchanged = hashes.take("prepare@rings", project)
    tags = {"dvc.stage": "prepare@rings", "dvc.fingerprint": unchanged.key}
    (project / PREPARED.path).mkdir(parents=True)
    (project / PREPARED.path / "train.parquet").write_text("in place")
    in_place = Item(PREPARED.path, hashes.outputs("prepare@rings", project)[PREPARED.path], model=False)
    for at, output in enumerate([PREPARED, in_place, in_place]):
        tell(project, record("prepare@rings", tags=tags, output=output, started=1_000_000 + at))
    now = record("teach@rings", Execution("k", "", managed=True), started=1_000_005)
    (project / "plan.json").write_text(json.dumps([{"name": "prepare@rings"}, {"name": "teach@rings"}]))
    outbox.start(project, "k", os.getpid())
    tell(project, now)
    parent = next(run for run in runs() if run.data.tags.get("stillhouse.execution") == "k")
    assert parent.info.status == "RUNNING"
    assert main(["finish", "k", "--status", "FINISHED", "--plan", "plan.json"]) == 0
    _, maker, _ = (run for run in runs() if run.info.run_name == "prepare@rings")  # the first that made what is in place
    closed = next(run for run in runs() if run.data.tags.get("stillhouse.execution") == "k")
    assert closed.info.status == "FINISHED"
    assert {name: value for name, value in closed.data.tags.items() if name.startswith("unchanged")} == {
        "unchanged.prepare_at_rings": maker.info.run_id
    }


def test_a_stage_may_be_quicker_than_the_start_of_its_execution(project: Path, runs: Runs):
    tell(project, record(execution=Execution("k", "", managed=True)))
    outbox.start(project, "k", os.getpid())
    parents = [run for run in runs() if "stillhouse.execution" in run.data.tags]
    assert [run.data.tags["stillhouse.owner"] for run in parents] == [process.identity(os.getpid())]


def test_an_execution_that_was_killed_before_it_had_a_run_is_not_left_open(project: Path, runs: Runs):
    sleeper = subprocess.Popen(["sleep", "60"])
    owner = process.identity(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    tell(project, record(execution=Execution("dead", owner, managed=True)))
    [parent] = [run for run in runs() if "stillhouse.execution" in run.data.tags]
    assert (parent.info.status, parent.data.tags["stillhouse.owner"]) == ("KILLED", owner)


def test_runs_that_a_dead_process_left_open_are_killed_at_the_next_contact_and_others_are_not(project: Path, runs: Runs):
    sleeper = subprocess.Popen(["sleep", "60"])
    outbox.start(project, "dead", sleeper.pid)
    outbox.start(project, "alive", os.getpid())
    sleeper.kill()
    sleeper.wait()
    outbox.sync(project)
    assert {run.data.tags["stillhouse.execution"]: run.info.status for run in runs()} == {"dead": "KILLED", "alive": "RUNNING"}


def test_a_record_that_was_told_by_half_is_finished_and_not_doubled(project: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys):
    from mlflow import MlflowClient

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("gone")

    mine = record()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_inputs", fail)
        tell(project, mine)
    assert "warning: MLflow did not take teach@rings-ffff" in capsys.readouterr().err
    assert len(waiting(project)) == 1
    assert main(["sync"]) == 0
    run = runs()[-1]
    assert (len(runs()), run.info.status, run.data.metrics, len(run.inputs.dataset_inputs)) == (2, "FINISHED", {"hits_at_10": 0.5}, 2)
    assert waiting(project) == []


def test_one_record_that_mlflow_refuses_does_not_hold_up_the_others(project: Path, runs: Runs, capsys):
    tell(project, record("bad@x", tags={"dvc.stage": "bad@x", "dvc.fingerprint": "f" * 64, "": "a tag without a name"}))
    tell(project, record("good@x"))
    assert [run.info.run_name for run in runs() if run.info.status == "FINISHED" and "dvc.stage" in run.data.tags] == ["good@x"]
    assert len(waiting(project)) == 1
    assert main(["sync"]) == 1, "the exit status says that something still waits"


def test_a_tracker_that_is_down_costs_seconds_and_a_warning_and_is_told_when_it_is_back(
    project: Path, runs: Runs, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys
):
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    tell(project, record(id="1" * 32))
    tell(project, record("distill@half", id="2" * 32, inputs=[TEACHER], output=STUDENT, started=1_000_001))
    assert time.monotonic() - began < 30
    assert capsys.readouterr().err.count("warning: the tracker is away") == 2
    assert waiting(project) == [f"distill@half-{'f' * 64}-22222222.json", f"teach@rings-{'f' * 64}-11111111.json"]

    server = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{project / 'mlflow.db'}", "--default-artifact-root", (project / "served").as_uri()]
    start(*server, *store, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true")
    until(lambda: listens(port))
    until(lambda: outbox.sync(project))
    _, teach, distill = runs()
    assert teach.outputs.model_outputs[0].model_id == distill.inputs.model_inputs[0].model_id
    assert waiting(project) == []


def contact(barrier: Any, ours: bool, root: Path) -> None:
    from mlflow import MlflowClient

    barrier.wait()
    if ours:
        with opened(root):
            pass
    else:
        client = MlflowClient()
        if client.get_experiment_by_name("stillhouse") is None:
            client.create_experiment("stillhouse")


def deaths(ours: bool, root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many of four processes die that meet an empty database at the same time."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'empty.db'}")
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=contact, args=(barrier, ours, root)) for _ in range(4)]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    return sum(each.exitcode != 0 for each in processes)


def test_four_processes_meet_an_empty_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import mlflow

    assert mlflow.__version__
    (tmp_path / "plain").mkdir()
    (tmp_path / "ours").mkdir()
    assert deaths(False, tmp_path / "plain", monkeypatch) > 0, "without the lock some die"
    assert deaths(True, tmp_path / "ours", monkeypatch) == 0


def test_without_a_setting_the_database_lies_in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch):
    (project / "mlflow.db").unlink()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir("/")
    assert outbox.sync(project)
    assert (project / "mlflow.db").exists()
