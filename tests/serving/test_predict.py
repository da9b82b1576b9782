"""Batch inference from file to file, with the model's folder alone."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet
import pytest

from stillhouse.serving import package
from stillhouse.serving.model import Model
from stillhouse.serving.predict import main
from tests.serving.test_model import Trap, teacher

__all__ = ["teacher"]
ROWS = pa.table({"x": [float(row) for row in range(250)], "y": [0.5] * 250, "name": ["a"] * 250})


@pytest.fixture
def asked(project: Path) -> Path:
    parquet.write_table(ROWS, project / "rows.parquet")
    csv.write_csv(ROWS, project / "rows.csv")
    return project


@pytest.mark.parametrize("table", ["rows.parquet", "rows.csv"])
def test_a_table_gets_predictions_row_by_row(asked: Path, teacher: Path, table: str, capsys):
    assert main(["rings", table, "deep/predictions.parquet"]) == 0
    assert capsys.readouterr().out == "deep/predictions.parquet: 250 rows\n"
    got = parquet.read_table("deep/predictions.parquet")
    assert got.equals(pa.concat_tables(Model(teacher).predict(ROWS)).combine_chunks())
    assert [path.name for path in (asked / "deep").iterdir()] == ["predictions.parquet"]


def test_the_students_folder_alone_suffices_and_a_package_does_too(asked: Path, teacher: Path, tmp_path: Path, monkeypatch):
    package.save(teacher, tmp_path / "packed")
    assert main(["rings", "rows.parquet", "first.parquet"]) == 0
    shutil.move(teacher, tmp_path / "student")
    shutil.rmtree(asked / "data")
    for name, model in {"second": tmp_path / "student", "third": tmp_path / "packed"}.items():
        assert main([str(model), "rows.parquet", f"{name}.parquet"]) == 0
        assert (asked / f"{name}.parquet").read_bytes() == (asked / "first.parquet").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["half", "rows.csv", "o.parquet"],
            "no model 'half': wanted a trained teacher or student (rings), a model's folder, or ",
        ),
        (
            ["data", "rows.csv", "o.parquet"],
            "data - wanted a model's folder, with model.json and model.safetensors - there is no ",
        ),
        (["rings", "none.parquet", "o.parquet"], "none.parquet - wanted a table - there is no such file"),
        (["rings", "params.yaml", "o.parquet"], "params.yaml - wanted a table that ends in .parquet or .csv - got .yaml"),
        (["rings", "bad.parquet", "o.parquet"], "bad.parquet - wanted a table in Parquet - "),
        (["rings", "rows.csv", "o.csv"], "o.csv - wanted an output that ends in .parquet - got .csv"),
        (["rings", "rows.csv", "params.yaml/o.parquet"], "params.yaml/o.parquet - wanted a place to write to - "),
        (["rings", "short.csv", "o.parquet"], "short.csv: wanted columns x (double), y (double) - there is no 'y', but ['x']"),
        (["rings", "words.csv", "o.parquet"], "words.csv: column 'y' - wanted double - got string (Failed to parse string: 'b'"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(asked: Path, teacher: Path, arguments: list[str], sentence: str, capsys):
    (asked / "bad.parquet").write_text("x,y")
    (asked / "short.csv").write_text("x\n1\n")
    (asked / "words.csv").write_text("x,y\n1,b\n")
    before = sorted(asked.iterdir())
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(sentence)
    assert len(said.splitlines()) == 1
    assert sorted(asked.iterdir()) == before


def test_a_prediction_that_fails_half_way_leaves_the_old_file(asked: Path, teacher: Path, monkeypatch):
    (asked / "predictions.parquet").write_text("old")
    part = next(Model(teacher).predict(ROWS))

    def halfway(self: Model, rows: pa.Table):
        yield part
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Model, "predict", halfway)
    assert main(["rings", "rows.csv", "predictions.parquet"]) == 2
    assert (asked / "predictions.parquet").read_text() == "old"
    assert list(asked.glob(".predictions*")) == []


def test_a_crafted_model_is_refused(asked: Path, teacher: Path, tmp_path: Path, capsys):
    package.save(teacher, tmp_path / "packed")
    for folder in (teacher, tmp_path / "packed/data/teacher"):
        (folder / "model.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for model in ("rings", str(tmp_path / "packed")):
        assert main([model, "rows.csv", "predictions.parquet"]) == 2
        assert capsys.readouterr().err.rstrip().endswith("refused")
    assert not (tmp_path / "sprung").exists()
    assert not (asked / "predictions.parquet").exists()


def test_the_command_works_below_the_project(asked: Path, teacher: Path):
    (asked / "below").mkdir()
    command = [sys.executable, "-m", "stillhouse", "predict", "rings", "../rows.csv", "predictions.parquet"]
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=asked / "below", env=paths, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "predictions.parquet: 250 rows\n", "")
    assert parquet.read_metadata(asked / "below/predictions.parquet").num_rows == 250
