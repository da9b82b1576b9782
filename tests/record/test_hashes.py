"""The fingerprint says what DVC would record, and it is the same as long as DVC would find nothing due."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from dvc_data.hashfile import hash as hashing
from ruamel.yaml import YAML

from stillhouse.contracts.errors import UserError
from stillhouse.record import hashes

PIPELINE = """\
stages:
  copy:
    foreach: ${teachers}
    do:
      cmd: mkdir -p out/${key} && cp code/a.py out/${key}/a && echo '{"n":1}' > out/${key}.json
      deps: [code, raw.txt]
      params: [seed, "teachers.${key}.prepare"]
      outs: ["out/${key}"]
      metrics: ["out/${key}.json": {cache: false}]
      meta: {gpu: 1}
  last:
    cmd: cp out/big/a last.txt
    deps: [out/big]
    outs: [last.txt]
"""
SETTINGS = "seed: 3\nteachers:\n  big:\n    prepare: {share: 0.5, empty: null}\n  other:\n    prepare: {share: 0.1}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "pipeline"
    (folder / "code").mkdir(parents=True)
    (folder / "code/a.py").write_text("a = 1\n")
    (folder / "raw.txt").write_text("raw")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text(SETTINGS)
    (folder / ".dvcignore").write_text("__pycache__\n")
    monkeypatch.chdir(folder)
    Repo.init(no_scm=True).close()
    return folder


def locked(folder: Path) -> dict[str, Any]:
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], check=True, cwd=folder)
    stages: dict[str, Any] = YAML(typ="safe").load(folder / "dvc.lock")["stages"]
    return stages


def test_it_holds_the_hashes_and_parameters_that_dvc_records(folder: Path):
    for stage, entry in locked(folder).items():
        taken = hashes.take(stage, folder)
        assert taken.command == entry["cmd"]
        assert taken.inputs == {dep["path"]: dep["md5"] for dep in entry["deps"]}
        assert taken.params == entry.get("params", {})
        assert hashes.outputs(stage, folder) == {out["path"]: out["md5"] for out in entry["outs"]}


def test_an_output_that_is_not_there_yet_has_no_hash(folder: Path):
    assert hashes.outputs("copy@big", folder) == {}


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("code/a.py", "a = 1", "a = 2", ["code"]),
        ("raw.txt", "raw", "war", ["raw.txt"]),
        ("params.yaml", "share: 0.5", "share: 0.6", ["params.yaml: teachers.big.prepare"]),
        ("params.yaml", "seed: 3", "seed: 4", ["params.yaml: seed"]),
        ("dvc.yaml", "mkdir -p out", "mkdir -p  out", ["dvc.yaml"]),
        ("params.yaml", "share: 0.1", "share: 0.2", []),
        ("dvc.yaml", "gpu: 1", "gpu: 2", []),
        ("dvc.yaml", "cp out/big/a", "cat out/big/a >", []),
        ("code/__pycache__/a.pyc", "", "compiled", []),
    ],
)
def test_it_changes_with_what_can_change_the_result_and_with_nothing_else(folder: Path, file: str, old: str, new: str, changed: list[str]):
    before = hashes.take("copy@big", folder)
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "").replace(old, new))
    after = hashes.take("copy@big", folder)
    assert before.changes(after) == changed
    assert (before.key != after.key) == bool(changed)


def test_going_back_gives_the_old_fingerprint(folder: Path):
    before = hashes.take("copy@big", folder)
    (folder / "code/a.py").write_text("a = 2\n")
    assert hashes.take("copy@big", folder) != before
    (folder / "code/a.py").write_text("a = 1\n")
    assert hashes.take("copy@big", folder) == before


def test_data_are_not_hashed_twice(folder: Path, monkeypatch: pytest.MonkeyPatch):
    hashes.take("copy@big", folder)
    hashed: list[str] = []
    original = hashing.file_md5
    monkeypatch.setattr(hashing, "file_md5", lambda path, *rest, **names: hashed.append(path) or original(path, *rest, **names))

    def read() -> list[str]:
        """A folder's list of files is made in memory and hashed each time; it does not count."""
        return [Path(path).name for path in hashed if not str(path).startswith("memory:")]

    hashes.take("copy@big", folder)
    assert read() == []
    (folder / "raw.txt").write_text("new")
    hashes.take("copy@big", folder)
    assert read() == ["raw.txt"]


def test_it_does_not_read_a_lock_file_that_another_stage_is_writing(folder: Path):
    before = hashes.take("copy@big", folder)
    (folder / "dvc.lock").write_text("schema: '2.0'\nstag")
    assert hashes.take("copy@big", folder) == before


@pytest.mark.parametrize(
    ("stage", "gone", "sentence"),
    [
        ("copy@small", None, "dvc.yaml has no stage 'copy@small'; there are copy@big, copy@other, last"),
        ("copy@big", "raw.txt", "the dependency raw.txt of stage copy@big does not exist"),
        ("copy@big", "dvc.yaml", "dvc.yaml' does not exist"),
        ("last", None, "the dependency out/big of stage last does not exist"),
    ],
)
def test_what_is_missing_is_told_in_a_sentence(folder: Path, stage: str, gone: str | None, sentence: str):
    if gone:
        (folder / gone).unlink()
    with pytest.raises(UserError, match=sentence):
        hashes.take(stage, folder)


def test_a_missing_parameter_and_a_folder_without_dvc_are_told(folder: Path, tmp_path: Path):
    (folder / "params.yaml").write_text(SETTINGS.replace("seed: 3\n", ""))
    with pytest.raises(UserError, match=r"'seed' are missing from 'params.yaml'"):
        hashes.take("copy@big", folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="not inside of a DVC repository"):
        hashes.take("copy@big", tmp_path / "empty")


def test_of_several_stages_those_are_taken_that_have_their_inputs(folder: Path):
    taken = hashes.standing(["copy@big", "last", "no-such", "copy@other"], folder)
    wanted = ("copy@big", "copy@other")
    assert taken == {stage: (hashes.take(stage, folder), hashes.outputs(stage, folder)) for stage in wanted}
