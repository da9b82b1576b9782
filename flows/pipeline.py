"""Prefect's flow and its one task: they follow an execution, stage by stage and try by try, and have its states, times and order.

The stages themselves wait for nobody: they run while Prefect's server starts, and without it. Whether a stage is due is DVC's to say, so
nothing is cached here and no result is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Flow, State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from stillhouse.flows.graph import Node
from stillhouse.flows.stage import StageFailed
from stillhouse.flows.work import Ending, Work

_STATES = {"COMPLETED": Completed, "FAILED": Failed, "CANCELLED": Cancelled}


@task(cache_policy=NO_CACHE, persist_result=False)
def stage(work: Work, node: Node) -> State[Any]:
    """One DVC stage.

    Raises:
        StageFailed: a try of it failed; the next one is then followed as a retry.
    """
    ending = work.next_try(node)
    if ending.kind == "FAILED":
        raise StageFailed(ending.message)
    return _state(ending)


def as_flow(work: Work, begun: Callable[[str], None]) -> Flow[[dict[str, Any]], State[Any]]:
    """The flow whose run records the work; its parameter is what was asked for. `begun` is told the run's id."""

    @flow(name="stillhouse", task_runner=_runner(work), persist_result=False)
    def execute(wishes: dict[str, Any]) -> State[Any]:
        work.flow_run = str(flow_run.get_id() or "")
        begun(work.flow_run)
        futures: dict[str, Any] = {}
        while node := work.begun.get():
            before = [futures[name] for name in node.after if name in futures]
            named = stage.with_options(task_run_name=node.name, retries=node.retries)
            futures[node.name] = named.submit(work, node, wait_for=before, return_state=False)
        for future in futures.values():
            future.wait()
        return _state(work.verdict)

    return execute


def _runner(work: Work) -> Any:
    """Room for the stages that run and for those that have ended while the server started."""
    return ThreadPoolTaskRunner(max_workers=4 * work.jobs)


def _state(ending: Ending) -> State[Any]:
    return _STATES[ending.kind](name=ending.name, message=ending.message)
