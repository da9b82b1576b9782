"""`stillhouse verify` in a real repository with a real remote: what rots where, with all time stamps and modes as they were."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from stillhouse.cli.__main__ import app
from stillhouse.contracts import sums
from tests.pipelines import Project

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

TEACHER = Path("data/rings/teacher/result.txt")
Verify = Callable[..., tuple[int, str]]


@pytest.fixture
def verify(capsys, monkeypatch) -> Verify:
    """Runs the command in this process: (exit code, what it printed)."""

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["stillhouse", "verify", *arguments])
        with pytest.raises(SystemExit) as end:
            app()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out + printed.err

    return call


def linked(kind: str) -> None:
    """Has the workspace linked to the cache in one way, and known to DVC."""
    with Repo() as repo, repo.config.edit("local") as config:
        config["cache"] = {"type": kind}
    with Repo() as repo:
        repo.checkout(relink=True, force=True)


def remote() -> None:
    """Gives the project a remote that has everything."""
    with Repo() as repo, repo.config.edit("local") as config:
        config["remote"] = {"store": {"url": os.path.abspath("../remote")}}
        config["core"] = {"remote": "store"}
    with Repo() as repo:
        repo.push()


def flip(path: Path) -> bytes:
    """Changes one bit and nothing that a system tells about a file; returns the bytes before."""
    before, status = path.read_bytes(), path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(bytes([before[0] ^ 1]))
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return before


def cached(output: str, name: str = "") -> Path:
    """The object of an output, or of a file in its folder."""
    stages = YAML(typ="safe").load(Path("dvc.lock"))["stages"]
    oid = next(out["md5"] for stage in stages.values() for out in stage["outs"] if out["path"] == output)
    if name:
        oid = next(entry["md5"] for entry in json.loads(place(oid).read_text()) if entry["relpath"] == name)
    return place(oid)


def place(oid: str) -> Path:
    return Path(".dvc/cache/files/md5", oid[:2], oid[2:])


def due() -> set[str]:
    done = subprocess.run([sys.executable, "-m", "dvc", "status", "--json"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("kind", ["copy", "hardlink", "symlink"])
def test_what_rots_in_the_workspace_in_the_cache_or_in_both_is_mended(done: Project, verify: Verify, kind: str):
    linked(kind)
    remote()
    code, text = verify()
    assert code == 0
    assert text.endswith(": all sound\n")
    object_, right = cached("data/rings/teacher", "result.txt"), flip(TEACHER)
    if kind == "copy":
        assert verify("--dry") == (
            1,
            text.replace("all sound", "1 damaged, 0 mended").join([f"{TEACHER}: has rotted in the workspace\n", ""]),
        )
        assert TEACHER.read_bytes() != right
        code, text = verify()
        assert "had rotted in the workspace: put back from the cache\n" in text
        flip(object_)
        assert "written again from the workspace\n" in verify()[1]
        assert object_.read_bytes() == right
        assert object_.stat().st_mode & 0o777 == 0o444
        flip(object_)
        flip(TEACHER)
    assert due() == set(), "DVC sees nothing of it"
    code, text = verify()
    assert code == 0
    assert "fetched from the remote\n" in text
    assert "put back from the cache\n" in text
    assert TEACHER.read_bytes() == object_.read_bytes() == right
    assert TEACHER.is_symlink() == (kind == "symlink")
    assert TEACHER.samefile(object_) == (kind != "copy")
    assert verify()[1].endswith(": all sound\n")


def test_what_has_no_sound_copy_is_removed_and_made_again(done: Project, verify: Verify):
    linked("hardlink")
    right = flip(TEACHER)
    code, text = verify("rings")
    assert code == 1
    assert "no sound copy" in text
    assert "`stillhouse run` makes it again" in text
    assert not TEACHER.parent.exists()
    assert not cached("data/rings/teacher", "result.txt").exists()
    assert "teach@rings" in due()
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], check=True)
    assert TEACHER.read_bytes() == right
    assert done.ran() == ["teach@rings"]
    assert verify()[0] == 0


def test_the_list_of_a_folder_is_written_again_fetched_or_given_up(done: Project, verify: Verify):
    listing = cached("data/rings/teacher")
    right = flip(listing)
    code, text = verify()
    assert code == 0
    assert "written again from the workspace" in text
    assert listing.read_bytes() == right
    remote()
    flip(listing)
    flip(TEACHER)
    code, text = verify()
    assert code == 0
    assert "fetched from the remote" in text
    assert "put back from the cache" in text
    assert listing.read_bytes() == right
    with Repo() as repo, repo.config.edit("local") as config:
        del config["core"]["remote"]
    flip(listing)
    flip(TEACHER)
    assert verify()[0] == 1
    assert not TEACHER.exists()
    assert not listing.exists()
    assert "teach@rings" in due()


def test_a_remote_that_rotted_too_brings_nothing(done: Project, verify: Verify):
    remote()
    object_ = cached("data/rings/teacher", "result.txt")
    flip(object_)
    flip(TEACHER)
    flip(Path("../remote") / object_.relative_to(".dvc/cache"))
    assert verify()[0] == 1
    assert not object_.exists()
    assert not TEACHER.exists()


def test_what_is_missing_in_one_place_is_told_and_no_error(done: Project, verify: Verify):
    cached("data/rings/teacher", "result.txt").unlink()
    TEACHER.with_name("more.txt").write_text("what DVC sees by itself")
    for path in Path("data/other/prepared").iterdir():
        path.unlink()
    code, text = verify()
    assert code == 0
    assert "the cache lacks 1 objects of data/rings/teacher" in text
    assert "data/other/prepared is not in the workspace" in text


def test_raw_data_is_never_removed_and_an_edit_is_no_rot(done: Project, verify: Verify):
    raw = Path("data/raw/more.txt")
    raw.write_text("measured once")
    linked("hardlink")
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", str(raw)], check=True)
    flip(raw)
    code, text = verify()
    oid = YAML(typ="safe").load(Path("data/raw/more.txt.dvc"))["outs"][0]["md5"]
    assert code == 1
    assert "put it there again from where it came" in text
    assert f".work/rotten/{oid}" in text
    assert raw.exists()
    assert not place(oid).exists()
    raw.unlink()
    raw.write_text("measured twice")
    assert verify()[0] == 0
    assert raw.read_text() == "measured twice"


def test_what_git_keeps_is_taken_from_its_last_commit(done: Project, verify: Verify):
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", "made"], check=True)
    due()  # DVC hashes the sources of this copy
    metrics, source = Path("data/rings/teacher.json"), Path("stillhouse/space/cost.py")
    right = {path: flip(path) for path in (metrics, source)}
    code, text = verify()
    assert code == 0
    assert text.count("put back from git's last commit") == 2
    assert {path: path.read_bytes() for path in right} == right


def test_bytes_that_rotted_before_dvc_saw_them_are_made_again(done: Project, verify: Verify):
    sums.write(TEACHER.parent)
    TEACHER.write_text("rotten")
    with Repo() as repo:
        repo.commit(force=True)
    code, text = verify()
    assert code == 1
    assert "differs from its SHA256SUMS" in text
    assert not TEACHER.exists()


def test_objects_of_no_output_are_checked_too(done: Project, verify: Verify):
    object_ = cached("data/rings/teacher", "result.txt")
    done.order(teach__rings={"result": "other"})
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "-f", "-s", "teach@rings"], check=True)
    flip(object_)
    code, text = verify()
    assert code == 1
    assert f"{object_}: had rotted in the cache" in text
    assert not object_.exists()
    assert verify()[0] == 0


def test_a_damaged_lock_is_a_sentence_and_a_running_project_is_left_alone(done: Project, verify: Verify):
    with Path(".work/execution.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, text = verify()
    assert code == 1
    assert text.startswith("another `stillhouse run`")
    rwlock = Path(".dvc/tmp/rwlock")
    rwlock.write_text(json.dumps({"write": {os.path.abspath("data/rings"): {"pid": os.getppid(), "cmd": "dvc repro"}}, "read": {}}))
    assert verify()[1].startswith("busy: a stage is running")
    rwlock.unlink()
    for damage in (b"stages: [", b"\xff\xfe\x00", b"stages: {teach@rings: 3}"):
        Path("dvc.lock").write_bytes(damage)
        code, text = verify()
        assert code == 1
        assert text.startswith("dvc.lock is damaged, or holds the marks of an unfinished merge")
        assert text.count("\n") == 1
        assert "Traceback" not in text
    Path("params.yaml").unlink()
    assert verify() == (1, f"there is no params.yaml in {done.folder}\n")
