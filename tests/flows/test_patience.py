"""A server of Prefect's that is too busy to answer is asked again."""

from __future__ import annotations

from threading import Event

import httpx
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes import patience
from stillhouse.flows.nodes.patience import Patience, asked
from stillhouse.flows.stage import Stopped


def busy() -> str:
    request = httpx.Request("POST", "http://127.0.0.1/api/deployments/")
    raise httpx.HTTPStatusError("503 Service Unavailable", request=request, response=httpx.Response(503, request=request))


def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "POLL", 0.0)
    answers = [busy, busy, lambda: "sent"]
    assert asked(lambda: answers.pop(0)(), Event()) == "sent"


def test_not_for_ever_and_not_once_it_is_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(Stopped):
        asked(busy, stop)
    monkeypatch.setattr(patience, "LONGEST", -1.0)
    with pytest.raises(UserError, match=r"^Prefect's server has not answered for -1 s \(503 .*: start it again, and say .* again$"):
        asked(busy, Event())


def test_a_server_that_is_away_for_long_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found, error = Patience(), httpx.ReadTimeout("busy")
    assert not found.bear(error)
    monkeypatch.setattr(patience, "NOTICEABLE", -1.0)
    assert [found.bear(error), found.bear(error)] == [True, False]
    found.answered()
    assert found.bear(error)
