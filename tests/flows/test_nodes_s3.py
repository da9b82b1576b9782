"""A head and two nodes with an S3-compatible store: the whole pipeline while a worker is killed, then a sweep of six combinations."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import machines, s3
from tests.processes import command_line, free_port, until
from tests.projects import locked

pytestmark = [
    pytest.mark.skipif("STILLHOUSE_TEST_NODES" not in os.environ, reason="takes minutes: make test-nodes"),
    pytest.mark.timeout(1200),  # the story is told in the set-up of the first test
]
EPOCHS = 200
NAMES = ("first", "second")
AXES = ("students.half.search.budget.share=0.5,0.4,0.3", "students.half.distill.losses.0.weight=1.0,2.0")
MADE = ("prepare@rings", "teach@rings", "search@half", "distill@half")


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
        told: dict[str, Any] = {"folder": folder, "place": place, "alone": alone, "home": machines.tried(alone, "run", "half")}
        stack.enter_context(machines.server(place, address))
        nodes = {name: stack.enter_context(machines.node(place, name, address)) for name in NAMES}
        patch.setenv("PREFECT_API_URL", address)
        until(lambda: all(machines.lives(said, name) for said in [machines.said(folder, "nodes")] for name in NAMES), 600)
        head = machines.started(folder, "run", "--on", "nodes", "half")
        until(lambda: any(machines.metrics(place / name) for name in NAMES), 600)
        victim = next(name for name in NAMES if machines.metrics(place / name))
        _worker(nodes[victim]).kill()
        told |= {"code": head.wait(240), "runs": machines.runs(folder)}
        told["again"] = machines.said(folder, "run", "--on", "nodes", "half")
        told["sweep"] = machines.tried(folder, "run", "--on", "nodes", "--at-once", "2", *(f"--set={axis}" for axis in AXES), "half")
        told["left"] = machines.open_runs(address)
        yield told


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


def _worker(node: subprocess.Popen[bytes]) -> psutil.Process:
    """Prefect's worker of a node, without the stages that it has started."""
    return next(each for each in machines.family(node) if "stillhouse.flows.nodes.worker" in command_line(each))
