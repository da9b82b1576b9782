"""How long the start of Prefect's server is waited for, and what is said if it fails; a small server stands in for it."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import urllib.request
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event, Thread

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows import server
from tests.connections import SILENCED

SLOW = """
import http.server, sys, time
end = time.monotonic() + 2.5
while time.monotonic() < end: pass
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""
STUCK = "import time; print('the database is locked', flush=True); time.sleep(60)"
BANNER = "art\n\nCheck out the dashboard at http://127.0.0.1:1\n\n\n"


def wait(code: str, folder: Path) -> None:
    port = server._free_port()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code, str(port)], stdout=log, stderr=log)
    try:
        server._wait(process, f"http://127.0.0.1:{port}/api", folder, Event())
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def _impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(server, "STILL", 1.5)


def test_a_server_that_still_computes_is_waited_for(tmp_path):
    wait(SLOW, tmp_path)


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def test_a_named_server_is_not_waited_for_once_it_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with http.server.HTTPServer(("127.0.0.1", 0), Healthy) as healthy:
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{healthy.server_port}/api"
        Thread(target=healthy.serve_forever).start()
        with server.server(tmp_path) as serving:
            alive = serving.lives()
            healthy.shutdown()
            healthy.server_close()
            assert (serving.own, alive, serving.lives()) == (False, True, False)
    with pytest.raises(UserError, match=r"does not answer .*: start that server, or unset PREFECT_API_URL$"), server.server(tmp_path):
        pass


def test_a_named_server_that_is_busy_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine where much runs, Prefect's has taken more than ten seconds to say that it is well."""

    def after_half_a_minute(address: str, timeout: float) -> AbstractContextManager[None]:
        if timeout < 30:
            raise TimeoutError("timed out")
        return nullcontext()

    monkeypatch.setattr(os, "environ", {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:1/api"})
    monkeypatch.setattr(urllib.request, "urlopen", after_half_a_minute)
    with server.server(tmp_path) as serving:
        assert not serving.own


def test_prefect_counts_nobody_where_the_reader_has_not_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SILENCED:
        monkeypatch.delenv(name, raising=False)
    code = "from prefect._internal.analytics.enabled import is_telemetry_enabled as enabled; print(enabled())"
    said = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **more}, capture_output=True, text=True, check=True).stdout.strip()
        for more in ({}, server.settings(tmp_path))
    ]
    assert said == ["True", "False"], "the first shows that this machine alone would not silence it"


def test_a_folder_of_prefect_that_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(
        UserError, match=r"^PREFECT_HOME is .*home - wanted a folder to write to - Not a directory: unset it, or name another$"
    ):
        server._start(tmp_path, 1)


def test_one_that_does_nothing_is_given_up_with_its_last_words(tmp_path):
    with pytest.raises(UserError, match=r"Prefect's server does not start: the database is locked \(see "):
        wait(STUCK, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [(BANNER, "it said nothing"), (f"{BANNER}port in use\n\n", "port in use"), ("no module\n", "no module"), ("", "it said nothing")],
)
def test_the_last_words_of_a_server_are_not_its_banner(tmp_path, text, words):
    (tmp_path / "server.log").write_text(text)
    assert server.last_words(tmp_path / "server.log") == words
