"""The one process that imports MLflow: beside a flow, beside a plain `dvc repro`, and when it is not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stillhouse.record import outbox, process
from stillhouse.record.run_record import Execution
from stillhouse.tracking import outbox as tracked
from tests.processes import alive, until
from tests.projects import only
from tests.tracking.test_tracking import record

Runs = Callable[[], list[Any]]
Start = Callable[..., subprocess.Popen[str]]
MANAGED = Execution("k", "", managed=True)


def forwarders(project: Path) -> list[psutil.Process]:
    """Those of the project that live."""
    found = []
    for each in psutil.process_iter():
        try:
            if "stillhouse.tracking" in each.cmdline() and each.cwd() == str(project) and alive(each.pid):
                found.append(each)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def unattended(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project, in which nobody sees to the outbox; whoever does in the end is stopped."""
    (project / ".work/outbox.lock").unlink()
    yield project
    for each in forwarders(project):
        each.kill()


WAITING = """
  waiting:
    cmd: touch started && while ! test -e go; do sleep 0.05; done
    deps: [data/rings/prepared]
"""


def test_a_plain_repro_has_one_forwarder_that_ends_with_it(unattended: Path, start: Start, runs: Runs):
    with (unattended / "dvc.yaml").open("a") as file:
        file.write(WAITING)
    repro = start("dvc", "repro", "waiting")
    until((unattended / "started").exists)
    until(lambda: not outbox.waiting(unattended))
    assert [run.info.run_name for run in only(runs())] == ["prepare@rings"], "it is told while the next stage runs"
    [forwarder] = forwarders(unattended)
    outbox.leave(unattended, record())
    until(lambda: not outbox.waiting(unattended))
    (unattended / "go").touch()
    printed = repro.communicate()[0]
    assert repro.returncode == 0, printed
    until(lambda: not alive(forwarder.pid))
    assert {run.info.run_name for run in only(runs())} == {"prepare@rings", "teach@rings"}
    assert forwarders(unattended) == []


def test_dvc_does_not_wait_for_the_forwarder(unattended: Path, start: Start):
    sleeper = subprocess.Popen(["sleep", "600"])
    outbox.leave(unattended, record(execution=MANAGED))
    code = "import sys; from pathlib import Path; from stillhouse.record import outbox; outbox.make_sure(Path(), sys.argv[1])"
    owner = process.identity(sleeper.pid)
    done = subprocess.run([sys.executable, "-c", code, owner], capture_output=True, timeout=60, check=True, start_new_session=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    until(lambda: not outbox.waiting(unattended))
    assert len(forwarders(unattended)) == 1
    sleeper.kill()
    sleeper.wait()
    until(lambda: not forwarders(unattended))


def test_nobody_is_started_where_one_is_there_or_a_flow_sees_to_it(project: Path, start: Start):
    outbox.make_sure(project, process.identity(os.getpid()))
    stage = start("stillhouse.stages", "prepare", "rings", STILLHOUSE_EXECUTION="k")
    assert stage.communicate()[0] == ""
    assert len(outbox.waiting(project)) == 1
    assert forwarders(project) == []


def serving(project: Path) -> subprocess.Popen[str]:
    (project / "plan.json").write_text('[{"name": "prepare@rings", "state": "due"}]')
    command = [sys.executable, "-m", "stillhouse.tracking", "serve", "k", "--owner", str(os.getpid()), "--plan", "plan.json"]
    return subprocess.Popen(command, cwd=project, stdin=subprocess.PIPE, text=True)


def test_a_flow_has_one_that_opens_forwards_and_closes(unattended: Path, runs: Runs):
    from mlflow.artifacts import load_text

    flow = serving(unattended)
    outbox.leave(unattended, record(execution=MANAGED))
    until(lambda: (unattended / ".work/outbox.lock").exists() and not outbox.waiting(unattended))
    assert {run.info.status for run in runs()} == {"FINISHED", "RUNNING"}, "the stage has ended, the execution has not"
    outbox.leave(unattended, record("search@half", MANAGED, output=None))
    flow.communicate("FAILED\n", timeout=60)
    assert flow.returncode == 0
    assert {run.info.run_name: run.info.status for run in only(runs())} == {"teach@rings": "FINISHED", "search@half": "FINISHED"}
    [parent] = [run for run in runs() if "stillhouse.execution" in run.data.tags]
    assert parent.info.status == "FAILED"
    assert json.loads(load_text(f"{parent.info.artifact_uri}/plan.json"))[0]["stage"] == "prepare@rings"


def test_one_whose_flow_ends_without_a_word_leaves_the_execution_open(unattended: Path, runs: Runs):
    flow = serving(unattended)
    until(lambda: runs())
    flow.communicate(timeout=60)
    assert (flow.returncode, [run.info.status for run in runs()]) == (0, ["RUNNING"])


def test_a_run_whose_forwarder_is_killed_is_told_at_the_end(unattended: Path, start: Start, runs: Runs):
    flow = start("stillhouse", "run", "slow", "--jobs", "1")
    until((unattended / "started").exists)
    [forwarder] = [each for each in forwarders(unattended) if "serve" in each.cmdline()]
    forwarder.send_signal(signal.SIGKILL)
    (unattended / "go").touch()
    printed = flow.communicate()[0]
    assert flow.returncode == 0, printed
    assert outbox.waiting(unattended) == []
    assert {run.info.run_name for run in only(runs())} == {"prepare@slow", "teach@slow"}
    [parent] = [run for run in runs() if "stillhouse.execution" in run.data.tags]
    assert parent.info.status == "FINISHED"


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_a_folder_is_told_with_the_database_to_name_instead(project: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", form.format(project / "runs"))
    tracked.finish(project, "k", "FAILED", [])
    assert not tracked.sync(project)
    told = capsys.readouterr().err
    assert (
        f"MLFLOW_TRACKING_URI - wanted a database or a server - got a folder: sqlite:///{project}/runs/mlflow.db keeps runs there" in told
    )
    assert not (project / "runs").exists()


def test_a_database_that_cannot_be_written_to_is_told_in_a_line(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    tracked.finish(project, "k", "FAILED", [])
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert not tracked.sync(project)
    told = capsys.readouterr().err
    assert told.startswith("warning: the tracker is away; records wait in .work/outbox (UserError: ")
    assert told.endswith("mlflow.db - wanted a database that can be written to - got one that is read-only)\n")
