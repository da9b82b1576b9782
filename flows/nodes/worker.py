"""Prefect's process worker, with the patience that stages of hours need: `python -m stillhouse.flows.nodes.worker NAME POOL`.

Prefect's own ends after a dozen failed questions, and what runs under it with it; before, it asks and gives signs of life more and more
seldom. This one goes on at its pace for as long as its server is away or busy, and so do its stages.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from stillhouse.flows.nodes.life import BEAT, SKEW

WORKLOADS = ("get_and_submit_flow_runs", "sync_with_backend")
"""What a worker asks again and again: what is there for it to do, and whether it still lives."""


def patient(ask: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """The same question, which has no answer where the server is away or busy; what another try would not mend is raised as before."""

    async def asked() -> Any:
        try:
            return await ask()
        except httpx.TransportError:
            return None
        except httpx.HTTPStatusError as error:
            if not error.response.is_server_error:
                raise
            return None

    return asked


def main(name: str, pool: str) -> None:
    """Takes what is in the queue of its own name until it is asked to end."""
    from prefect.utilities.processutils import setup_signal_handlers_worker
    from prefect.workers.process import ProcessWorker

    setup_signal_handlers_worker(os.getpid(), name, print)
    worker = ProcessWorker(
        name=name,
        work_pool_name=pool,
        work_queues=[name],
        prefetch_seconds=2 * SKEW,  # by a clock that is behind, what is asked for now is asked for later
        heartbeat_interval_seconds=max(1, round(BEAT)),
    )
    for workload in WORKLOADS:
        setattr(worker, workload, patient(getattr(worker, workload)))
    asyncio.run(worker.start())


if __name__ == "__main__":
    main(*sys.argv[1:])
