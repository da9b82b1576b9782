"""Where an export may be written: what it did not write itself is never lost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from stillhouse.contracts import sums
from stillhouse.runtimes.export import main
from tests.runtimes.test_export import student

__all__ = ["student"]
LOST = "wanted a new folder for --out, or one of an export before - got something else, which would be lost"


def left(folder: Path, names: Sequence[str]) -> Path:
    """A folder with files and their hashes."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(name)
    sums.write(folder)
    return folder


def refused(out: Path, sentence: str, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether a place is refused in that sentence, and all in it stays."""
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(["half", "--to", "safetensors", "--out", str(out)]) == 2
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    return sentence in capsys.readouterr().err


@pytest.mark.parametrize("names", [["thesis.txt"], ["model.safetensors", "thesis.txt"], ["program.json"]])
def test_a_folder_with_hashes_is_no_export(project: Path, names: list[str], capsys: pytest.CaptureFixture[str]):
    assert refused(left(project / "mine", names), LOST, capsys)


@pytest.mark.parametrize(
    "names", [["model.onnx", "program.json"], ["model.json", "model.safetensors"], ["config.json", "model.safetensors"]]
)
def test_an_export_with_anything_else_in_it_is_none(project: Path, names: list[str], capsys: pytest.CaptureFixture[str]):
    folder = left(project / "mine", names)
    (folder / "thesis.txt").write_text("three years")
    assert refused(folder, LOST, capsys)
    (folder / "thesis.txt").unlink()
    (folder / names[0]).write_text("made better by hand")
    assert refused(folder, LOST, capsys)
    (folder / sums.NAME).write_text("no hashes")
    assert refused(folder, LOST, capsys)


@pytest.mark.parametrize("place", ["data", "data/rings/teacher", "data/new/folder", "link/rings/teacher"])
def test_the_projects_data_are_no_place(project: Path, place: str, capsys: pytest.CaptureFixture[str]):
    left(project / "data/rings/teacher", ["model.json", "model.safetensors"])
    (project / "link").symlink_to("data")
    assert refused(project / place, "wanted a folder for --out outside of the project's data", capsys)


@pytest.mark.parametrize("names", [["model.onnx", "program.json"], ["model.pt2", "program.json"], ["config.json", "model.safetensors"], []])
def test_an_earlier_export_and_an_empty_folder_make_way(project: Path, student: Path, names: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stillhouse.tracking.exports.tell", lambda *given: "")
    sums.write(student)
    out = left(project / "away", names)
    if not names:
        shutil.rmtree(out)
        out.mkdir()
    for _ in range(2):  # the second one finds what the first one wrote
        assert main(["half", "--to", "safetensors", "--out", "away"]) == 0
        assert {path.name for path in out.iterdir()} == {path.name for path in student.iterdir()}
