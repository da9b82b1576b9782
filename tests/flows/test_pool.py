"""How runs on nodes end, and what the head makes of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.record import room


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("node a: no sign of life for 15 s", True),
        ("node a has stopped its stages", True),
        ("Failed to submit flow run to infrastructure: ReadTimeout: ", True),
        ("it exited with status -9", False),
    ],
)
def test_a_stage_whose_node_is_silent_or_has_ended_or_could_not_begin_it_goes_on_elsewhere(message, lost):
    from prefect.states import Crashed, Failed

    from stillhouse.flows.nodes import pool

    assert pool.was_lost(Crashed(message=message)) == lost
    assert not pool.was_lost(Failed(message=message))


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), UserError("the remote a cannot be used: No space left on device")]
)
def test_a_full_disk_is_told_as_that_and_not_as_a_fault_of_the_remote(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stillhouse.flows.nodes import host
    from stillhouse.flows.nodes.job import Job, Packed
    from stillhouse.flows.nodes.tree import Tree

    tree = Tree(tmp_path, Job("project", {}, Packed("", "", "", "", ""), "teach@a", "0" * 64, (), "", "", ""))
    assert host.reason(error, tree).startswith("the disk is full (")
    assert host.reason(KeyError("a"), tree) == "KeyError: 'a'"
    assert host.reason(UserError("a sentence"), tree) == "a sentence"
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert host.reason(UserError("git: unable to write file"), tree).startswith("the disk of this node is full; free are ")


def test_a_node_that_is_not_let_in_any_more_ends_and_one_whose_server_is_away_stays(capsys: pytest.CaptureFixture[str]) -> None:
    from stillhouse.flows.nodes.pool import Pool

    client: Any = SimpleNamespace(api_url="http://head:4200/api")
    pool, request = Pool("nodes", client), httpx.Request("GET", "http://127.0.0.1/api")
    with pool.borne():
        raise httpx.ConnectError("refused")
    assert capsys.readouterr().err == "warning: http://head:4200/api does not answer: ConnectError\n"
    for status in (503, 401):
        error = httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))
        if status == 503:
            with pool.borne():
                raise error
        else:
            with pytest.raises(UserError, match=r"does not let this machine in \(401\): set PREFECT_API_AUTH_STRING"), pool.borne():
                raise error
