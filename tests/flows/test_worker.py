"""A worker outlives its server's absence, and so do the stages that run under it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from stillhouse.flows.nodes import worker
from stillhouse.flows.nodes.life import SKEW
from stillhouse.flows.nodes.worker import patient

REQUEST = httpx.Request("POST", "http://127.0.0.1/api")


def refused(status: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(status, request=REQUEST))


def asked(error: Exception) -> None:
    async def ask() -> str:
        raise error

    assert asyncio.run(patient(ask)()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("busy"), refused(503)])
def test_a_question_that_a_server_cannot_answer_now_is_no_reason_to_end(error: httpx.HTTPError) -> None:
    asked(error)


@pytest.mark.parametrize("error", [refused(401), RuntimeError("a mistake")])
def test_what_another_try_would_not_mend_is(error: Exception) -> None:
    with pytest.raises(type(error)):
        asked(error)


def test_a_clock_that_may_be_behind_delays_no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def made(**options: Any) -> SimpleNamespace:
        async def nothing() -> None: ...

        told.update(options)
        return SimpleNamespace(start=nothing, **dict.fromkeys(worker.WORKLOADS, nothing))

    monkeypatch.setattr("prefect.workers.process.ProcessWorker", made)
    monkeypatch.setattr("prefect.utilities.processutils.setup_signal_handlers_worker", lambda *_: None)
    worker.main("box", "nodes")
    assert told["prefetch_seconds"] > SKEW
    assert told["work_queues"] == ["box"]
