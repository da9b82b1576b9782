"""One execution from its first process to its last: the checks, the tracker, Prefect's server and the flow between them."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stillhouse.contracts.errors import UserError
from stillhouse.flows import cores
from stillhouse.flows.graph import Node
from stillhouse.flows.server import server
from stillhouse.record.leash import leashed

if TYPE_CHECKING:
    from prefect import State

Status = Literal["FINISHED", "FAILED", "KILLED"]
EXIT: dict[Status, int] = {"FINISHED": 0, "FAILED": 1, "KILLED": 130}


def execute(folder: Path, names: Sequence[str], nodes: Sequence[Node], jobs: int | None) -> int:
    """Runs what is due among `nodes`, those that `names` stand for; returns the exit code.

    Raises:
        UserError: another execution is going on in this folder, params.yaml has mistakes, or Prefect's server does not start.
    """
    with _alone(folder):
        checking = _start(folder, "stillhouse.stages", "check")
        with _tracked(folder, nodes) as outcome, server(folder) as own_server:
            _pass(checking)
            outcome.append(_flow(names, [node.name for node in nodes if node.forced], jobs or cores.at_once(nodes), own_server))
    return EXIT[outcome[-1]]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The kernel frees the lock at any end of this process."""
    path = folder / ".work" / "execution.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another `stillhouse run` is going on in this folder: wait for it, or stop it with Ctrl-C") from None
        yield


def _start(folder: Path, *module: str) -> subprocess.Popen[str]:
    """A Python module, beside everything else; what it prints is kept."""
    command = leashed([sys.executable, "-m", *module])
    return subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    )


def _pass(checking: subprocess.Popen[str]) -> None:
    """Waits for the verdict on params.yaml: a mistake in the last block should not come up after hours of training."""
    printed, _ = checking.communicate()
    if checking.returncode:
        raise UserError(printed.strip())


@contextmanager
def _tracked(folder: Path, nodes: Sequence[Node]) -> Iterator[list[Status]]:
    """Opens an execution in the tracker for all stages started inside, and closes it with the status put into the list."""
    key = uuid.uuid4().hex
    os.environ["STILLHOUSE_EXECUTION"] = key
    plan = folder / ".work" / "plan.json"
    plan.write_text(json.dumps([dataclasses.asdict(node) for node in nodes]))
    opening = _start(folder, "stillhouse.tracking", "start", "--key", key, "--owner", str(os.getpid()))
    outcome: list[Status] = []
    try:
        yield outcome
    except UserError:
        outcome.append("FAILED")
        raise
    finally:
        del os.environ["STILLHOUSE_EXECUTION"]
        opening.communicate()
        closing = _start(folder, "stillhouse.tracking", "finish", key, "--status", (outcome or ["KILLED"])[-1], "--plan", str(plan))
        printed, _ = closing.communicate()
        if printed.strip():
            print(printed.strip(), file=sys.stderr)


def _flow(names: Sequence[str], forced: Sequence[str], jobs: int, own_server: bool) -> Status:
    from prefect import get_client

    from stillhouse.flows import pipeline, states

    with get_client(sync_client=True) as client:
        if own_server:
            states.bury(client)
        run = pipeline.execute.with_options(task_runner=pipeline.threads(jobs))
        state: State[Any] = run(list(names), list(forced), return_state=True)
        states.settle(client, state.state_details.flow_run_id)
    if state.is_completed():
        return "FINISHED"
    print(state.message, file=sys.stderr)
    return "KILLED" if state.is_cancelled() else "FAILED"
