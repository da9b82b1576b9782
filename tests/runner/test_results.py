"""Known results: one that came by `dvc pull` is adopted if its own file of metrics says what it was made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from stillhouse.contracts.files import write_json
from stillhouse.runner import results
from stillhouse.runner.fingerprint import Fingerprint

OUTPUT = Path("data/small/student")
MINE, OTHER = (Fingerprint(letter * 64, {}, {"torch": "2"}) for letter in "ab")
PIPELINE = """
stages:
  make:
    cmd: mkdir -p data/small/student && echo 1 > data/small/student/weights
    outs: [data/small/student]
    metrics: [data/small/student.json: {cache: false, persist: true}]
"""
FACTS = Path("data/small/student.json")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "dvc.yaml").write_text(PIPELINE)
    Repo.init(no_scm=True).close()
    FACTS.parent.mkdir(parents=True)
    write_json(FACTS, {"loss": 1.0, results.MADE: results.telling(MINE)})
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], check=True)
    return folder


def test_a_result_of_the_same_fingerprint_is_adopted_and_known_from_then_on(made: Path):
    adopted = results.adopt(MINE, "make", OUTPUT)
    assert adopted is not None
    assert adopted == results.find(MINE.key)
    assert adopted.environment == {"torch": "2"}


def test_a_result_of_another_fingerprint_is_not_adopted(made: Path):
    assert results.adopt(OTHER, "make", OUTPUT) is None
    assert results.find(OTHER.key) is None


def test_facts_that_are_not_those_of_dvc_lock_adopt_nothing(made: Path):
    """A stage was stopped between its facts and its output, or dvc.lock is of another commit: the output is another result's."""
    write_json(FACTS, {"loss": 2.0, results.MADE: results.telling(OTHER)})
    assert results.adopt(OTHER, "make", OUTPUT) is None
    assert results.find(OTHER.key) is None


def test_facts_that_are_in_no_commit_are_put_back_too(made: Path):
    results.note(MINE, "make", OUTPUT)
    before = FACTS.read_bytes()
    FACTS.unlink()
    results.put_back("make")
    assert FACTS.read_bytes() == before


def test_a_curve_is_put_back_byte_for_byte_with_the_line_ends_of_csv(made: Path):
    curve = Path("data/small/student.csv")
    curve.write_bytes(b"epoch,loss\r\n1,0.5\r\n")
    results.note(MINE, "make", OUTPUT)
    curve.unlink()
    found = results.find(MINE.key)
    assert found is not None
    assert results.put(found, "make", OUTPUT)
    assert curve.read_bytes() == b"epoch,loss\r\n1,0.5\r\n"
