"""Leases and the identity of processes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.record import process
from tests.processes import until


def test_a_lease_is_held_by_one_and_free_again_afterwards(tmp_path: Path):
    path = tmp_path / "stage" / "lease"
    with process.lease(path), pytest.raises(UserError, match=f"already running here as process {os.getpid()}"), process.lease(path):
        raise AssertionError("two copies")
    with process.lease(path):
        assert path.read_text() == str(os.getpid())


def add_slowly(path: Path) -> None:
    for _ in range(20):
        with process.waiting_lock(path.with_name("lock")):
            path.write_text(str(int(path.read_text()) + 1))


def test_a_waiting_lock_lets_one_in_at_a_time(tmp_path: Path):
    path = tmp_path / "count"
    path.write_text("0")
    workers = [multiprocessing.get_context("fork").Process(target=add_slowly, args=(path,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert path.read_text() == "80"


def test_a_process_that_nobody_has_reaped_is_dead():
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    name = process.identity(child.pid)
    assert not process.is_dead(name)
    assert child.stdin
    child.stdin.close()
    until(lambda: process.is_dead(name))
    child.wait()


def test_a_process_is_dead_when_it_has_ended_or_its_number_is_somebody_elses():
    sleeper = subprocess.Popen(["sleep", "60"])
    name = process.identity(sleeper.pid)
    assert not process.is_dead(name)
    sleeper.kill()
    sleeper.wait()
    assert process.is_dead(name)
    host, boot, pid, start = process.identity(os.getpid()).split("/")
    assert process.is_dead(f"{host}/{boot}/{pid}/1.00"), "another process had this number"
    assert process.is_dead(f"{host}/before/{pid}/{start}"), "that was before the machine was started"
    assert not process.is_dead(f"elsewhere/{boot}/1/1.00"), "about another host nothing is known"


def test_a_shell_as_the_first_process_of_a_container_is_no_ones_child(monkeypatch: pytest.MonkeyPatch):
    class First:
        def __init__(self, pid: int) -> None:
            assert pid == 1

        name = staticmethod(lambda: "bash")
        ppid = staticmethod(lambda: 0)

    monkeypatch.setattr(process.psutil, "Process", First)
    assert process.caller(1) == 1
