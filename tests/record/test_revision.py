"""What git knows of the code when a stage starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.record import revision

DEPENDENCIES = ["stillhouse/training", "data/raw/rows.json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project one level below the top of its repository, all of it committed."""
    folder = tmp_path / "repository/project"
    for name in ("stillhouse/training/fit.py", "params.yaml", "data/raw/rows.json", "dvc.lock", "data/rings/teacher.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("first\n")
    (folder / ".gitignore").write_text("*.ignored\n")
    git(folder.parent, "init", "-q")
    git(folder.parent, "add", "-A")
    git(folder.parent, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "project")
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_clean_tree_is_its_commit(folder: Path):
    seen = revision.take(folder, DEPENDENCIES)
    assert seen == revision.Revision(git(folder, "rev-parse", "HEAD"))
    assert not seen.dirty


def test_what_stages_write_does_not_count_and_raw_data_do(folder: Path):
    (folder / "dvc.lock").write_text("second\n")
    (folder / "data/rings/teacher.json").write_text("second\n")
    (folder / "data/rings/found.json").write_text("new\n")
    (folder / "stillhouse/training/notes.ignored").write_text("new\n")
    assert revision.take(folder, DEPENDENCIES) == revision.Revision(git(folder, "rev-parse", "HEAD"))
    (folder / "data/raw/rows.json").write_text("second\n")
    assert revision.take(folder, DEPENDENCIES).changed == ("project/data/raw/rows.json",)


def test_the_patch_makes_the_changes_again_with_new_files_that_the_stage_depends_on(folder: Path, tmp_path: Path):
    (folder / "params.yaml").write_text("second\n")
    (folder / "stillhouse/training/fit.py").unlink()
    (folder / "stillhouse/training/new.py").write_text("new\n")
    (folder / "stillhouse/training/numbers.bin").write_bytes(bytes(range(256)))
    (folder / "notes.txt").write_text("for nobody\n")
    before = git(folder, "status", "--porcelain")
    seen = revision.take(folder, DEPENDENCIES)
    assert git(folder, "status", "--porcelain") == before, "the user's index is as it was"
    assert (seen.dirty, seen.untracked) == (True, ("project/notes.txt",))
    changed = ("params.yaml", "stillhouse/training/fit.py", "stillhouse/training/new.py", "stillhouse/training/numbers.bin")
    assert set(seen.changed) == {f"project/{name}" for name in changed}
    git(folder, "worktree", "add", "-q", "--detach", str(tmp_path / "other"), seen.commit)
    subprocess.run(["git", "apply", "-"], input=seen.patch, cwd=tmp_path / "other", check=True, text=True)
    there = tmp_path / "other/project"
    assert (there / "params.yaml").read_text() == "second\n"
    assert (there / "stillhouse/training/new.py").read_text() == "new\n"
    assert (there / "stillhouse/training/numbers.bin").read_bytes() == bytes(range(256))
    assert not (there / "stillhouse/training/fit.py").exists()


def test_a_patch_that_is_too_large_or_no_text_is_left_out_with_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "params.yaml").write_bytes("größe\n".encode("latin-1"))
    seen = revision.take(folder, DEPENDENCIES)
    assert (seen.dirty, seen.patch, seen.omitted) == (True, "", "a changed file is no UTF-8 text")
    monkeypatch.setattr(revision, "PATCH_BYTES", 10)
    seen = revision.take(folder, DEPENDENCIES)
    assert seen.patch == ""
    assert seen.omitted.endswith("bytes, and 10 are kept")
    monkeypatch.setattr(revision, "FILE_BYTES", 5)
    assert revision.take(folder, DEPENDENCIES).omitted == "the changed files have 6 bytes"


def test_without_git_there_is_no_commit(tmp_path: Path):
    assert revision.take(tmp_path, DEPENDENCIES) == revision.Revision("")


def test_a_project_that_fills_its_repository_has_paths_as_they_are(tmp_path: Path, folder: Path):
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "project")
    (folder / "params.yaml").write_text("second\n")
    assert revision.take(folder, DEPENDENCIES).changed == ("params.yaml",)


def test_an_edit_within_the_second_of_the_last_commit_is_in_the_patch(folder: Path):
    """Git sees it although size and time are those of the index, as long as the index is not newer than the file."""
    git(folder, "config", "core.trustctime", "false")
    moment = 10**9

    def write(content: str) -> None:
        (folder / "params.yaml").write_text(content)
        os.utime(folder / "params.yaml", (moment, moment))

    write("second\n")
    git(folder, "add", "params.yaml")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "second")
    write("thirds\n")
    os.utime(folder.parent / ".git/index", (moment, moment))
    seen = revision.take(folder, DEPENDENCIES)
    assert seen.changed == ("project/params.yaml",)
    assert "+thirds" in seen.patch


@pytest.mark.parametrize("name", [".env", "deploy/prod.env", "keys/server.PEM", ".aws/config", "client_secret.json", "ours/special.txt"])
def test_what_looks_like_a_secret_is_left_out_and_named(folder: Path, name: str):
    (folder / "params.yaml").write_text("second\n")
    path = folder / "stillhouse/training" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("PASSWORD=1234\n")
    seen = revision.take(folder, DEPENDENCIES, ["special*"])
    assert seen.left_out == (f"project/stillhouse/training/{name}",)
    assert "1234" not in seen.patch
    assert "+second" in seen.patch
    assert seen.dirty


def test_nothing_outside_the_project_is_recorded(folder: Path):
    (folder.parent / "private").mkdir()
    (folder.parent / "private/diary.txt").write_text("dear diary\n")
    (folder.parent / "shared.txt").write_text("first\n")
    git(folder.parent, "add", "shared.txt")
    assert revision.take(folder, DEPENDENCIES) == revision.Revision(git(folder, "rev-parse", "HEAD"))


def test_what_runs_is_called_by_the_experiment_or_else_by_the_commit(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "A smaller student\n\nand why", "--allow-empty")
    assert revision.title(folder) == "A smaller student"
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "long" * 100, "--allow-empty")
    assert (len(revision.title(folder)), revision.title(folder)[-4:]) == (100, "l...")
    monkeypatch.setenv("DVC_EXP_NAME", "sooty-gaur")
    assert revision.title(folder) == "sooty-gaur"
    monkeypatch.delenv("DVC_EXP_NAME")
    assert revision.title(tmp_path) == ""


def test_a_repository_without_any_commit_has_none_to_name(tmp_path: Path):
    git(tmp_path, "init", "-q")
    (tmp_path / "params.yaml").write_text("first\n")
    assert revision.take(tmp_path, DEPENDENCIES) == revision.Revision("")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_that_git_does_not_trust_is_an_error_and_no_empty_commit(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LANGUAGE", "de")
    for path in (folder.parent, folder.parent / ".git", folder):
        os.chown(path, 54321, 54321)
    with pytest.raises(UserError, match=r"git says .*dubious ownership.* - if you trust it: git config --global --add safe.directory '"):
        revision.take(folder, DEPENDENCIES)
    assert revision.title(folder) == ""


def test_a_patch_with_a_password_in_an_address_is_left_out(folder: Path):
    (folder / "params.yaml").write_text("url: https://anna:s3cr3t@host/data\n")
    seen = revision.take(folder, DEPENDENCIES)
    assert (seen.dirty, seen.patch, seen.omitted) == (True, "", "a changed file has an address with a password in it")


def test_without_the_program_there_is_no_commit(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert revision.head(folder) == ""
