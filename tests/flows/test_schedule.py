"""`stillhouse schedule` with a real Prefect server: it fires, runs what new raw data make due, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows import server
from stillhouse.record.group import end_group
from tests.pipelines import Project
from tests.processes import free_port, until

LONG = pytest.mark.skipif("STILLHOUSE_TEST_NODES" not in os.environ, reason="takes a minute: make test-nodes")


@pytest.fixture
def address(done: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """That of a server with all its services, as `stillhouse up` starts it."""
    port = free_port()
    for name, value in server.settings(tmp_path).items():
        if not name.startswith("PREFECT_SERVER_SERVICES_"):
            monkeypatch.setenv(name, value)
    with (tmp_path / "server.log").open("wb") as log:
        words = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=tmp_path, process_group=0)
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    try:
        until(_answers, 120)
        yield os.environ["PREFECT_API_URL"]
    finally:
        end_group(process)


@LONG
def test_a_schedule_runs_what_new_raw_data_make_due_and_nothing_else(done, address, tmp_path):
    words = ["stillhouse", "schedule", "--every", "4", "--raw", "--name", "often"]
    process = done.start(*words, PREFECT_RUNNER_POLL_FREQUENCY="1")
    try:
        until(lambda: "nothing to do: " in _last(), 90)
        done.set("students.half.evaluate", {"evaluations": []})
        until(lambda: _last() == "the raw data have not changed", 60)
        assert done.ran() == []
        done.append("data/raw/toy.json", "\n")
        until(lambda: any(state.message == "done" for state in _ends()), 90)
        assert "prepare@rings" in done.ran()
        until(lambda: _last() == "the raw data have not changed", 60)
        done.order(prepare__rings={"exit": 1})
        done.append("data/raw/toy.json", "\n")
        failed = until(lambda: [state for state in _ends() if state.type.value == "FAILED"], 90)
        assert "prepare@rings" in failed[0].message
        until(lambda: _last() == "the raw data have not changed", 60)

        other = tmp_path / "other"
        shutil.copytree(done.folder, other, symlinks=True)
        refused = Project(other).call(*words)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert f"a schedule 'often' is there for another folder (folder:{os.uname().nodename}:{done.folder.resolve()})" in refused.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert "stillhouse-schedule/often: every 4 s" in said
    assert _deployment().paused, said


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")
def test_each_state_of_the_raw_data_is_run_once_however_it_ends_unless_it_was_interrupted(done, monkeypatch):
    from stillhouse.flows import schedule

    ends = iter([(0, "done"), (130, "interrupted"), (1, "teach@rings failed")])
    monkeypatch.setattr(schedule, "_run", lambda *_: next(ends))

    def turn() -> tuple[str, str]:
        state = schedule.turn("often", done.folder, ["half"], True, print)
        return state.type.value, state.message

    unchanged = ("COMPLETED", "the raw data have not changed")
    assert [turn(), turn()] == [("COMPLETED", "done"), unchanged]
    done.append("data/raw/toy.json", "\n")
    assert [turn(), turn(), turn()] == [("CANCELLED", "interrupted"), ("FAILED", "teach@rings failed"), unchanged]


def test_a_schedule_wants_a_server_that_stays(done):
    told = done.call("stillhouse", "schedule")
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "a schedule wants a Prefect server that stays: say `stillhouse up`" in told.stderr


@pytest.mark.parametrize(("cron", "zone"), [("at three", "UTC"), ("0 3 * * *", "Mars/Olympus")])
def test_times_that_cannot_be_are_told(cron, zone):
    from stillhouse.flows.schedule import Wish

    with pytest.raises(UserError, match=f"--cron '{cron}' --timezone {zone} - wanted".replace("*", r"\*")):
        Wish("x", Path(), [], cron, zone).schedule()


def _answers() -> bool:
    with suppress(UserError):
        server.ask(os.environ["PREFECT_API_URL"])
        return True
    return False


def _ends() -> list[Any]:
    """How the runs of schedules have ended, the latest first."""
    from prefect import get_client

    with get_client(sync_client=True) as client:
        runs = sorted(client.read_flow_runs(), key=lambda run: run.created, reverse=True)
    return [run.state for run in runs if run.deployment_id and run.state and run.state.is_final()]


def _last() -> str:
    return str(next((state.message for state in _ends()), ""))


def _deployment() -> Any:
    from prefect import get_client

    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name("stillhouse-schedule/often")
