"""Trackers that do what no tracker should: each contact ends in time, and nothing is lost."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stillhouse.record import deadline
from stillhouse.record import outbox as record_outbox
from stillhouse.tracking import outbox
from tests.projects import tell
from tests.tracking.test_registration import Make, distilled
from tests.tracking.test_tracking import record, waiting

__all__ = ["distilled"]
# The limit may ring while Python collects garbage, where every exception is swallowed; a second later it rings again.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def trickle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
    while True:
        connection.sendall(b" ")
        time.sleep(0.2)


def silent(connection: socket.socket) -> None:
    time.sleep(300)


def nonsense(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\xff\x00nonsen")


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that takes every connection and does the same with each."""

    def one(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            answer(connection)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answer", [trickle, silent, nonsense])
def test_a_contact_ends_in_time_and_the_lock_is_free(project: Path, answer: Any, runs: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setenv(deadline.VARIABLE, "1")
    record_outbox.leave(project, record())
    began = time.monotonic()
    with listening(answer) as address, monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        assert not outbox.sync(project)
    assert time.monotonic() - began < 30
    assert capsys.readouterr().err.startswith("warning: the tracker is away; records wait in .work/outbox (")
    assert not (project / record_outbox.REFUSED).exists(), "it is no fault of the record's"
    assert [run.info.status for run in runs()] == ["FINISHED", "FINISHED"]


def test_a_whole_run_ends_in_time_and_prints_no_password(project: Path, start: Callable[..., subprocess.Popen[str]]):
    with listening(trickle) as address:
        secret = address.replace("://", "://anna:s3cr3t@")
        flow = start("stillhouse", "run", "prepare@rings", MLFLOW_TRACKING_URI=secret, **{deadline.VARIABLE: "1"})
        printed = flow.communicate(timeout=120)[0]
    assert flow.returncode == 0, printed
    assert "warning: the tracker is away; records wait in .work/outbox (TooLate: no end within 1 s)" in printed
    assert f"MLflow: {address.replace('://', '://***@')}" in printed
    assert len(waiting(project)) == 2, "the stage and the end of the execution"
    kept = [path for path in (project / ".work").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"s3cr3t" in path.read_bytes()]
    assert "s3cr3t" not in printed


def bad(**changes: Any) -> Any:
    return record("bad@x", tags={"dvc.stage": "bad@x", "dvc.fingerprint": "f" * 64, "": "a tag without a name"}, **changes)


def test_what_is_refused_again_and_again_is_set_aside_and_the_others_go_on(project: Path, runs: Any, capsys: pytest.CaptureFixture[str]):
    record_outbox.leave(project, bad(id="1" * 32))
    broken, newer = (project / record_outbox.FOLDER / f"{name}.json" for name in ("broken", "newer"))
    broken.write_text('{"id": ')
    record_outbox.leave(project, record(id="2" * 32))
    told = json.loads((project / record_outbox.FOLDER / f"teach@rings-{'f' * 64}-22222222.json").read_text())
    newer.write_text(json.dumps({**told, "id": "3" * 32, "of_tomorrow": 1}))
    for _ in range(record_outbox.TRIES - 1):
        assert not outbox.sync(project)
        assert len(waiting(project)) == 3, "the good one is told at once"
    assert not record_outbox.aside(project)
    assert outbox.sync(project)
    assert "it is set aside in .work/refused" in capsys.readouterr().err
    reasons = {path.name: reason for path, reason in record_outbox.aside(project).items()}
    assert list(reasons) == [f"bad@x-{'f' * 64}-11111111.json", "broken.json", "newer.json"]
    assert all(reason.partition(":")[0] in ("MlflowException", "ValidationError") for reason in reasons.values())
    for path in list(record_outbox.aside(project))[:1]:
        path.rename(project / record_outbox.FOLDER / path.name)
    assert outbox.sync(project), "one try more, and then it is aside again"
    assert [run.info.run_name for run in runs() if run.info.status == "FINISHED" and "dvc.stage" in run.data.tags] == ["teach@rings"]


def test_while_a_model_is_uploaded_another_process_tells_metrics(
    project: Path, distilled: Make, runs: Any, monkeypatch: pytest.MonkeyPatch
):
    from mlflow import MlflowClient

    upload, seen = MlflowClient.log_model_artifacts, []

    def slow(client: Any, model_id: str, local_dir: str, *more: Any) -> None:
        if (Path(local_dir) / "code").exists():  # not the note that an external model has
            record_outbox.leave(project, record("search@half", output=None))
            command = ["python", "-W", "ignore", "-m", "stillhouse.tracking", "sync"]
            seen.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
            command.append("--no-wait")
            seen.append(subprocess.run(command, capture_output=True, text=True, check=False, timeout=60))
            seen.append({run.info.run_name for run in client.search_runs([client.get_logged_model(model_id).experiment_id])})
        upload(client, model_id, local_dir, *more)

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", slow)
    tell(project, distilled())
    patient, other, names = seen
    assert (other.returncode, other.stderr) == (1, ""), "the student is not registered yet"
    assert other.stdout.startswith("another process is uploading a model")
    assert {"search@half", "distill@half"} < names
    assert patient.wait(60) == 0, "it waited until the student was registered: " + patient.stdout.read()
    assert waiting(project) == []
    assert [version.tags["bytes"] for version in MlflowClient().search_model_versions("name = 'half'")] == ["stored"]


def test_one_that_takes_too_long_lets_others_go_first(project: Path, monkeypatch: pytest.MonkeyPatch):
    from mlflow import MlflowClient

    monkeypatch.setenv(deadline.VARIABLE, "1.5")
    record_outbox.leave(project, record("search@half", id="1" * 32, output=None))
    record_outbox.leave(project, record("search@third", id="2" * 32, output=None))
    told = MlflowClient.create_run

    def slow(client: Any, experiment: str, started: int, tags: Any, name: str) -> Any:
        if name == "search@half":
            time.sleep(60)
        return told(client, experiment, started, tags, name)

    monkeypatch.setattr(MlflowClient, "create_run", slow)
    assert not outbox.sync(project)
    assert not outbox.sync(project)
    assert [path.name[:11] for path in record_outbox.waiting(project)] == ["search@half"]
