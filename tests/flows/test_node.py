"""What a node that begins refuses, in a sentence that says what to do."""

from __future__ import annotations

import os
import signal
import urllib.request
from contextlib import nullcontext
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import httpx
import pytest

from stillhouse.cli.node import node as command
from stillhouse.contracts.errors import UserError
from stillhouse.flows import server
from stillhouse.flows.nodes import node, patience
from stillhouse.flows.nodes.life import LOST
from stillhouse.flows.nodes.node import Here
from stillhouse.record import process

LAST = datetime(2026, 1, 1, tzinfo=UTC)


def here(home: Path) -> Here:
    return Here("a", home, "http://127.0.0.1:9/api", "nodes", 1)


@pytest.mark.parametrize(
    ("silent", "later", "refused"),
    [(0.0, datetime(2026, 1, 2, tzinfo=UTC), True), (0.0, LAST, False), (LOST, LAST, False)],
)
def test_a_name_is_that_of_one_living_node(
    silent: float, later: datetime, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = [{"a": LAST}, {"a": later}]
    pool: Any = SimpleNamespace(stamps=lambda: stamps.pop(0), silences=lambda: {"a": silent})
    monkeypatch.setattr(node.time, "sleep", lambda _: None)
    if refused:
        with pytest.raises(UserError, match=r"^a node a of the pool nodes lives already: --name gives this one another name$"):
            here(tmp_path)._require_own_name(pool)
    else:
        here(tmp_path)._require_own_name(pool)


def test_where_no_head_answers_it_is_said_how_the_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not answer \(.*\): say `stillhouse up --host \.\.\.` on the head, and here --head with"):
        here(tmp_path).check(Event())


def test_a_server_that_is_busy_is_waited_for_while_a_node_joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stillhouse.flows.nodes import pool as pools

    request, asked, answers = httpx.Request("POST", "http://127.0.0.1/api"), list[str](), dict[str, Any]()

    def busy_once(name: str, answer: Any) -> Any:
        asked.append(name)
        if asked.count(name) == 1:
            raise httpx.HTTPStatusError("503", request=request, response=httpx.Response(503, request=request))
        return answer

    answers = {"make": None, "stamps": {}, "announce": None, "warning": "a node's"}
    busy = SimpleNamespace(**{name: lambda *_, name=name: busy_once(name, answers[name]) for name in answers})
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(pools, "Pool", lambda _: busy)
    monkeypatch.setattr(patience, "POLL", 0.0)
    assert here(tmp_path).join(Event()) is busy
    assert asked == [name for name in answers for _ in range(2)]


def test_a_head_that_answers_503_at_first_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(address: str, timeout: float) -> Any:
        if len(asked) < 2:
            asked.append(address)
            raise HTTPError(address, 503, "Service Unavailable", Message(), None)
        return nullcontext(SimpleNamespace(headers={}))

    asked: list[str] = []
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(patience, "POLL", 0.0)
    assert patience.asked(lambda: server.skew("http://head:4200/api"), Event()) == 0.0
    assert asked == ["http://head:4200/api/health"] * 2


def test_a_folder_is_that_of_one_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    held = tmp_path / "node.lease"
    with process.lease(held), pytest.raises(UserError) as caught:
        command("http://127.0.0.1:9/api", folder=tmp_path)
    assert str(caught.value) == f"{tmp_path} is that of another node, process {os.getpid()}: --folder names another place"


def test_a_clock_that_is_far_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.server, "skew", lambda _: -400.0)
    with pytest.raises(UserError, match=r"^this node's clock is -400 s from the head's: set it \(timedatectl set-ntp true\)$"):
        here(tmp_path)._clock()
