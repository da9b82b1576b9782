"""A node whose Stillhouse is another one than the head's gets no stage, and both say so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes import host
from stillhouse.flows.nodes.choose import Host, Need, choose
from stillhouse.flows.nodes.job import Job, Packed
from stillhouse.flows.nodes.release import FORM, HERE, unlike, wanted

JOB = Job("project", {}, Packed("", "", "", "", ""), "teach@a", "0" * 64, (), "", "", "")
HEAD = "9.0/12345678"
OLD = "node box has Stillhouse 0.1.0, the head 9.0, and nodes take the stages of one Stillhouse alone: "
REMEDY = "install the same on both, and start the node again"


def test_both_versions_are_named_and_only_the_form_decides() -> None:
    assert unlike("box", "0.1.0", HEAD) == OLD + REMEDY
    assert unlike("box", "9.0/0", HEAD).startswith("node box has Stillhouse 9.0, the head another state of that version, and")
    assert not unlike("box", f"0.1.0/{FORM}", f"9.0/{FORM}")


def test_a_stage_goes_past_a_node_that_would_not_understand_it_and_fails_where_no_other_is() -> None:
    other = Host("box", 8, (80.0,), unlike="node box is of old")
    found = choose([other, Host("small", 1)], Need(gpu=1))
    assert found is not None
    assert found.name == "small"
    with pytest.raises(UserError, match=r"^node box is of old$"):
        choose([other], Need())
    with pytest.raises(UserError, match=r"^meta - wanted a node with 1 GPUs of 8 GiB - small has none; node box is of old$"):
        choose([other, Host("small", 1)], Need(gpu=1, memory=8))


def test_the_head_knows_by_what_nodes_say_of_themselves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from stillhouse.flows.nodes.away import Away
    from stillhouse.flows.nodes.pool import hosts

    facts = {"box": {"cores": 2, "stillhouse": "0.0.1"}, "new": {"cores": 1, "release": HERE}}
    pool: Any = SimpleNamespace(
        silences=lambda: dict.fromkeys(facts, 0.0), facts=lambda: facts, open_runs=list, submit=lambda *sent: sent[2]
    )
    assert [bool(host.unlike) for host in hosts(pool, [])] == [True, False]
    away = Away(tmp_path, pool, None, lambda _: None)  # type: ignore[arg-type]
    assert [away._submitted(JOB, Need()), away._submitted(JOB, Need())] == [("new", "new")] * 2
    assert capsys.readouterr().err.count("warning: node box has Stillhouse 0.0.1, the head ") == 1


@pytest.mark.parametrize("parameters", [{"job": {"stage": "of another form"}}, {"release": HEAD, **JOB.parameters()}])
def test_what_a_node_does_not_understand_it_leaves_to_another_one(
    parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from stillhouse.flows.nodes import line
    from stillhouse.flows.nodes.pool import was_lost

    said: list[Any] = []
    run = SimpleNamespace(parameters=parameters, work_queue_name="box", state=None)
    client = SimpleNamespace(read_flow_run=lambda _: run, set_flow_run_state=lambda _, state, **__: said.append(state))
    monkeypatch.setattr(line, "get_client", lambda **_: client)
    monkeypatch.setattr(host.signal, "signal", lambda *_: None)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(UUID(int=1)))
    monkeypatch.setenv("STILLHOUSE_NODE", str(tmp_path))
    assert host.main() == 0
    assert [was_lost(state) for state in said] == [True]
    assert said[0].message == capsys.readouterr().err.strip()
    assert said[0].message.startswith("node box has Stillhouse ")


def test_what_a_head_of_this_form_or_of_one_that_says_none_asks_for_is_done() -> None:
    for more in ({}, {"release": f"9.0/{FORM}"}):
        assert wanted(JOB.parameters() | more, "box") == JOB


def test_a_node_that_joins_is_told_of_the_last_head() -> None:
    from prefect.exceptions import ObjectNotFound

    from stillhouse.flows.nodes.pool import Pool

    def never(_: str) -> None:
        raise ObjectNotFound(Exception())

    for version, told in ((HEAD, True), (HERE, False), (None, False)):
        client: Any = SimpleNamespace(read_deployment_by_name=lambda _, version=version: SimpleNamespace(version=version))
        assert bool(Pool("nodes", client).warning("box")) == told
    nobody: Any = SimpleNamespace(read_deployment_by_name=never)
    assert Pool("nodes", nobody).warning("box") == ""
