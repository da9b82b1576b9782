"""A head with the servers of `stillhouse up` and a node: MLflow's server is killed in the middle of a training, and started again later."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from stillhouse.record import servers
from tests import machines
from tests.processes import free_port, until

pytestmark = [
    pytest.mark.skipif("STILLHOUSE_TEST_NODES" not in os.environ, reason="takes a minute: make test-nodes"),
    pytest.mark.timeout(3600),  # the story is told in the set-up of the first test
]
EPOCHS = 200
STAGES = ["prepare@rings", "teach@rings", "search@half", "distill@half", "evaluate@half"]


@pytest.fixture(scope="module")
def story(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What was seen, in one project, since each start of a server and a node takes seconds."""
    place = tmp_path_factory.mktemp("nodes")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        machines.surround(patch, place)
        folder = machines.project(template, place / "project", {"url": str(place / "remote")}, EPOCHS)
        up = ["up", "--prefect-port", str(port := free_port()), "--mlflow-port", str(free_port())]
        stack.callback(machines.said, folder, "down")
        told: dict[str, Any] = {"folder": folder, "up": machines.tried(folder, *up)}
        address = f"http://127.0.0.1:{port}/api"
        patch.setenv("PREFECT_API_AUTH_STRING", f"{servers.USER}:{servers.token(folder)}")
        stack.enter_context(machines.node(place, "first", address))
        until(lambda: machines.lives(machines.said(folder, "nodes"), "first"), 600)
        head = machines.started(folder, "run", "--on", "nodes", "half")
        until(lambda: machines.metrics(place / "first"), 600)
        for name in servers.read(folder)["mlflow"].processes:
            with suppress(ProcessLookupError):
                os.kill(int(name.split("/")[-2]), signal.SIGKILL)
        told |= {"code": head.wait(240), "before": machines.runs(folder)}
        told["up again"] = machines.tried(folder, *up)
        told["again"] = machines.said(folder, "run", "--on", "nodes", "half")
        patch.setenv("PREFECT_API_URL", address)
        told |= {"after": machines.runs(folder), "left": machines.open_runs(address)}
        yield told


def test_a_training_on_a_node_ends_well_without_the_tracker(story):
    assert story["up"][0] == 0, story["up"][1]
    assert story["code"] == 0
    assert ("distill@half", "FINISHED") not in story["before"], "else it was never away"


def test_it_hears_of_all_of_it_when_it_is_back_and_nothing_is_made_twice(story):
    assert story["up again"][0] == 0, story["up again"][1]
    assert "nothing to do" in story["again"]
    assert sorted(story["after"]) == sorted((stage, "FINISHED") for stage in STAGES)
    assert story["left"] == 0
