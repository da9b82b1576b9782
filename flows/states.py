"""Prefect's runs end in a true state: what a killed process left open is closed, and the last word of a flow is waited for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled, Completed, Crashed, Failed

from stillhouse.flows.stage import Outcome

if TYPE_CHECKING:
    from prefect import State
    from prefect.client.orchestration import SyncPrefectClient

OPEN = {"state": {"type": {"any_": [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]}}}
PATIENCE = 15.0
"""Seconds that the server is given to write down the last states."""


def close_open_runs(client: SyncPrefectClient, told: Sequence[Mapping[str, Any]], *, own: bool) -> None:
    """Closes the runs of executions whose end is `told` (see `lost.Note`); of a server that nobody else uses (`own`), all others too."""
    for execution in told:
        if execution["flow_run"]:
            mine = FlowRunFilter.model_validate({"id": {"any_": [execution["flow_run"]]}})
            _close(client, mine, execution["verdict"], execution["stages"])
    if own:
        _close(client, None, "CRASHED", {})


def _close(client: SyncPrefectClient, mine: FlowRunFilter | None, verdict: str, stages: Mapping[str, str]) -> None:
    """The stages that are open get their own state, those that are not named crashed with their process."""
    for task_run in client.read_task_runs(task_run_filter=TaskRunFilter.model_validate(OPEN), flow_run_filter=mine):
        client.set_task_run_state(task_run.id, _stage(stages.get(task_run.name)), force=True)
    filters = FlowRunFilter.model_validate(OPEN | ({"id": mine.id} if mine else {}))
    for flow_run in client.read_flow_runs(flow_run_filter=filters):
        client.set_flow_run_state(flow_run.id, _END[verdict], force=True)


_END: dict[str, State[Any]] = {
    "COMPLETED": Completed(),
    "FAILED": Failed(),
    "CANCELLED": Cancelled(),
    "CRASHED": Crashed(message="its process was killed"),
}


def _stage(state: str | None) -> State[Any]:
    if state in get_args(Outcome):
        return Completed(name=str(state).capitalize(), message=state)
    return _END["FAILED" if state == "failed" else "CANCELLED" if state else "CRASHED"]


def settle(client: SyncPrefectClient, flow_run: UUID | None) -> None:
    """Waits until no task of a flow run is open: the server hears of their ends by events, which it would lose if stopped now."""
    mine = FlowRunFilter.model_validate({"id": {"any_": [flow_run]}})
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and client.read_task_runs(task_run_filter=TaskRunFilter.model_validate(OPEN), flow_run_filter=mine):
        time.sleep(0.1)
