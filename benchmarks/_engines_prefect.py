"""Prefect's process workers on two nodes, `python -m benchmarks._engines_prefect FOLDER ROUNDS POLL HEARTBEAT`: facts as JSON lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks._engines import STAGE, Head, begun, family, kill, running, until

POOL = "nodes"
JOB = """
from prefect import flow

from stage import work


@flow(log_prints=True)
def job(mark: str, seconds: float) -> None:
    work(mark, seconds)
"""
LONGEST = 120.0
"""Seconds after which a run of a node that is gone counts as never closed."""
MISSED = 3
"""Signs of life that a node may miss before it counts as gone."""


class Nodes:
    """A head, two nodes with a worker each, and what is asked of them."""

    def __init__(self, folder: Path, poll: float, heartbeat: float, stack: ExitStack) -> None:
        self.folder, self.heartbeat, self._stack, self._marks = folder, heartbeat, stack, 0
        self._settings = {"PREFECT_WORKER_QUERY_SECONDS": str(poll), "PREFECT_WORKER_HEARTBEAT_SECONDS": str(heartbeat)}
        self.head = Head(folder / "head")
        self.head.start()
        stack.callback(self.head.stop)
        os.environ.update(self.head.environment)
        self._deploy()
        self.workers = [self.worker(name) for name in ("one", "two")]
        if not until(lambda: len(self.seen()) == 2, 120):
            raise RuntimeError("the workers do not come")

    def worker(self, name: str) -> psutil.Process:
        """A node: a folder of its own, a home of its own, a worker."""
        home = self.folder / name
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", name]
        environment = {**self._settings, "PREFECT_HOME": str(home), "PREFECT_API_URL": self.head.address}
        return self._stack.enter_context(running(command, home, environment, "worker.log"))

    def _deploy(self) -> None:
        place = self.folder / "code"
        place.mkdir()
        (place / "stage.py").write_text(STAGE)
        (place / "job.py").write_text(JOB)
        subprocess.run(
            [sys.executable, "-m", "prefect", "work-pool", "create", "--type", "process", POOL], check=True, stdout=subprocess.DEVNULL
        )
        from prefect import flow

        flow.from_source(str(place), "job.py:job").deploy("job", work_pool_name=POOL, print_next_steps=False)

    def submit(self, seconds: float) -> tuple[str, Path]:
        """The run's id, and the mark that its stage leaves when it begins."""
        from prefect.deployments import run_deployment

        self._marks += 1
        mark = self.folder / f"mark-{self._marks}"
        run = run_deployment("job/job", parameters={"mark": str(mark), "seconds": seconds}, timeout=0)
        return str(run.id), mark

    def state(self, run: str) -> str:
        """What the head thinks of a run."""
        [found] = self.head.ask("/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return str(found["state"]["type"])

    def seen(self) -> dict[str, dict[str, Any]]:
        """The workers by name, with their last sign of life."""
        return {worker["name"]: worker for worker in self.head.ask(f"/work_pools/{POOL}/workers/filter", {})}

    def holder(self, pid: int) -> int:
        """Which of the nodes a process runs on."""
        return next(number for number, worker in enumerate(self.workers) if pid in {each.pid for each in family(worker.pid)})


def main(folder: str, rounds: str, poll: str, heartbeat: str) -> None:
    """Prints each fact when it is known."""
    with ExitStack() as stack:
        nodes = Nodes(Path(folder), float(poll), float(heartbeat), stack)
        for _ in range(int(rounds)):
            _start(nodes)
        until(lambda: nodes.head.lines() == int(rounds), 20)
        say("share of the stages' lines that are in the head's log", nodes.head.lines() / int(rounds))
        _killed(nodes)
        _restart(nodes)


def say(metric: str, value: float) -> None:
    """One fact."""
    print(json.dumps({"metric": metric, "value": value}), flush=True)


def _start(nodes: Nodes) -> None:
    asked = time.time()
    run, mark = nodes.submit(0)
    facts = begun(mark)
    say("seconds from submission to start", facts["time"] - asked)
    say("stages that were given a device", facts["device"] is not None)
    until(lambda: nodes.state(run) == "COMPLETED", 60)


def _killed(nodes: Nodes) -> None:
    """One node is gone in the middle of a stage: when its signs of life stop, and what the head says of the run by itself."""
    run, mark = nodes.submit(600)
    first = begun(mark)
    number = nodes.holder(first["pid"])
    name = ("one", "two")[number]
    kill(nodes.workers[number].pid, signal.SIGKILL)
    gone = time.time()
    limit = MISSED * nodes.heartbeat

    def silent() -> bool:
        last = datetime.fromisoformat(nodes.seen()[name]["last_heartbeat_time"])
        return time.time() - last.timestamp() > limit

    if until(silent, 4 * limit):
        say(f"seconds until a killed node has missed {MISSED} signs of life", time.time() - gone)
    if until(lambda: nodes.seen()[name]["status"] == "OFFLINE", 4 * limit + 60):
        say("seconds until the engine calls a killed node gone", time.time() - gone)
    until(lambda: time.time() - gone > LONGEST, LONGEST)
    say(f"stages of a killed node that began anew elsewhere within {LONGEST:g} s", begun(mark)["pid"] != first["pid"])
    say(f"runs of a killed node that are closed after {LONGEST:g} s", nodes.state(run) != "RUNNING")
    nodes.workers[number] = nodes.worker(name)


def _restart(nodes: Nodes) -> None:
    """The head is killed in the middle of a stage and started again."""
    run, mark = nodes.submit(20)
    begun(mark)
    nodes.head.stop()
    time.sleep(3)
    nodes.head.start()
    back = time.time()
    ended = until(Path(f"{mark}.end").exists, 90)
    say("running stages that a restart of the head left alone", bool(ended))
    say("runs with the right state after a restart of the head", until(lambda: nodes.state(run) == "COMPLETED", 60) is not None)
    _, mark = nodes.submit(0)
    say("seconds from a restarted head's answer to the start of a new stage", begun(mark)["time"] - back)


if __name__ == "__main__":
    main(*sys.argv[1:])
