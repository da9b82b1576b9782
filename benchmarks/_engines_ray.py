"""Ray through prefect-ray on two simulated nodes: `python -m benchmarks._engines_ray FOLDER ROUNDS`, facts as JSON lines.

`... --drive` is the flow on the head, a process of its own: it may be lost when the head's Ray is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks._engines import STAGE, Head, begun, family, kill, port, running, until
from benchmarks._engines_prefect import say

MEMORY = "100000000"
LONGEST = 120.0
"""Seconds after which a node that is not noticed counts as never noticed."""
SAID = ("missed too many heartbeats", "is dead or unavailable")
"""In what Ray tells the flow of a node that is gone."""


class Nodes:
    """A head with Prefect's server and Ray's, and two nodes of one device each."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack, self._marks = folder, stack, 0
        self.prefect = Head(folder / "prefect")
        self.prefect.start()
        stack.callback(self.prefect.stop)
        self.address = f"127.0.0.1:{port()}"
        (folder / "stage.py").write_text(STAGE)
        home = folder / "home"
        home.mkdir()
        more = {
            "HOME": str(home),
            "RAY_TMPDIR": str(folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ["PYTHONPATH"]]),
        }
        os.environ.update({**self.prefect.environment, **more})
        self.head = self.start_head()
        self.workers = [self.node(name) for name in ("one", "two")]

    def start_head(self) -> psutil.Process:
        """Ray's own head; no stage runs there."""
        # Ray takes the nodes, which lie on one machine here, for a head that still runs.
        (self.folder / "ray/ray_current_cluster").unlink(missing_ok=True)
        options = ["--head", "--port", self.address.partition(":")[2], "--num-cpus", "0", "--num-gpus", "0", "--include-dashboard", "false"]
        return self._ray("head", [*options, "--node-ip-address", "127.0.0.1"])

    def node(self, name: str) -> psutil.Process:
        """A node that joins the head."""
        options = ["--address", self.address, "--num-cpus", "2", "--num-gpus", "1", "--node-ip-address", "127.0.0.1"]
        return self._ray(name, options)

    def _ray(self, name: str, options: list[str]) -> psutil.Process:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--object-store-memory", MEMORY, *options]
        process = self._stack.enter_context(running(command, self.folder / name, {}, "ray.log"))
        said = self.folder / name / "ray.log"
        count = said.read_text().count("Ray runtime started")
        if not until(lambda: said.read_text().count("Ray runtime started") > count, 180):
            raise RuntimeError(f"Ray does not start, see {said}")
        return process

    def submit(self, seconds: float) -> tuple[subprocess.Popen[bytes], Path]:
        """A flow with one stage, and the mark that this leaves when it begins."""
        self._marks += 1
        mark = self.folder / f"mark-{self._marks}"
        return self.drive([str(mark)], seconds), mark

    def drive(self, marks: list[str], seconds: float) -> subprocess.Popen[bytes]:
        """Starts the flow of some stages, one after the other."""
        command = [sys.executable, "-m", "benchmarks._engines_ray", "--drive", self.address, str(seconds), *marks]
        with (self.folder / "drive.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._stack.callback(kill, process.pid)
        return process

    def holder(self, pid: int) -> int:
        """Which of the nodes a process runs on."""
        return next(number for number, worker in enumerate(self.workers) if pid in {each.pid for each in family(worker.pid)})


def drive(address: str, seconds: str, *marks: str) -> None:
    """The flow: its stages one after the other, each with one device."""
    from prefect import flow, task
    from prefect_ray import RayTaskRunner
    from prefect_ray.context import remote_options
    from stage import work

    @task(log_prints=True)
    def stage(mark: str, asked: float) -> None:
        work(mark, asked)

    @flow(task_runner=RayTaskRunner(address=address))
    def execute() -> None:
        for mark in marks:
            Path(f"{mark}.asked").write_text(str(time.time()))
            with remote_options(num_gpus=1):
                stage.submit(mark, float(seconds)).wait()

    execute()


def main(folder: str, rounds: str) -> None:
    """Prints each fact when it is known."""
    with ExitStack() as stack:
        nodes = Nodes(Path(folder), stack)
        _start(nodes, int(rounds))
        until(lambda: nodes.prefect.lines() == int(rounds), 20)
        say("share of the stages' lines that are in the head's log", nodes.prefect.lines() / int(rounds))
        for metric, number in (("killed", signal.SIGKILL), ("frozen", signal.SIGSTOP)):
            _gone(nodes, metric, number)
        _restart(nodes)


def _start(nodes: Nodes, rounds: int) -> None:
    marks = [nodes.folder / f"start-{number}" for number in range(rounds)]
    asked = time.time()
    flow = nodes.drive([str(mark) for mark in marks], 0)
    for mark in marks:
        facts = begun(mark)
        say("seconds from submission to start", facts["time"] - float(Path(f"{mark}.asked").read_text()))
        say("stages that were given a device", facts["device"] is not None)
    say("seconds from the start of the flow's process to its first stage", begun(marks[0])["time"] - asked)
    flow.wait(120)


def _gone(nodes: Nodes, how: str, number: int) -> None:
    """One node is gone in the middle of a stage: when Ray says so, and whether it begins the stage anew on the other one."""
    log = nodes.folder / "drive.log"
    flow, mark = nodes.submit(600)
    first = begun(mark)
    place = nodes.holder(first["pid"])
    before = len(log.read_text())
    kill(nodes.workers[place].pid, number)
    gone = time.time()

    def moved() -> bool:
        return begun(mark)["pid"] != first["pid"]

    if until(lambda: moved() or any(words in log.read_text()[before:] for words in SAID), LONGEST):
        say(f"seconds until the engine calls a {how} node gone", time.time() - gone)
    say(f"stages of a {how} node that began anew elsewhere within {LONGEST:g} s", until(moved, LONGEST - (time.time() - gone)) is not None)
    kill(flow.pid)
    flow.wait()
    kill(nodes.workers[place].pid)
    nodes.workers[place] = nodes.node(("one", "two")[place])


def _restart(nodes: Nodes) -> None:
    """The head, Prefect's server and Ray's, is killed in the middle of a stage and started again."""
    flow, mark = nodes.submit(20)
    begun(mark)
    nodes.prefect.stop()
    kill(nodes.head.pid)
    time.sleep(3)
    nodes.prefect.start()
    nodes.head = nodes.start_head()
    back = time.time()
    say("running stages that a restart of the head left alone", bool(until(Path(f"{mark}.end").exists, 90)))
    say("runs with the right state after a restart of the head", until(lambda: flow.poll() == 0, 60) is not None)
    kill(flow.pid)
    flow.wait()
    _, mark = nodes.submit(0)
    if until(mark.exists, 60):
        say("seconds from a restarted head's answer to the start of a new stage", begun(mark)["time"] - back)
    say("nodes that came back by themselves after a restart of the head", mark.exists())


if __name__ == "__main__":
    (drive if sys.argv[1] == "--drive" else main)(*sys.argv[(2 if sys.argv[1] == "--drive" else 1) :])
