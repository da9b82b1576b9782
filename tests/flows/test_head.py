"""`stillhouse up` and `stillhouse down`, with the real servers: on SQLite, used by a run, and on PostgreSQL."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from stillhouse.cli import doctor
from stillhouse.cli import head as command
from stillhouse.contracts.errors import UserError
from stillhouse.flows.head import databases, life, wishes
from stillhouse.flows.head.wishes import Wishes
from stillhouse.record import process, servers
from tests.pipelines import REPOSITORY, Project
from tests.postgresql import PASSWORD, postgresql
from tests.processes import alive, free_port, until

NEEDS = pytest.mark.skipif(
    wishes.importlib.util.find_spec("flask_wtf") is None, reason="MLflow's authentication is not installed: pip install 'Flask-WTF<2'"
)


def up(project: Project, **environment: str) -> subprocess.CompletedProcess[str]:
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    done = project.call("stillhouse", "up", *ports, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def ask(address: str, password: str = "", question: Any = None) -> Any:
    """The status if it is refused, else what a server says."""
    headers = {"Content-Type": "application/json"}
    if password:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{servers.USER}:{password}'.encode()).decode()}"
    body = json.dumps(question).encode() if question is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=20) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code


def numbers(folder: Path) -> list[int]:
    """The process ids of the servers."""
    return [int(name.split("/")[-2]) for each in servers.read(folder).values() for name in each.processes]


def _answer(folder: Path) -> bool:
    """Whether both servers of a project do."""
    with suppress(OSError):
        return all(urllib.request.urlopen(f"{each.address}/health", timeout=5) for each in servers.read(folder).values())
    return False


def listening(pids: list[int]) -> set[str]:
    """The addresses of this machine where some processes listen."""
    connections = [each for pid in pids for each in psutil.Process(pid).net_connections() if each.status == psutil.CONN_LISTEN]
    return {each.laddr.ip for each in connections}


@pytest.fixture
def served(done: Project) -> Iterator[Project]:
    """A project whose servers are ended in any case; its stages do no work, its tracker is the real one."""
    shutil.copy(REPOSITORY / "stillhouse/tracking/__main__.py", done.folder / "stillhouse/tracking/__main__.py")
    yield done
    life.down(done.folder)


@NEEDS
def test_what_up_starts_is_used_by_a_run_and_ended_by_down(served):
    first, folder = up(served), served.folder
    known, token = servers.read(folder), servers.token(folder)
    mine = numbers(folder)
    assert first.stdout.count("(started)") == 2
    assert "only this machine reaches them" in first.stdout
    assert life.up(folder, Wishes()) == {"prefect": False, "mlflow": False}, "other ports are no reason to start others"
    assert (numbers(folder), listening(mine)) == (mine, {"127.0.0.1"})
    assert "Prefect's server at http://127.0.0.1:" in doctor.head(folder)

    assert (folder / servers.TOKEN).stat().st_mode & 0o777 == 0o600
    assert not [log for log in (folder / servers.FOLDER).glob("*.log") if token in log.read_text()]
    assert token not in first.stdout + subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    prefect = f"{known['prefect'].address}/flow_runs/filter"
    mlflow = f"{known['mlflow'].address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=stillhouse"
    assert [ask(prefect, word, {}) for word in ("", "wrong")] == [401, 401]
    assert [ask(mlflow, word) for word in ("", "wrong")] == [401, 401]
    stranger = {"PREFECT_API_URL": known["prefect"].address, "PREFECT_API_AUTH_STRING": "stillhouse:wrong"}
    refused = served.call("stillhouse", "node", "--head", known["prefect"].address, "--folder", str(folder / "node"), **stranger)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "does not let this machine in (401): set PREFECT_API_AUTH_STRING" in refused.stderr

    served.set("students.half.evaluate", {"evaluations": []})
    ran = served.call("stillhouse", "run", "evaluate@half")
    assert (ran.returncode, ran.stderr, f"MLflow: {known['mlflow'].address}" in ran.stdout) == (0, "", True)
    assert [run["state"]["type"] for run in ask(prefect, token, {})] == ["COMPLETED"]
    found = {"experiment_ids": [ask(mlflow, token)["experiment"]["experiment_id"]]}
    [run] = ask(f"{known['mlflow'].address}/api/2.0/mlflow/runs/search", token, found)["runs"]
    assert run["info"]["status"] == "FINISHED"

    os.kill(mine[0], signal.SIGKILL)  # the first one of MLflow's, which leaves its worker
    until(lambda: servers.dead(folder))
    with pytest.raises(UserError, match=r"^MLflow's server of this project has ended: `stillhouse up` starts it again"):
        doctor.head(folder)
    down = served.call("stillhouse", "down").stdout
    assert down == "Prefect's server has ended\nMLflow's server had ended already\n"
    assert not [pid for pid in mine if alive(pid)]
    assert life.down(folder) == {}


@NEEDS
def test_both_servers_keep_their_tables_in_one_database_of_postgresql(served):
    """Meanwhile the command stays, and starts again what dies."""
    with postgresql() as address:
        ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
        staying = served.start("stillhouse", "up", "--stay", *ports, STILLHOUSE_DATABASE=address)
        until(lambda: len(servers.read(served.folder)) == 2 and _answer(served.folder), 120)
        known, token = servers.read(served.folder), servers.token(served.folder)
        assert ask(f"{known['prefect'].address}/work_pools/", token, {"name": "boxes", "type": "process"})["name"] == "boxes"
        made = ask(f"{known['mlflow'].address}/api/2.0/mlflow/experiments/create", token, {"name": "mine"})
        assert made["experiment_id"]
        import psycopg

        with psycopg.connect(address) as connection:
            pools = connection.execute("select name from prefect.work_pool").fetchall()
            experiments = connection.execute("select name from mlflow.experiments order by name").fetchall()
        assert (pools, experiments) == ([("boxes",)], [("Default",), ("mine",)])
        files = [path for path in (served.folder / servers.FOLDER).iterdir() if PASSWORD in path.read_bytes().decode(errors="replace")]
        first = numbers(served.folder)[0]
        os.kill(first, signal.SIGKILL)
        until(lambda: numbers(served.folder)[0] != first and _answer(served.folder), 120)
        staying.terminate()
        said = staying.communicate(timeout=60)[0]
        assert (files, PASSWORD in said, staying.returncode, servers.read(served.folder)) == ([], False, 0, {})


def test_an_address_of_postgresql_is_spelled_for_each_server():
    address = "postgresql://anna:p%40ss@db:5432/runs?sslmode=require"
    assert databases.for_prefect(address)["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == address.replace("postgresql:", "postgresql+asyncpg:")
    spelled = databases.for_mlflow(address)
    assert spelled == address.replace("postgresql:", "postgresql+psycopg:") + "&options=-csearch_path%3Dmlflow"
    with pytest.raises(UserError, match=r"mysql://\*\*\*@db/runs - wanted postgresql://"):
        databases.prepare("mysql://anna:secret@db/runs", "mlflow")


def test_what_others_reach_asks_for_the_token():
    with pytest.raises(UserError, match=r"--no-authentication with --host 0.0.0.0: servers that others can reach must ask"):
        wishes.check(Wishes(host="0.0.0.0", authentication=False))
    wishes.check(Wishes(authentication=False))
    assert [wishes.is_local(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.7", "head.example")] == [True] * 3 + [
        False
    ] * 3
    assert Wishes().host == "127.0.0.1"


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path):
    with wishes.socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"127.0.0.1:{port} - wanted a free port of this machine - .* choose another --mlflow-port"):
            life.up(tmp_path, Wishes(prefect_port=free_port(), mlflow_port=port, authentication=False))
    assert servers.read(tmp_path) == {}


def test_the_line_for_a_node_names_the_file_of_the_token_and_not_the_token(tmp_path):
    """Where others reach the servers; else the line says how they could."""
    address = Wishes(host="0.0.0.0", known_as="box.example").public
    server = servers.Server("http://127.0.0.1:4200/api", f"http://{address}:4200/api", (), True)
    words, line = command._more(tmp_path, server)
    assert words == f"user stillhouse, password in {tmp_path / servers.TOKEN}"
    assert line.endswith('PREFECT_API_AUTH_STRING="stillhouse:$(cat token)" stillhouse node --head http://box.example:4200/api')


def test_a_server_that_has_ended_is_told_with_the_remedy_by_every_command(done):
    dead = servers.Server("http://127.0.0.1:9", "http://127.0.0.1:9", (process.identity(1).rpartition("/")[0] + "/1.00",), False)
    servers.write(done.folder, {"mlflow": dead})
    told = done.call("stillhouse", "plan")
    assert (told.returncode, told.stderr) == (0, f"warning: MLflow's server of this project has ended: {servers.REMEDY}\n")


def test_a_process_that_got_the_number_of_a_server_is_left_alone(tmp_path):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        *name, _ = process.identity(stranger.pid).rsplit("/", 1)
        servers.write(tmp_path, {"mlflow": servers.Server("http://x", "http://x", ("/".join([*name, "1.00"]),), False)})
        assert life.down(tmp_path) == {"mlflow": False}
        assert alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_what_the_reader_has_named_wins(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {"MLFLOW_TRACKING_URI": "http://elsewhere"})
    known = {name: servers.Server(f"http://{name}", f"http://{name}", ("host/boot/1/1.00",), True) for name in ("prefect", "mlflow")}
    servers.write(tmp_path, known)
    with pytest.raises(UserError, match=r"token - wanted the token of this project's servers - No such file"):
        servers.join(tmp_path)
    (tmp_path / servers.TOKEN).write_text("word\n")
    os.environ.clear()
    os.environ["MLFLOW_TRACKING_URI"] = "http://elsewhere"
    servers.join(tmp_path)
    assert os.environ == {
        "MLFLOW_TRACKING_URI": "http://elsewhere",
        "PREFECT_API_URL": "http://prefect",
        "PREFECT_API_AUTH_STRING": "stillhouse:word",
        servers.JOINED: str(tmp_path.resolve()),
    }


def test_a_run_goes_on_without_a_server_of_the_project_that_is_away(tmp_path, monkeypatch):
    from threading import Event

    from stillhouse.flows import server

    monkeypatch.setattr(os, "environ", {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", servers.JOINED: str(tmp_path)})
    with server.server(tmp_path) as serving:
        assert (serving.own, serving.lives()) == (False, False)
        with pytest.raises(UserError, match=r"does not answer .*`stillhouse up` starts it again"):
            serving.wait(Event())
