"""What nodes cost and save: two students one after the other and side by side, on this machine's cores and on one and two local nodes.

A project of its own has the toy workload and two students that train for about a minute each, so that what is compared is training above
all: what a stage costs beside it is a row of its own. Each round gives both a new weight of their loss, so that distillation, evaluation
and table are made again, in each of the ways in turn. Servers are those of `stillhouse up`; a node has one core.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import yaml

from benchmarks import stage_cost
from benchmarks._engines import port, running

name = "nodes"
expected_seconds = 1000
settings = {"rounds": 2, "epochs": 8000}

ROOT = Path(__file__).parents[1]
ONE, TWO = "in turn on this machine", "side by side on this machine"
ONE_NODE, TWO_NODES = "on one node", "on two nodes"
WAYS = {ONE: ["--jobs", "1"], TWO: ["--jobs", "2"], ONE_NODE: ["--on", "one"], TWO_NODES: ["--on", "two"]}
BESIDE = {TWO: ONE, TWO_NODES: ONE_NODE}
"""The way that a way is compared with."""
NOTHING = "a run where nothing is due"
IDLE = {"on this machine": [], "with --on": ["--on", "two"]}
ON_A_NODE = "a stage on a node"
STAGES = 4
"""Of a way, those that run on nodes: two are distilled, two evaluated."""
POOLS = {"one": ("a",), "two": ("b", "c")}


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """Seconds of each way and its ratio to the one without a neighbour; seconds from a stage's submission to its first line."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Path(folder) / "project"
        _set_up(place)
        stack.enter_context(_serving(place))
        rounds = [_round(place, number) for number in range(settings["rounds"])]
        idle = [row for way, words in IDLE.items() for row in _rows(way, [_idle(place, way, words) for _ in range(3)], NOTHING)]
        waits = _waits(place)
    rows = [row for way in WAYS for row in _rows(way, rounds)]
    more = [{"more than at home": (turn[ONE_NODE] - turn[ONE]) / STAGES} for turn in rounds]
    first = [{"from submission to its first line": seconds} for seconds in waits]
    beside = [row for found in (more, first) for row in _rows(next(iter(found[0])), found, ON_A_NODE)]
    return [*rows, *idle, *beside]


def _set_up(place: Path) -> None:
    stage_cost.set_up(place)
    subprocess.run([sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "store", str(place.parent / "remote")], cwd=place, check=True)
    _write(place, 0)
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qam", "two students"]
    subprocess.run(command, cwd=place, check=True)
    _command(place, "run", "search@first", "search@second")


def _write(place: Path, number: int) -> None:
    """Two students that differ in their weights alone."""
    params = yaml.safe_load((ROOT / "tests/tiny/params.yaml").read_text())
    half = params["students"]["half"]
    half["distill"]["fit"]["epochs"] = settings["epochs"]
    params["students"] = {}
    for place_of, student in enumerate(("first", "second")):
        losses = [{**loss, "weight": 2.0 + 2 * number + place_of} for loss in half["distill"]["losses"]]
        params["students"][student] = {**half, "distill": {**half["distill"], "losses": losses}}
    (place / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _round(place: Path, number: int) -> dict[str, float]:
    found = {}
    for step, (way, words) in enumerate(WAYS.items()):
        _write(place, 1 + number * len(WAYS) + step)
        began = time.perf_counter()
        _command(place, "run", *words)
        found[way] = time.perf_counter() - began
    return found


def _idle(place: Path, way: str, words: list[str]) -> dict[str, float]:
    began = time.perf_counter()
    said = _command(place, "run", *words)
    if "nothing to do" not in said:
        raise RuntimeError(f"something was due: {said}")
    return {way: time.perf_counter() - began}


def _command(place: Path, *words: str) -> str:
    """What a command of ours prints. Raises RuntimeError if it fails."""
    command = [sys.executable, "-m", "stillhouse", *words]
    done = subprocess.run(command, cwd=place, env=_environment(place), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def _serving(place: Path) -> Iterator[None]:
    """The servers of the project, and the nodes of both pools."""
    ports = [str(port()) for _ in range(2)]
    _command(place, "up", "--prefect-port", ports[0], "--mlflow-port", ports[1])
    token = (place / ".work/servers/token").read_text().strip()
    secret = {"PREFECT_API_AUTH_STRING": f"stillhouse:{token}"}
    with ExitStack() as stack:
        stack.callback(_command, place, "down")
        for pool, names in POOLS.items():
            for node in names:
                options = ["--head", f"http://127.0.0.1:{ports[0]}/api", "--pool", pool, "--name", node, "--cores", "1"]
                command = [sys.executable, "-m", "stillhouse", "node", *options, "--folder", str(place.parent / node)]
                stack.enter_context(running(command, place, _environment(place) | secret, f"{node}.log"))
        _until_there(place)
        yield


def _until_there(place: Path) -> None:
    deadline = time.monotonic() + 120
    while sum(_nodes(place, pool).count(" yes ") for pool in POOLS) < sum(map(len, POOLS.values())):
        if time.monotonic() > deadline:
            raise RuntimeError("the nodes do not come")
        time.sleep(1)


def _nodes(place: Path, pool: str) -> str:
    """ "" while there is no such pool yet."""
    with suppress(RuntimeError):
        return _command(place, "nodes", "--pool", pool)
    return ""


def _waits(place: Path) -> list[float]:
    """From the creation of each run of a stage to the first line that it said, by the clock of this machine."""
    code = (
        "from stillhouse.record import servers; from pathlib import Path; servers.join(Path())\n"
        "from stillhouse.flows.nodes.pool import Pool, job_of\n"
        "from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId\n"
        "client = Pool('two').client\n"
        "for run in client.read_flow_runs():\n"
        "    if job_of(run):\n"
        "        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))\n"
        "        print((min(log.timestamp for log in logs) - run.created).total_seconds())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, env=_environment(place), capture_output=True, text=True, check=True)
    return [float(line) for line in done.stdout.splitlines()]


def _environment(place: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path, "DVC_SITE_CACHE_DIR": str(place.parent / "site")}


def _rows(way: str, rounds: list[dict[str, float]], data: str = "two students, distilled and evaluated") -> list[dict[str, Any]]:
    times = [turn[way] for turn in rounds]
    row = {"set": data, "method": way, "seeds": len(times)}
    rows = [row | {"metric": "seconds", "mean": mean(times), "sd": stdev(times)}]
    if beside := BESIDE.get(way):
        ratios = [turn[way] / turn[beside] for turn in rounds]
        rows.append(row | {"metric": f"times {beside} (median)", "mean": median(ratios), "sd": stdev(ratios)})
    return rows
