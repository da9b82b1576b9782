"""A head and nodes for tests: a project with a remote, Prefect's server, nodes and commands, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import yaml
from ruamel.yaml import YAML

from stillhouse.flows.server import ask, settings
from tests.processes import command_line, until


def lives(table: str, node: str) -> bool:
    """Whether a table of `stillhouse nodes` shows a node as alive."""
    return any(line.startswith(f"{node} ") and " yes " in line for line in table.splitlines())


def project(template: Path, folder: Path, remote: Mapping[str, str], epochs: int) -> Path:
    """A project with a default DVC remote of some options, and with that many epochs for its teacher."""
    shutil.copytree(template, folder, symlinks=True)
    shutil.copy(template.parent / "mlflow.db", folder)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["teachers"]["rings"]["teach"]["fit"]["epochs"] = epochs
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(params, file)  # not committed: nodes must get it as a patch
    words = [["add", "-d", "store", remote["url"]], *(["modify", "store", *option] for option in remote.items() if option[0] != "url")]
    for each in words:
        subprocess.run([sys.executable, "-m", "dvc", "remote", *each, "-q"], cwd=folder, check=True)
    return folder


def surround(patch: pytest.MonkeyPatch, place: Path) -> None:
    """An environment of this test alone, with quick signs of life and pushes."""
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
def server(place: Path, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Prefect's, until the end of the block."""
    port = address.rpartition(":")[2].partition("/")[0]
    with running(place, "server", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port) as process:
        until(lambda: answers(address), 300)
        yield process


def answers(address: str) -> bool:
    """Whether a server does."""
    with suppress(Exception):
        ask(address)
        return True
    return False


@contextmanager
def node(place: Path, name: str, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """One that takes stages, until the end of the block."""
    words = ["stillhouse", "node", "--head", address, "--name", name, "--folder", str(place / name)]
    with running(place, f"node-{name}", *words) as process:
        yield process


@contextmanager
def running(place: Path, name: str, *module: str) -> Iterator[subprocess.Popen[bytes]]:
    """A module that runs, until the end of the block."""
    with (place / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", *module], cwd=place, stdout=log, stderr=log)
    try:
        yield process
    finally:
        tell_all(process, signal.SIGKILL)


def tell_all(process: subprocess.Popen[bytes], number: int) -> None:
    """To it and to all that it has started, as when its machine loses its power or its network."""
    for each in family(process):
        with suppress(psutil.NoSuchProcess):
            each.send_signal(number)
    if number == signal.SIGKILL:
        process.wait()


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process and all that it has started."""
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return []


def stages(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The stages that run on a node."""
    return [each for each in family(node) if "stillhouse.flows.nodes.host" in " ".join(command_line(each))]


def started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """A command of ours that goes on."""
    return subprocess.Popen([sys.executable, "-m", "stillhouse", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def tried(folder: Path, *words: str) -> tuple[int, str]:
    """The exit status of a command of ours, and what it said."""
    done = subprocess.run([sys.executable, "-m", "stillhouse", *words], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def said(folder: Path, *words: str) -> str:
    """What a command of ours says."""
    return tried(folder, *words)[1]


def metrics(home: Path) -> list[str]:
    """The progress of the teacher on a node."""
    paths = list(home.glob("projects/*/stages/teach@rings-*/.work/teach@rings/*/metrics.jsonl"))
    return paths[0].read_text().splitlines() if paths else []


def open_runs(address: str) -> int:
    """How many runs Prefect's server has that have not ended."""
    code = (
        "from stillhouse.flows.nodes.pool import Pool\n"
        "from prefect.client.schemas.objects import TERMINAL_STATES\n"
        "print(sum(run.state.type not in TERMINAL_STATES for run in Pool('nodes').client.read_flow_runs()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def sent(stage: str) -> dict[int, str]:
    """Part of a stage -> the node to whose queue it was sent, of all runs that Prefect's server has."""
    code = (
        "import json, sys\n"
        "from stillhouse.flows.nodes.pool import Pool, job_of, node_of\n"
        "runs = [(job_of(run), node_of(run)) for run in Pool('nodes').client.read_flow_runs()]\n"
        "print(json.dumps([[job.number, node] for job, node in runs if job and job.stage == sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, stage], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def runs(folder: Path) -> list[tuple[str, str]]:
    """(stage, status) of MLflow's runs."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return [(run.data.tags["dvc.stage"], run.info.status) for run in found if "dvc.stage" in run.data.tags]
