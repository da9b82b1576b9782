"""What nodes share lies in a real DVC remote, whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.record.remote import Remote, Unreachable, configure, moved
from tests.sshd import served


def dvc(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module", params=["folder", "ssh"])
def pushed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository that has pushed a folder of two files, to another folder or through an SSH server."""
    place = tmp_path_factory.mktemp("remote")
    folder = place / "here"
    (folder / "data").mkdir(parents=True)
    (folder / "data/a.txt").write_text("a")
    (folder / "data/b.txt").write_text("b")
    dvc(folder, "init", "-q", "--no-scm")
    with served(place / "ssh") if request.param == "ssh" else nullcontext({"url": "../store"}) as options:
        dvc(folder, "remote", "add", "-q", "-d", "store", options["url"])
        for name in options.keys() - {"url"}:
            dvc(folder, "remote", "modify", *["--local"] * (name == "keyfile"), "store", name, options[name])
        dvc(folder, "add", "-q", "data")
        dvc(folder, "push", "-q")
        yield place


def test_files_come_and_go_under_their_names(pushed: Path, tmp_path: Path):
    remote = Remote(pushed / "here", "project")
    (tmp_path / "file").write_text("text")
    remote.put(tmp_path / "file", "texts/one")
    remote.put(tmp_path / "file", "texts/inner/two")
    assert remote.has("texts/one")
    assert not remote.has("texts/two")
    assert remote.names("texts") == ["inner/two", "one"]
    remote.get("texts/inner/two", tmp_path / "new/place")
    assert (tmp_path / "new/place").read_text() == "text"
    remote.remove("texts/one")
    assert remote.names("texts") == ["inner/two"]
    remote.remove("texts")
    assert remote.names("texts") == []
    assert remote.names("nothing") == []
    assert Remote(pushed / "here", "other").names("") == []


def test_another_machine_has_the_same_remote_and_gets_folders_whole(pushed: Path):
    settings = Remote(pushed / "here", "project").settings
    assert settings["name"] == "store"
    assert settings["url"] in (str(pushed / "store"), f"ssh://127.0.0.1{pushed / 'ssh/store'}")
    assert "keyfile" not in settings
    there = pushed / "there"
    there.mkdir()
    configure(there, settings, there / "cache")
    if "port" in settings:  # each machine has its own key
        dvc(there, "remote", "modify", "--local", "store", "keyfile", str(pushed / "ssh/user"))
    md5 = next(line.split()[-1] for line in (pushed / "here/data.dvc").read_text().splitlines() if "md5:" in line)
    Remote(there, "project").fetch({"data": md5})
    assert sorted(path.read_text() for path in (there / "cache/files/md5").rglob("*") if path.is_file() and path.suffix != ".dir") == [
        "a",
        "b",
    ]
    shutil.copy(pushed / "here/data.dvc", there)
    assert moved(there, "pull", ["data.dvc"])
    assert (there / "data/a.txt").read_text() == "a"
    store = pushed / ("ssh/store" if "port" in settings else "store")
    shutil.rmtree(store / "files")
    assert moved(there, "push", ["data.dvc"])
    assert len([path for path in (store / "files").rglob("*") if path.is_file()]) == 3
    assert not moved(there, "push", ["other.dvc"])


def test_a_kind_of_remote_that_is_not_installed_is_told(tmp_path: Path):
    configure(tmp_path, {"name": "store", "url": "webdavs://box/store"})
    with pytest.raises(UserError, match=r"wanted a remote that this machine can use - webdavs .*'dvc-webdav' .*: pip install it"):
        Remote(tmp_path, "project")


def test_what_a_library_of_a_remote_says_is_told(pushed: Path, monkeypatch: pytest.MonkeyPatch):
    remote = Remote(pushed / "here", "project")

    def exists(_: str) -> bool:
        raise EOFError("connection lost")

    monkeypatch.setattr(remote, "_fs", SimpleNamespace(exists=exists, join=lambda *parts: "/".join(parts)))
    with pytest.raises(Unreachable, match="the remote store cannot be used: connection lost: `dvc push` says more"):
        remote.has("results/0.json")


def test_bytes_that_are_not_there_are_told(pushed: Path):
    with pytest.raises(UserError, match="the remote store lacks bytes of data/x"):
        Remote(pushed / "here", "project").fetch({"data/x": "0" * 32})


def test_a_project_without_a_remote_and_a_password_are_told(tmp_path: Path):
    dvc(tmp_path, "init", "-q", "--no-scm")
    with pytest.raises(UserError, match="wanted a remote that nodes share"):
        Remote(tmp_path, "project")
    dvc(tmp_path, "remote", "add", "-q", "-d", "web", "https://someone:word@example.org/store")
    with pytest.raises(UserError, match="without a password") as told:
        Remote(tmp_path, "project")
    assert "word@" not in str(told.value)
    shutil.rmtree(tmp_path / ".dvc")
