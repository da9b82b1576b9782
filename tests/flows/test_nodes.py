"""A head and two nodes with real servers and a real DVC remote, in the middle of a training: a node is cut off, then Prefect's server and
the head are killed, and all come back.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from ruamel.yaml import YAML

from stillhouse.flows.server import ask, settings
from tests.processes import free_port, until
from tests.projects import locked

pytestmark = pytest.mark.skipif("STILLHOUSE_TEST_NODES" not in os.environ, reason="takes two minutes: make test-nodes")
EPOCHS = 300
"""Enough for a kill in the middle."""


@pytest.fixture(scope="module")
def story(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What was seen, in one project, since each start of a server and a node takes seconds."""
    place = tmp_path_factory.mktemp("nodes")
    folder = _project(template, place / "project", place / "remote")
    alone = place / "alone"
    with pytest.MonkeyPatch.context() as patch:
        _surround(patch, place)
        _said(folder, "run", "prepare@rings")
        shutil.copytree(folder, alone, symlinks=True)
        address = f"http://127.0.0.1:{free_port()}/api"
        with _server(place, address) as server, _node(place, "first", address) as first, _node(place, "second", address) as second:
            patch.setenv("PREFECT_API_URL", address)
            told: dict[str, Any] = {"folder": folder, "place": place, "alone": alone}
            nodes = {"first": first, "second": second}
            until(lambda: all(_lives(said, name) for said in [_said(folder, "nodes")] for name in nodes), 60)
            head = _started(folder, "run", "--on", "nodes", "teach@rings")
            until(lambda: any((place / "remote/stillhouse").rglob("checkpoint*/**/*.safetensors")), 120)
            victim = next(name for name in nodes if f"on node {name}" in (folder / ".work/teach@rings/log.txt").read_text())
            _signal(nodes[victim], signal.SIGSTOP)
            told["other head"] = _tried(alone, "run", "--on", "nodes", "teach@rings")
            survivor = {"first": "second", "second": "first"}[victim]
            until(lambda: (found := _metrics(place / survivor)) and json.loads(found[-1])["epoch"], 120)
            for process in (server, head):
                _signal(process, signal.SIGKILL)
            until(lambda: any((place / "remote/stillhouse").rglob("results/*.json")), 240)
            told |= {"victim": victim, "survivor": survivor}
            with _server(place, address):
                told["nodes"] = until(lambda: said if _lives(said := _said(folder, "nodes"), survivor) else "", 60)
                told["elsewhere"] = _tried(folder, "run", "--force", "--on", "elsewhere", "teach@rings")
                told["code"], told["text"] = _tried(folder, "run", "--on", "nodes", "teach@rings")
                told["again"] = _said(folder, "run", "--on", "nodes", "teach@rings")
                _signal(nodes[victim], signal.SIGCONT)
                told["left"] = until(lambda: _open_runs(address) == 0 and "none", 60)
                until(lambda: not _stages(nodes[victim]), 60)
                told |= {"runs": _runs(folder)}
            del os.environ["PREFECT_API_URL"]
            _said(alone, "run", "teach@rings")
            yield told


def test_a_stage_whose_node_is_killed_goes_on_elsewhere_from_its_checkpoint(story):
    epochs = [json.loads(line)["epoch"] for line in _metrics(story["place"] / story["survivor"])]
    assert epochs[0] > 1
    assert epochs[-1] == EPOCHS


def test_a_node_that_comes_back_stops_what_is_no_longer_wanted(story):
    assert json.loads(_metrics(story["place"] / story["victim"])[-1])["epoch"] < EPOCHS


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
    assert _lives(story["nodes"], story["survivor"])


def test_what_no_node_can_be_asked_is_told(story):
    folder = story["folder"]
    code, text = _tried(folder, "run", "--force", "--on", "nodes", "teach@rings")
    assert code == 1
    assert "--on nodes - wanted a Prefect server that nodes can reach" in text
    code, text = story["elsewhere"]
    assert code == 1
    assert "no pool is named 'elsewhere'; there is nodes" in text
    code, text = _tried(folder, "node", "--head", "http://127.0.0.1:9/api", "--folder", str(story["place"] / "third"))
    assert code == 1
    assert "does not answer" in text


def _lives(table: str, node: str) -> bool:
    return any(line.startswith(f"{node} ") and " yes " in line for line in table.splitlines())


def _project(template: Path, folder: Path, remote: Path) -> Path:
    shutil.copytree(template, folder, symlinks=True)
    shutil.copy(template.parent / "mlflow.db", folder)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["teachers"]["rings"]["teach"]["fit"]["epochs"] = EPOCHS
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(params, file)  # not committed: nodes must get it as a patch
    subprocess.run([sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "store", str(remote)], cwd=folder, check=True)
    return folder


def _surround(patch: pytest.MonkeyPatch, place: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("STILLHOUSE_", "PREFECT_", "DVC_", "MLFLOW_"))]:
        patch.delenv(name)
    patch.setenv("DVC_SITE_CACHE_DIR", str(place / "site"))
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setenv("STILLHOUSE_BEAT_SECONDS", "1")
    patch.setenv("STILLHOUSE_PUSH_SECONDS", "0.2")
    patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name, value in settings(place).items():
        patch.setenv(name, value)


@contextmanager
def _server(place: Path, address: str) -> Iterator[subprocess.Popen[bytes]]:
    port = address.rpartition(":")[2].partition("/")[0]
    with _process(place, "server", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port) as process:
        until(lambda: _answers(address), 120)
        yield process


def _answers(address: str) -> bool:
    with suppress(Exception):
        ask(address)
        return True
    return False


@contextmanager
def _node(place: Path, name: str, address: str) -> Iterator[subprocess.Popen[bytes]]:
    words = ["stillhouse", "node", "--head", address, "--name", name, "--folder", str(place / name)]
    with _process(place, f"node-{name}", *words) as process:
        yield process


@contextmanager
def _process(place: Path, name: str, *module: str) -> Iterator[subprocess.Popen[bytes]]:
    with (place / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", *module], cwd=place, stdout=log, stderr=log)
    try:
        yield process
    finally:
        _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """To it and to all that it has started, as when its machine loses its power or its network."""
    for each in _family(process):
        with suppress(psutil.NoSuchProcess):
            each.send_signal(number)
    if number == signal.SIGKILL:
        process.wait()


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return []


def _stages(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [each for each in _family(node) if "stillhouse.flows.nodes.host" in " ".join(each.cmdline())]


def _started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "stillhouse", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _tried(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "stillhouse", *words], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def _said(folder: Path, *words: str) -> str:
    return _tried(folder, *words)[1]


def _metrics(home: Path) -> list[str]:
    paths = list(home.glob("projects/*/stages/teach@rings-*/.work/teach@rings/*/metrics.jsonl"))
    return paths[0].read_text().splitlines() if paths else []


def _open_runs(address: str) -> int:
    code = (
        "from stillhouse.flows.nodes.pool import Pool\n"
        "from prefect.client.schemas.objects import TERMINAL_STATES\n"
        "print(sum(run.state.type not in TERMINAL_STATES for run in Pool('nodes').client.read_flow_runs()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def _runs(folder: Path) -> list[tuple[str, str]]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return [(run.data.tags["dvc.stage"], run.info.status) for run in found if "dvc.stage" in run.data.tags]
