"""Prefect's runs end in a true state: what a killed process left open is closed, and the last word of a flow is waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

if TYPE_CHECKING:
    from prefect import State
    from prefect.client.orchestration import SyncPrefectClient

OPEN = {"state": {"type": {"any_": [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]}}}
PATIENCE = 15.0
"""Seconds that the server is given to write down the last states."""


def close_open_runs(client: SyncPrefectClient) -> None:
    """Closes every open run of a server that nobody else uses: their process was killed."""
    end: State[None] = Crashed(message="its process was killed")
    for task_run in client.read_task_runs(task_run_filter=TaskRunFilter.model_validate(OPEN)):
        client.set_task_run_state(task_run.id, end, force=True)
    for flow_run in client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(OPEN)):
        client.set_flow_run_state(flow_run.id, end, force=True)


def settle(client: SyncPrefectClient, flow_run: UUID | None) -> None:
    """Waits until no task of a flow run is open: the server hears of their ends by events, which it would lose if stopped now."""
    mine = FlowRunFilter.model_validate({"id": {"any_": [flow_run]}})
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and client.read_task_runs(task_run_filter=TaskRunFilter.model_validate(OPEN), flow_run_filter=mine):
        time.sleep(0.1)
