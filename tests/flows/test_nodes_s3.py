"""A head and two nodes with an S3-compatible store: the whole pipeline while a worker is killed, a sweep of six combinations, then searches
that both nodes share, one of which loses a node in the middle.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from ruamel.yaml import YAML

from tests import machines, s3
from tests.processes import command_line, free_port, until
from tests.projects import locked

pytestmark = [
    pytest.mark.skipif("STILLHOUSE_TEST_NODES" not in os.environ, reason="takes minutes: make test-nodes"),
    pytest.mark.timeout(3600),  # the story is told in the set-up of the first test
]
EPOCHS = 200
NAMES = ("first", "second")
AXES = ("students.half.search.budget.share=0.5,0.4,0.3", "students.half.distill.losses.0.weight=1.0,2.0")
MADE = ("prepare@rings", "teach@rings", "search@half", "distill@half")
_RANKED = {"candidates": 12, "finalists": 4, "band": 0.2, "fit": {"epochs": 6000, "learning_rate": 0.02}}
"""A quick node is not done before the other part is sent."""
SEARCHES: dict[str, dict[str, Any]] = {
    "random": {"draws": 12, "band": 0.2, "fit": {"epochs": 6000, "learning_rate": 0.02}},  # enough for a kill in the middle
    "zico": _RANKED,
    "gradsign": _RANKED,
}
LONG = 600
"""Seconds for what a busy machine is slow to do."""


@pytest.fixture(scope="module")
def story(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What was seen, in one project, since each start of a server and a node takes seconds."""
    place = tmp_path_factory.mktemp("nodes")
    address = f"http://127.0.0.1:{free_port()}/api"
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        machines.surround(patch, place)
        for name, value in s3.SECRETS.items():
            patch.setenv(name, value)
        folder = machines.project(template, place / "project", stack.enter_context(s3.served(place)), EPOCHS)
        alone = place / "alone"
        shutil.copytree(folder, alone, symlinks=True)
        told: dict[str, Any] = {"folder": folder, "place": place, "alone": alone, "address": address}
        told["home"] = machines.tried(alone, "run", "half")
        stack.enter_context(machines.server(place, address))
        nodes = {name: stack.enter_context(machines.node(place, name, address)) for name in NAMES}
        patch.setenv("PREFECT_API_URL", address)
        until(lambda: all(machines.lives(said, name) for said in [machines.said(folder, "nodes")] for name in NAMES), LONG)
        head = machines.started(folder, "run", "--on", "nodes", "half")
        until(lambda: any(machines.metrics(place / name) for name in NAMES), LONG)
        victim = next(name for name in NAMES if machines.metrics(place / name))
        _worker(nodes[victim]).kill()
        told |= {"code": head.wait(LONG), "runs": machines.runs(folder)}
        patch.setenv("STILLHOUSE_BEAT_SECONDS", "10")  # nobody is killed from here on, and a busy machine is late
        told["again"] = machines.said(folder, "run", "--on", "nodes", "half")
        told["sweep"] = machines.tried(folder, "run", "--on", "nodes", "--at-once", "2", *(f"--set={axis}" for axis in AXES), "half")
        told["left"] = machines.open_runs(address)
        yield told | {"nodes": nodes}


@pytest.fixture(scope="module")
def searches(story: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each method in one process at home, and on both nodes; the node that helps the first one is killed, and comes back."""
    first, *others = [f"search@{method}" for method in SEARCHES]
    for folder, workers in (("alone", 1), ("folder", 2)):
        _write_searches(story[folder], workers)
    told: dict[str, Any] = {"home": machines.tried(story["alone"], "run", first, *others)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STILLHOUSE_BEAT_SECONDS", "3")
        head = machines.started(story["folder"], "run", "--on", "nodes", first)
    until(lambda: _times(story, NAMES, first, 0), LONG)
    victim = next(name for name in NAMES if _worktrees(story, name, first, 1))
    told |= {"in the middle": head.poll() is None, "made by the victim": _came(story, victim, first)}
    machines.tell_all(story["nodes"][victim], signal.SIGKILL)
    told["code"] = head.wait(LONG)
    with machines.node(story["place"], victim, story["address"]):
        until(lambda: machines.lives(machines.said(story["folder"], "nodes"), victim), LONG)
        told |= {each: machines.tried(story["folder"], "run", "--on", "nodes", each) for each in others}
        yield told | {"left": machines.open_runs(story["address"])}


def _write_searches(folder: Path, workers: int) -> None:
    """A student for each method, beside the one that is there."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    half = params["students"]["half"]
    for method, settings in SEARCHES.items():
        search = {**half["search"], "method": method, "settings": settings, "workers": workers}
        params["students"][method] = {**half, "search": search}
    with path.open("w") as file:
        YAML().dump(params, file)


def _worktrees(story: dict[str, Any], node: str, stage: str, number: int) -> list[Path]:
    """Those of one part of a search on a node."""
    found = (story["place"] / node).glob(f"projects/*/stages/{stage}-*")
    return [path for path in found if path.name.endswith("-1") == bool(number)]


def _came(story: dict[str, Any], node: str, stage: str) -> bool:
    """Whether the first part of a search has its second candidate from the part on that node, which had it before."""
    here, there = (_times(story, (node,), stage, 1), _times(story, NAMES, stage, 0))
    return bool(here and there) and max(here) < min(there)


def _times(story: dict[str, Any], nodes: Sequence[str], stage: str, number: int) -> list[float]:
    """When one part of a search got its second candidate."""
    places = [
        place
        for name in nodes
        for path in _worktrees(story, name, stage, number)
        for place in path.glob(f".work/{stage}/*/checkpoint/candidates/draw2/[!.]*.safetensors")
    ]
    return [place.stat().st_mtime for place in places]


def test_a_killed_worker_holds_up_nothing_and_nothing_is_made_twice(story):
    assert story["code"] == 0
    assert "nothing to do" in story["again"]
    finished = [name for name, status in story["runs"] if status == "FINISHED"]
    assert sorted(finished) == sorted([*MADE, "evaluate@half"])
    assert {status for _, status in story["runs"]} <= {"FINISHED", "KILLED"}
    assert story["left"] == 0


def test_the_bytes_are_those_of_a_run_at_home(story):
    assert story["home"][0] == 0, story["home"][1]
    here, alone = locked(story["folder"]), locked(story["alone"])
    for stage in MADE:
        assert {out["path"]: out["md5"] for out in here[stage]["outs"]} == {out["path"]: out["md5"] for out in alone[stage]["outs"]}


def test_six_combinations_run_on_two_nodes_and_are_compared(story):
    code, text = story["sweep"]
    assert code == 0, text
    assert "6 combinations, 2 at once" in text
    page = (story["folder"] / "sweep.html").read_text()
    assert page.count("<svg") == 1
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "list", "--name-only"], cwd=story["folder"], capture_output=True, text=True, check=True
    )
    wanted = {f"share-{share}_weight-{weight}" for share in (0.5, 0.4, 0.3) for weight in (1.0, 2.0)}
    assert set(done.stdout.split()) == wanted
    for name in NAMES:
        assert list((story["place"] / name).glob("projects/*/stages/*@half-*")), f"{name} ran nothing of it"


def test_a_search_whose_helper_is_killed_finds_the_bytes_of_one_process(story, searches):
    assert searches["home"][0] == 0, searches["home"][1]
    assert searches["in the middle"]
    assert searches["made by the victim"], "else it helped with nothing"
    assert searches["code"] == 0
    assert searches["left"] == 0
    _require_same(story, "search@random")


@pytest.mark.parametrize("method", ["zico", "gradsign"])
def test_a_search_that_nodes_share_finds_the_bytes_of_one_process(story, searches, method):
    code, text = searches[stage := f"search@{method}"]
    assert code == 0, text
    sent = machines.sent(stage)  # on a busy machine the first part may be done before the other node has begun
    assert (sorted(sent), sorted(sent.values())) == ([0, 1], sorted(NAMES))
    _require_same(story, stage)


def _require_same(story: dict[str, Any], stage: str) -> None:
    here, alone = (locked(story[folder])[stage]["outs"] for folder in ("folder", "alone"))
    assert {out["path"]: out["md5"] for out in here} == {out["path"]: out["md5"] for out in alone}


def _worker(node: subprocess.Popen[bytes]) -> psutil.Process:
    """Prefect's worker of a node, without the stages that it has started."""
    return next(each for each in machines.family(node) if "stillhouse.flows.nodes.worker" in command_line(each))
