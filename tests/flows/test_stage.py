"""One stage through DVC: its outcome, its end by force, and the two ways in which a lock can cost a result."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml

from stillhouse.flows import graph, stage
from stillhouse.flows.graph import Node
from stillhouse.flows.stage import StageFailed, Stopped, log_path
from stillhouse.record import group
from tests.processes import alive, until

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

IMPATIENT = (sys.executable, "-m", "dvc")


def node(name: str, **wishes: Any) -> Node:
    return Node(name, "", (), "due", (), **wishes)


def run(project: Any, name: str, stop: Event | None = None, **wishes: Any) -> str:
    return stage.run_due_stage(node(name, **wishes), project.folder, {"EXTRA": "1"}, stop or Event())


def recorded(project: Any, name: str) -> bool:
    """Whether dvc.lock knows the stage."""
    path = project.folder / "dvc.lock"
    return path.exists() and name in yaml.safe_load(path.read_text())["stages"]


def test_a_stage_runs_once_and_its_words_are_kept(fresh):
    fresh.order(prepare__rings={"say": "hello"})
    assert run(fresh, "prepare@rings") == "done"
    assert "hello" in log_path(fresh.folder, "prepare@rings").read_text()
    assert '"EXTRA": "1"' in (fresh.folder / ".work/prepare@rings/fingerprint/seen.json").read_text()
    assert recorded(fresh, "prepare@rings")
    assert run(fresh, "prepare@rings") == "unchanged"
    assert fresh.ran() == ["prepare@rings"]


def test_a_result_of_the_same_inputs_is_restored(fresh):
    run(fresh, "prepare@rings")
    for noise, outcome in ((0.2, "done"), (0.1, "restored")):
        fresh.set("teachers.rings.prepare.noise", noise)
        assert run(fresh, "prepare@rings") == outcome
    assert fresh.ran() == ["prepare@rings"] * 2


def test_what_a_stage_that_ends_at_once_had_made_before_is_there_again(fresh):
    run(fresh, "prepare@rings")
    made = {path: path.read_bytes() for path in (fresh.folder / "data/rings").rglob("*") if path.is_file()}
    assert made
    fresh.set("teachers.rings.prepare.noise", 0.3)
    fresh.order(prepare__rings={"exit": 7})
    with pytest.raises(StageFailed):
        run(fresh, "prepare@rings")
    shown = {path: path.read_bytes() for path in (fresh.folder / "data/rings").rglob("*") if path.is_file()}
    assert {path for path in made if path not in shown} <= {fresh.folder / "data/rings/prepared.json"}, (
        "which is in no commit and in no note"
    )
    assert all(shown[path] == made[path] for path in shown)


def test_a_failure_is_not_taken_for_a_result_of_an_earlier_run(fresh):
    mark = fresh.folder / ".work/prepare@rings/old/done.json"
    mark.parent.mkdir(parents=True)
    mark.write_text("{}")
    os.utime(mark, (time.time() - 60,) * 2)
    fresh.order(prepare__rings={"exit": 7, "say": "out of memory"})
    with pytest.raises(StageFailed, match=r"prepare@rings failed with exit code \d+"):
        run(fresh, "prepare@rings")
    assert "out of memory" in log_path(fresh.folder, "prepare@rings").read_text()
    assert not recorded(fresh, "prepare@rings")


def test_a_stage_over_its_time_is_ended_with_all_its_processes(fresh, monkeypatch):
    """It does not listen to the polite request either."""
    monkeypatch.setattr(group, "GRACE", 0.5)
    fresh.order(prepare__rings={"seconds": 60, "deaf": True})
    began = time.monotonic()
    with pytest.raises(StageFailed, match="prepare@rings was stopped after its time limit of 3 s"):
        run(fresh, "prepare@rings", timeout=3.0)
    assert time.monotonic() - began < 45
    assert not alive(fresh.process("prepare@rings"))


def test_an_interrupted_stage_ends_before_the_call_does(fresh):
    fresh.order(prepare__rings={"seconds": 60})
    stop = Event()
    with ThreadPoolExecutor() as pool:
        future = pool.submit(run, fresh, "prepare@rings", stop)
        process = fresh.process("prepare@rings")
        assert alive(process)
        stop.set()
        with pytest.raises(Stopped):
            future.result(timeout=45)
    assert not alive(process)
    assert not recorded(fresh, "prepare@rings")


def test_what_runs_ends_with_the_process_that_started_it(tmp_path):
    """Killed by force, so that it can say nothing to anybody."""
    code = f"""
        import subprocess, time
        from stillhouse.record.leash import leashed
        child = subprocess.Popen(leashed([{sys.executable!r}, "-c", "import time; time.sleep(600)"]))
        print(child.pid, flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.communicate()
    until(lambda: not alive(child))


class TestLocks:
    """Somebody else (another stage that ends, a look at the status) holds DVC's lock for longer than the three seconds DVC waits."""

    def test_a_lock_before_the_command_stops_a_stage_that_does_not_wait(self, fresh, monkeypatch):
        monkeypatch.setattr(stage, "DVC", IMPATIENT)
        with Held(fresh.folder), pytest.raises(StageFailed):
            run(fresh, "prepare@rings")
        assert "Unable to acquire lock" in log_path(fresh.folder, "prepare@rings").read_text()
        assert fresh.ran() == []

    def test_ours_wait(self, fresh):
        with Held(fresh.folder) as held, ThreadPoolExecutor() as pool:
            future = pool.submit(run, fresh, "prepare@rings")
            time.sleep(4.5)
            assert not future.done()
            held.release()
            assert future.result(timeout=30) == "done"

    def test_a_lock_after_the_command_loses_the_work_of_a_stage_that_does_not_wait(self, fresh):
        fresh.order(prepare__rings={"seconds": 1.5})
        process = fresh.start("dvc", "repro", "--single-item", "prepare@rings")
        with self.held_while_running(fresh):
            printed, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "Unable to acquire lock" in printed
        assert (fresh.folder / "data/rings/prepared/result.txt").exists()
        assert not recorded(fresh, "prepare@rings"), "the work is complete, and the next run would do it again"

    def test_ours_is_recorded_and_not_done_again(self, fresh, monkeypatch):
        """Without the waiting, so that the lock is met at all; what made it fail is over when the record is made up for."""
        monkeypatch.setattr(stage, "DVC", IMPATIENT)
        fresh.order(prepare__rings={"seconds": 1.5})
        with ThreadPoolExecutor() as pool:
            future = pool.submit(run, fresh, "prepare@rings")
            with self.held_while_running(fresh):
                until(lambda: "Unable to acquire lock" in log_path(fresh.folder, "prepare@rings").read_text())
            assert future.result(timeout=45) == "done"
        assert recorded(fresh, "prepare@rings")
        assert {found.name: found.state for found in graph.read(fresh.folder)}["prepare@rings"] == "unchanged"
        assert fresh.ran() == ["prepare@rings"]

    def held_while_running(self, project: Any) -> Held:
        """The lock from some time in the middle of the command on, which DVC leaves free."""
        project.process("prepare@rings")
        return Held(project.folder)


class Held:
    """DVC's repository lock, held by a process of its own until the block ends."""

    def __init__(self, folder: Path) -> None:
        code = "import sys; from dvc.repo import Repo\nwith Repo().lock: print('held', flush=True); sys.stdin.read()"
        command = [sys.executable, "-W", "ignore", "-c", code]
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        assert self._process.stdout.readline() == "held\n"

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Lets go; a second time too."""
        self._process.communicate()
