"""A head and two nodes with real servers and a real DVC remote, in the middle of a training: a node is cut off, then Prefect's server and
the head are killed, and all come back.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import machines
from tests.processes import free_port, until
from tests.projects import locked

pytestmark = [
    pytest.mark.skipif("STILLHOUSE_TEST_NODES" not in os.environ, reason="takes two minutes: make test-nodes"),
    pytest.mark.timeout(3600),  # the story is told in the set-up of the first test
]
LONG = 600
"""Seconds for what a busy machine is slow to do."""
EPOCHS = 300
"""Enough for a kill in the middle."""


@pytest.fixture(scope="module")
def story(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What was seen, in one project, since each start of a server and a node takes seconds."""
    place = tmp_path_factory.mktemp("nodes")
    folder = machines.project(template, place / "project", {"url": str(place / "remote")}, EPOCHS)
    alone = place / "alone"
    with pytest.MonkeyPatch.context() as patch:
        machines.surround(patch, place)
        machines.said(folder, "run", "prepare@rings")
        shutil.copytree(folder, alone, symlinks=True)
        address = f"http://127.0.0.1:{free_port()}/api"
        with (
            machines.server(place, address) as server,
            machines.node(place, "first", address) as first,
            machines.node(place, "second", address) as second,
        ):
            patch.setenv("PREFECT_API_URL", address)
            told: dict[str, Any] = {"folder": folder, "place": place, "alone": alone}
            nodes = {"first": first, "second": second}
            until(lambda: all(machines.lives(said, name) for said in [machines.said(folder, "nodes")] for name in nodes), LONG)
            head = machines.started(folder, "run", "--on", "nodes", "teach@rings")
            until(lambda: any((place / "remote/stillhouse").rglob("checkpoint*/**/*.safetensors")), LONG)
            victim = next(name for name in nodes if f"on node {name}" in (folder / ".work/teach@rings/log.txt").read_text())
            machines.tell_all(nodes[victim], signal.SIGSTOP)
            told["other head"] = machines.tried(alone, "run", "--on", "nodes", "teach@rings")
            survivor = {"first": "second", "second": "first"}[victim]
            until(lambda: (found := machines.metrics(place / survivor)) and json.loads(found[-1])["epoch"], LONG)
            for process in (server, head):
                machines.tell_all(process, signal.SIGKILL)
            until(lambda: any((place / "remote/stillhouse").rglob("results/*.json")), LONG)
            told |= {"victim": victim, "survivor": survivor}
            with machines.server(place, address):
                told["nodes"] = until(lambda: said if machines.lives(said := machines.said(folder, "nodes"), survivor) else "", LONG)
                told["elsewhere"] = machines.tried(folder, "run", "--force", "--on", "elsewhere", "teach@rings")
                told["code"], told["text"] = machines.tried(folder, "run", "--on", "nodes", "teach@rings")
                told["again"] = machines.said(folder, "run", "--on", "nodes", "teach@rings")
                machines.tell_all(nodes[victim], signal.SIGCONT)
                told["left"] = until(lambda: machines.open_runs(address) == 0 and "none", LONG)
                until(lambda: not machines.stages(nodes[victim]), LONG)
                told |= {"runs": machines.runs(folder)}
            del os.environ["PREFECT_API_URL"]
            machines.said(alone, "run", "teach@rings")
            yield told


def test_a_stage_whose_node_is_killed_goes_on_elsewhere_from_its_checkpoint(story):
    epochs = [json.loads(line)["epoch"] for line in machines.metrics(story["place"] / story["survivor"])]
    assert epochs[0] > 1
    assert epochs[-1] == EPOCHS


def test_a_node_that_comes_back_stops_what_is_no_longer_wanted(story):
    assert json.loads(machines.metrics(story["place"] / story["victim"])[-1])["epoch"] < EPOCHS


def test_a_second_head_is_refused(story):
    code, text = story["other head"]
    assert code == 1
    assert f"another head runs this project, {socket.gethostname()}:{story['folder']}" in text


def test_what_nodes_made_without_a_head_comes_home_with_the_next_run(story):
    assert story["code"] == 0, story["text"]
    assert "teach@rings: done" in story["text"]
    assert "kept: nothing that" in (story["folder"] / ".work/teach@rings/log.txt").read_text()


def test_the_bytes_are_those_of_a_run_at_home(story):
    here, alone = locked(story["folder"]), locked(story["alone"])
    for stage in ("prepare@rings", "teach@rings"):
        assert {out["path"]: out["md5"] for out in here[stage]["outs"]} == {out["path"]: out["md5"] for out in alone[stage]["outs"]}


def test_nothing_is_made_twice_or_left_open(story):
    assert "nothing to do" in story["again"]
    assert story["left"] == "none"
    assert sorted(story["runs"]) == [("prepare@rings", "FINISHED"), ("teach@rings", "FINISHED")]
    assert not list((story["place"] / "remote/stillhouse").rglob("results/*"))


def test_who_lives_is_shown(story):
    lines = {line.split()[0]: line for line in story["nodes"].splitlines()}
    assert "no sign of life" in lines[story["victim"]]
    assert machines.lives(story["nodes"], story["survivor"])


def test_what_no_node_can_be_asked_is_told(story):
    folder = story["folder"]
    code, text = machines.tried(folder, "run", "--force", "--on", "nodes", "teach@rings")
    assert code == 1
    assert "--on nodes - wanted a Prefect server that nodes can reach" in text
    code, text = story["elsewhere"]
    assert code == 1
    assert "no pool is named 'elsewhere'; there is nodes" in text
    code, text = machines.tried(folder, "node", "--head", "http://127.0.0.1:9/api", "--folder", str(story["place"] / "third"))
    assert code == 1
    assert "does not answer" in text
