"""One stage on a node, as a worker starts it: the job's state of the project, the stage as at home, and its result in the remote.

The run's state in Prefect says whether the work is still wanted. Where Prefect cannot be asked, the stage goes on: its result is in the
remote when the head asks for it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from uuid import UUID

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.flows import server, slots
from stillhouse.flows.graph import Node
from stillhouse.flows.nodes import environment, outputs, result
from stillhouse.flows.nodes.job import Job
from stillhouse.flows.nodes.life import HOME
from stillhouse.flows.nodes.line import Line
from stillhouse.flows.nodes.tree import Tree, lease_of
from stillhouse.flows.stage import StageFailed, Stopped, log_path, run_due_stage, run_logged
from stillhouse.record import process, room
from stillhouse.record.part import Part

_OTHER = "raw data that neither git nor DVC has, or another kind of device where params.yaml says `environment: due`"


def main() -> int:
    """Runs the job of the run that the worker names; returns the exit status."""
    line, stop = Line(UUID(os.environ["PREFECT__FLOW_RUN_ID"])), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if (job := _begun(line)) is None:
        return 0
    tree = Tree(Path(os.environ[HOME]), job)
    try:
        with line.watched(stop), _turns(tree, stop):
            _run(tree, line, stop)
    except Stopped:
        line.end_stopped()
    except (UserError, StageFailed) as error:
        line.end_failed(reason(error, tree))
    except Exception as error:
        line.end_failed(reason(error, tree))
        raise
    else:
        line.end_done()
    return 0


def _begun(line: Line) -> Job | None:
    """What is to be done, None where this node does not understand it."""
    try:
        return line.begin()
    except UserError as error:
        print(error, file=sys.stderr)
        line.end_not_begun(str(error))
    return None


def reason(error: Exception, tree: Tree) -> str:
    """Why a stage has no result, for a person; a full disk is told as that, whoever came upon it."""
    if told := room.told(error, tree.folder):
        return hide(told)
    if full := room.short(tree.folder):  # not everybody who finds no room says so
        return f"the disk of this node is full; {full}: make room there, or --folder names another place"
    return hide(str(error) if isinstance(error, UserError | StageFailed) else f"{type(error).__name__}: {error}")


def _run(tree: Tree, line: Line, stop: Event) -> None:
    job, remote = tree.job, tree.lay()
    python = environment.python(tree.home, result.text(remote, job.packed.packages).split())
    with line.following(tree.folder, job, remote):
        if job.number:
            _accompany(tree, python, stop)
            return
        try:
            _stage(tree, python, stop)
        finally:
            result.tell(remote, tree.folder)
    if stop.is_set():
        raise Stopped
    if not result.known(tree.folder, job.key):
        raise UserError(f"{job.stage} read something else on this node than the head has: {_OTHER}")
    outputs.push(tree.folder, [job.stage])
    result.give(remote, tree.folder, job.key)


def _stage(tree: Tree, python: Path, stop: Event) -> None:
    """As at home; the commands of dvc.yaml find the Python of the job's packages first."""
    job = tree.job
    node = Node(job.stage, "", (), "due", (), gpu=job.gpu, timeout=job.timeout, forced=job.forced, alone=job.alone)
    extra = {
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", "")]),
        "STILLHOUSE_EXECUTION": job.execution,
        "STILLHOUSE_EXECUTION_OWNER": job.owner,
        "STILLHOUSE_FLOW_RUN": job.flow_run,
        process.AFRESH: "1" if job.afresh else "",
    }
    with slots.hold(job.gpu, slots.devices(), stop) as device:
        run_due_stage(node, tree.folder, {**extra, **device, **_part(job)}, stop)


def _accompany(tree: Tree, python: Path, stop: Event) -> None:
    """The same verb without DVC, since nothing is made here but candidates."""
    job, log = tree.job, log_path(tree.folder, tree.job.stage)
    verb, _, name = job.stage.partition("@")
    log.parent.mkdir(parents=True, exist_ok=True)
    with slots.hold(job.gpu, slots.devices(), stop) as device:
        command = [str(python), "-m", "stillhouse.stages", verb, name]
        if run_logged(command, tree.folder, {**device, **_part(job)}, log, stop, job.timeout):
            raise StageFailed(server.last_words(log))


def _part(job: Job) -> Mapping[str, str]:
    return Part(job.number, job.count, job.stage, job.key).environment() if job.count > 1 else {}


@contextmanager
def _turns(tree: Tree, stop: Event) -> Iterator[None]:
    """Waits until no other run of this stage goes on here, and until the node is free for what is measured alone. Raises Stopped."""
    with (
        _held(lease_of(tree.place), fcntl.LOCK_EX, stop),
        _held(tree.home / "turn", fcntl.LOCK_EX if tree.job.alone else fcntl.LOCK_SH, stop),
    ):
        yield


@contextmanager
def _held(path: Path, kind: int, stop: Event) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        while not stop.is_set():
            with suppress(BlockingIOError):
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                break
            stop.wait(slots.POLL)
        if stop.is_set():
            raise Stopped
        yield


if __name__ == "__main__":
    sys.exit(main())
