"""Batch inference: a model predicts for the rows of a table in a file, with nothing but its own folder.

    python -m stillhouse.serving.predict MODEL INPUT OUTPUT [--project FOLDER]

MODEL is a student or teacher of the project, a model's folder, a package of MLflow's, or models:/NAME/VERSION (or @ALIAS).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from stillhouse.contracts.csvs import read_csv
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.contracts.parquets import BYTES, read_parquet
from stillhouse.record import own
from stillhouse.serving.model import Model
from stillhouse.serving.package import unpack
from stillhouse.training.files import write_tables


def predict(model: Path, source: Path, destination: Path) -> int:
    """Writes what a model's folder predicts for a table as parquet, whole or not at all; returns how many rows it has.

    Raises UserError at what is wrong with the model, the table or the name of the output.
    """
    if destination.suffix != ".parquet":
        raise UserError(f"{destination} - wanted an output that ends in .parquet - got {destination.suffix or 'no suffix'}")
    opened = Model(model)
    rows = read(source, opened.names())
    try:
        return write_tables(destination, opened.predict(rows))
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except OSError as error:
        raise UserError(f"{destination} - wanted a place to write to - {error.strerror or error}") from None


def read(path: Path, names: Collection[str] = ()) -> pa.Table:
    """The table in a .parquet or .csv file; `names` are the columns whose cells are text, character for character, in CSV too.

    Raises UserError if there is none.
    """
    readers = {".parquet": read_parquet, ".csv": lambda path: _written(path, names)}
    if path.suffix not in readers:
        raise UserError(f"{path} - wanted a table that ends in {' or '.join(readers)} - got {path.suffix or 'no suffix'}")
    if not path.is_file():
        raise UserError(f"{path} - wanted a table - there is no such file")
    return readers[path.suffix](path)


def _written(path: Path, names: Collection[str]) -> pa.Table:
    """Only the types of columns that hold no names are told by their cells."""
    if path.stat().st_size > BYTES:
        raise UserError(f"{path} - wanted a table of at most {BYTES} bytes - got {path.stat().st_size}")
    return read_csv(path, names)


@contextmanager
def found(name: str, project: Path) -> Iterator[Path]:
    """The folder of the model of that name; one from a registry lies in a temporary folder. Raises UserError if there is none."""
    if name.startswith("models:/"):
        from stillhouse.serving.fetch import fetch

        with tempfile.TemporaryDirectory() as place:
            yield unpack(fetch(project, name, Path(place)))
        return
    trained = sorted(path for path in project.glob("data/*/*") if path.name in ("student", "teacher") and path.is_dir())
    known = {path.parent.name: path for path in trained}
    folder = Path(name) if Path(name).is_dir() else known.get(name)
    if folder is None:
        exist = ", ".join(known) or "none"
        raise UserError(f"no model {name!r}: wanted a trained teacher or student ({exist}), a model's folder, or models:/NAME/VERSION")
    yield unpack(folder) if (folder / "MLmodel").exists() else folder


def main(arguments: list[str] | None = None) -> int:
    """Predicts for one table; returns the exit status: 2 for a mistake that the reader can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m stillhouse.serving.predict", description="Predict for the rows of a table with a model."
    )
    parser.add_argument("model", help="a student or teacher, a folder, or models:/NAME/VERSION")
    parser.add_argument("input", type=Path, help="a table that ends in .parquet or .csv")
    parser.add_argument("output", type=Path, help="the predictions, a table that ends in .parquet")
    parser.add_argument("--project", type=Path, default=Path(), help="the folder of the project")
    given = parser.parse_args(arguments)
    try:
        with own.telling(), found(given.model, given.project) as model:
            rows = predict(model, given.input, given.output)
    except UserError as error:
        print(hide(str(error)), file=sys.stderr)
        return 2
    print(f"{given.output}: {rows} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
