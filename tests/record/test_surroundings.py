"""Machines that do not know their user, and folders of other users: real ones, which only root can make."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.record import surroundings

NOBODY, OTHER = 54321, 54322
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can be somebody else")


def test_who_has_no_name_and_no_home_gets_them(monkeypatch: pytest.MonkeyPatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(NOBODY)
            surroundings.complete()
            os._exit(0 if (getpass.getuser(), os.environ["HOME"]) == (f"user-{NOBODY}", "/") else 1)
        except BaseException:
            os._exit(70)
    assert os.waitpid(pid, 0)[1] == 0


def test_what_is_set_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    monkeypatch.setenv("LOGNAME", "anna")
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.delenv("USER", raising=False)
    surroundings.complete()
    assert (os.environ["LOGNAME"], os.environ.get("USER"), os.environ["HOME"]) == ("anna", None, "/home/anna")


def as_user(number: int, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user id that the system does not know, without a home, who can read everything and write what is their own."""
    rights = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "--bounding-set", "-all,+dac_read_search"]
    command = ["setpriv", "--reuid", str(number), "--regid", str(number), "--clear-groups", *rights, sys.executable, "-m", *words]
    environment = {name: value for name, value in os.environ.items() if name not in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_user_without_name_and_home_plans_and_another_one_is_told_in_one_sentence(project: Path):
    place = Path(os.environ["DVC_SITE_CACHE_DIR"])
    place.mkdir(exist_ok=True)
    for path in (project, *project.rglob("*"), place):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    mine = as_user(NOBODY, project, "stillhouse", "plan", "rings")
    assert (mine.returncode, mine.stderr) == (3, "")
    theirs = as_user(OTHER, project, "stillhouse", "plan", "rings")
    assert (theirs.returncode, theirs.stdout, len(theirs.stderr.splitlines())) == (1, "", 1)
    assert f"wanted a place that user {OTHER} can write to - Permission denied - work in a folder of your own" in theirs.stderr
    # For root everything can be written, but git does not trust the folder: a stage says so and makes nothing.
    stage = subprocess.run([sys.executable, "-m", "stillhouse.stages", "prepare", "rings"], capture_output=True, text=True, check=False)
    assert (stage.returncode, len(stage.stderr.splitlines())) == (2, 1)
    assert 'git says "fatal: detected dubious ownership in repository' in stage.stderr
    assert not (project / "data/rings/prepared").exists()
    assert not list((project / ".work/outbox").glob("*"))
    for verb in ("lineage", "reproduce"):
        asked = subprocess.run([sys.executable, "-m", "stillhouse", verb, "rings"], capture_output=True, text=True, check=False)
        assert (asked.returncode, asked.stdout, len(asked.stderr.splitlines())) == (1, "", 1), asked.stderr
        assert 'git says "fatal: detected dubious ownership in repository' in asked.stderr


@pytest.mark.parametrize("name", ["dvc.lock", "data", ".dvc/cache/files/md5/ab"])
def test_what_a_run_could_not_write_at_its_end_is_told_before_it_begins(name: str, project: Path):
    for path in (folder := project / ".dvc/cache/files/md5/ab", site := Path(os.environ["DVC_SITE_CACHE_DIR"])):
        path.mkdir(parents=True, exist_ok=True)
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    for path in (project, *project.rglob("*"), site, *folder.parents[:3]):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    (project / name).chmod(0o555)
    done = as_user(NOBODY, project, "stillhouse", "run", "rings")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert f"{name} - wanted a place that user {NOBODY} can write to - Permission denied" in done.stderr
    assert not (project / "data/rings/prepared").exists()


def test_warnings_of_libraries_end_nothing():
    """In a process of its own, whose filters are Python's."""
    code = "from stillhouse.record import surroundings; surroundings.complete(); import warnings; warnings.warn('old', DeprecationWarning)"
    command = [sys.executable, "-c", f"{code}; warnings.warn('mine')"]
    done = subprocess.run(command, env={**os.environ, "PYTHONWARNINGS": "error"}, text=True, capture_output=True, check=False)
    assert (done.returncode, "UserWarning: mine" in done.stderr, "old" in done.stderr) == (0, True, False)
