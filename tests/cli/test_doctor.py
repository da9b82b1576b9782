"""Each check: what it says when all is well, and what to do when it is not."""

from __future__ import annotations

import http.server
import threading

import pytest

from stillhouse.cli import doctor
from stillhouse.contracts.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")


def test_prefects_server_imports_with_what_is_installed(tmp_path):
    """The pair that no resolver checks; the tracker's server is the other one that an update may break."""
    assert doctor.servers(tmp_path) == "Prefect's server imports"
    assert doctor._python(tmp_path, "-W", "ignore", "-c", "import mlflow.server") == ""


def test_a_server_that_does_not_import_names_the_pair_to_install(tmp_path, monkeypatch):
    (tmp_path / "prefect.py").write_text("raise TypeError('Body() got an unexpected keyword argument')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match=r"pip install 'fastapi>=0.139,<0.151' \(TypeError: Body\(\) got an unexpected"):
        doctor.servers(tmp_path)


def test_versions_are_told_and_a_missing_package_too(tmp_path, monkeypatch):
    assert "dvc 3." in doctor.versions(tmp_path)
    monkeypatch.setattr(doctor, "PACKAGES", ("dvc", "no-such-package"))
    with pytest.raises(UserError, match="no-such-package is not installed: pip install"):
        doctor.versions(tmp_path)


def test_git_wants_a_commit(done, tmp_path):
    assert doctor.git(done.folder).startswith("at ")
    with pytest.raises(UserError, match="this folder has no Git commit: git init"):
        doctor.git(tmp_path)


def test_the_pipeline_is_counted_or_its_mistake_told(done):
    assert doctor.pipeline(done.folder) == "11 stages, 0 to run"
    (done.folder / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(UserError, match="teachers"):
        doctor.pipeline(done.folder)


def test_the_settings_are_checked_by_the_stages(done):
    assert doctor.settings(done.folder) == "every block of params.yaml is valid"
    (done.folder / "wrong").touch()
    with pytest.raises(UserError, match=r"params.yaml: seed - is wrong"):
        doctor.settings(done.folder)


def test_a_cache_that_copies_is_a_problem(done):
    assert "hardlink" in doctor.cache(done.folder)
    done.call("dvc", "config", "cache.type", "copy")
    with pytest.raises(UserError, match=r"cache.type is copy, .*dvc config cache.type reflink,hardlink,symlink,copy"):
        doctor.cache(done.folder)


def test_a_tracker_that_is_away_is_a_problem(done):
    assert "nothing waits" in doctor.tracker(done.folder)
    refused = done.folder / ".work/refused"
    refused.mkdir()
    (refused / "teach.json").write_text("{")
    (refused / "teach.txt").write_text("ConnectionError: first\nValidationError: last\n")
    with pytest.raises(
        UserError, match=r"1 records were refused 5 times and are set aside, .*teach.json for one \(ValidationError: last\)"
    ):
        doctor.tracker(done.folder)
    (done.folder / "stillhouse/tracking/__main__.py").write_text("import sys; sys.exit('warning: the tracker is away')")
    with pytest.raises(UserError, match="warning: the tracker is away: is MLFLOW_TRACKING_URI right"):
        doctor.tracker(done.folder)


def test_prefects_api_answers_where_one_is_named(tmp_path, monkeypatch):
    assert "every run starts its own server" in doctor.scheduler(tmp_path)
    with http.server.HTTPServer(("127.0.0.1", 0), Healthy) as server:
        address = f"http://127.0.0.1:{server.server_port}/api"
        monkeypatch.setenv("PREFECT_API_URL", address)
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert doctor.scheduler(tmp_path) == f"{address} answers"
    with pytest.raises(UserError, match=r"does not answer .* start that server, or unset PREFECT_API_URL"):
        doctor.scheduler(tmp_path)


class Healthy(http.server.BaseHTTPRequestHandler):
    """Says yes to everything, and nothing to the terminal."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_every_check_has_a_line_and_one_problem_is_enough(tmp_path, capsys, monkeypatch):
    def broken(folder):
        raise UserError(f"{folder.name} is broken: mend it")

    monkeypatch.setattr(doctor, "CHECKS", {"first": lambda folder: "fine", "second": broken})
    assert doctor.main(tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == ["OK      first: fine", f"problem second: {tmp_path.name} is broken: mend it"]
    monkeypatch.setattr(doctor, "CHECKS", {"first": lambda folder: "fine"})
    assert doctor.main(tmp_path) == 0


def test_a_check_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "PATIENCE", 0.2)
    with pytest.raises(UserError, match=r"no answer within 0.2 s from sleep 60"):
        doctor._run(tmp_path, "sleep", "60")
