"""One execution from its first process to its last: the tracker, Prefect's server and the flow between them."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.contracts.errors import UserError
from stillhouse.flows import cores
from stillhouse.flows.graph import Node
from stillhouse.flows.server import Serving, server
from stillhouse.flows.tracker import Status, tracked

if TYPE_CHECKING:
    from prefect import State

EXIT: dict[Status, int] = {"FINISHED": 0, "FAILED": 1, "KILLED": 130}


def execute(folder: Path, names: Sequence[str], nodes: Sequence[Node], jobs: int | None) -> int:
    """Runs what is due among `nodes`, those that `names` stand for; returns the exit code.

    Raises:
        UserError: another execution is going on in this folder, or Prefect's server does not start.
    """
    with alone(folder), tracked(folder, nodes) as tracker, server(folder) as serving:
        status = _flow(names, [node.name for node in nodes if node.forced], jobs or cores.at_once(nodes), serving)
        tracker.end(status)
    return EXIT[status]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps all other executions out of a folder. The kernel frees the lock at any end of this process.

    Raises:
        UserError: another execution is going on there.
    """
    path = folder / ".work" / "execution.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another `stillhouse run` is going on in this folder: wait for it, or stop it with Ctrl-C") from None
        yield


def _flow(names: Sequence[str], forced: Sequence[str], jobs: int, serving: Serving) -> Status:
    from prefect import get_client

    from stillhouse.flows import pipeline, states

    serving.wait()
    with get_client(sync_client=True) as client:
        if serving.own:
            states.close_open_runs(client)
        run = pipeline.execute.with_options(task_runner=pipeline.threads(jobs))
        state: State[Any] = run(list(names), list(forced), return_state=True)
        states.settle(client, state.state_details.flow_run_id)
    if state.is_completed():
        return "FINISHED"
    print(state.message, file=sys.stderr)
    return "KILLED" if state.is_cancelled() else "FAILED"
