"""What the reader may mean, on a pipeline that has run without a tracker."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from stillhouse import lineage
from stillhouse.contracts.errors import UserError
from stillhouse.lineage import history, subject
from stillhouse.lineage.links import Link, Links

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")


def find(project, what: str) -> tuple[str, str]:
    return subject.resolve(project.folder, lineage.read(project.folder), what)[0]


def locked(project, stage: str, path: str) -> tuple[str, str]:
    outs = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"][stage]["outs"]
    return next((out["path"], out["md5"]) for out in outs if out["path"] == path)


def test_names_and_paths_are_what_dvc_lock_has_in_place(done):
    student, teacher = locked(done, "distill@half", "data/half/student"), locked(done, "teach@rings", "data/rings/teacher")
    assert (find(done, "half"), find(done, "rings")) == (student, teacher)
    for path in ("data/half/student", "data/half/student/model.safetensors", str(done.folder / "data/half/student")):
        assert find(done, path) == student
    assert find(done, student[1][:8]) == student


def test_a_path_is_seen_from_where_the_reader_stands(done, monkeypatch):
    monkeypatch.chdir(done.folder / "data")
    assert find(done, "rings/teacher") == locked(done, "teach@rings", "data/rings/teacher")


def test_raw_data_are_the_bytes_that_are_there_now(done):
    (done.folder / "data/raw/toy.json").write_text("[1, 2]")
    assert find(done, "data/raw/toy.json") == ("data/raw/toy.json", hashlib.md5(b"[1, 2]").hexdigest())


def test_an_output_counts_and_not_what_a_stage_read_before_it_was_made_anew(done):
    done.set("teachers.rings.prepare.noise", 0.3)
    done.call("dvc", "repro", "--single-item", "prepare@rings")
    assert find(done, "data/rings/prepared") == locked(done, "prepare@rings", "data/rings/prepared")


def test_what_names_nothing_is_told_with_what_there_is(done):
    with pytest.raises(
        UserError, match=r"'nobody' is no teacher or student that has been made \(half, other, rings, third\), no finished run"
    ):
        find(done, "nobody")
    with pytest.raises(UserError, match=r"params.yaml is nothing that dvc.lock knows"):
        find(done, "params.yaml")


def made(run: str, stage: str, md5: str, at: int) -> Link:
    return Link(stage, {}, {f"data/{stage.partition('@')[2]}/student": md5}, run=run, execution="e" * 32, started=at)


def test_runs_and_hashes_by_their_beginning(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    all_of_them = [made("abcdef1", "distill@x", "0123456789", 1), made("abcdef2", "distill@x", "0123450000", 2)]
    links = Links(all_of_them, frozenset(), {"e" * 32: frozenset({"abcdef1", "abcdef2"})})
    assert subject.resolve(tmp_path, links, "abcdef1")[0] == ("data/x/student", "0123456789")
    assert subject.resolve(tmp_path, links, "0123456")[0] == ("data/x/student", "0123456789")
    assert subject.resolve(tmp_path, links, "x")[0] == ("data/x/student", "0123450000"), "the latest, if dvc.lock has none in place"
    for what, sentence in [
        ("abcdef", "the beginning of 2 runs"),
        ("012345", "the beginning of 2 hashes"),
        ("eeeeee", "is an execution; name"),
    ]:
        with pytest.raises(UserError, match=sentence):
            subject.resolve(tmp_path, links, what)


def test_a_registered_model_is_asked_for(tmp_path: Path, monkeypatch):
    link = made("abcdef1", "distill@x", "0123456789", 1)
    links = Links([link], frozenset(), {"e" * 32: frozenset({"abcdef1"})})
    answer = {"path": "data/x/student", "md5": "0123456789", "run": "abcdef1"}
    monkeypatch.setattr(history, "ask", lambda folder, *words: {("version", "models:/x/3"): answer}[words])
    assert subject.resolve(tmp_path, links, "models:/x/3") == (("data/x/student", "0123456789"), {link})
