"""The models of every workload predict for tables with their own folder alone, as the verbs leave it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet
import pytest

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.serving.model import Model
from stillhouse.serving.predict import predict, read
from stillhouse.training import table
from tests.workloads.untrained import WORKLOADS, teacher


@pytest.fixture(scope="module", params=WORKLOADS)
def made(request: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A teacher's folder as `teach` writes it, but untrained, on data that are gone afterwards."""
    found = teacher(request.param, tmp_path_factory.mktemp(request.param))
    table.keep(found.workload, found.prepared, found.teacher)
    shutil.rmtree(found.prepared)
    return SimpleNamespace(name=found.name, workload=found.workload, folder=found.teacher)


def predicted(made: SimpleNamespace, rows: pa.Table) -> pa.Table:
    return pa.concat_tables(Model(made.folder).predict(rows))


def test_a_workload_that_reads_tables_says_its_own_name(made: SimpleNamespace) -> None:
    names = (made.workload.table.workload, made.name, table.workload_name(made.folder))
    assert len({registry.module("workloads", name) for name in names}) == 1


def test_the_example_gets_predictions_and_twice_the_same(made: SimpleNamespace) -> None:
    example = Model(made.folder).example()
    first, second = predicted(made, example), predicted(made, example)
    assert first.num_rows > 0
    assert first.equals(second)
    assert all(column.null_count == 0 for column in first.columns)


def test_columns_that_may_be_missing_may_be_missing_and_others_are_left_out(made: SimpleNamespace) -> None:
    example = Model(made.folder).example()
    needed = example.select([field.name for field in example.schema if not field.nullable])
    assert predicted(made, needed.append_column("comment", pa.array(["x"] * needed.num_rows))).equals(predicted(made, example))


def test_a_missing_column_an_empty_table_and_a_hole_are_refused_in_one_sentence(made: SimpleNamespace) -> None:
    example = Model(made.folder).example()
    name = example.column_names[0]
    with pytest.raises(UserError, match=rf"^wanted columns .* - there is no '{name}', but "):
        predicted(made, example.drop_columns([name]))
    with pytest.raises(UserError, match=r"^wanted a row at least - got an empty table$"):
        predicted(made, example.slice(0, 0))
    hole = example.set_column(0, name, pa.array([None] * example.num_rows, example.schema.field(name).type))
    with pytest.raises(UserError, match=rf"^row 0 - wanted a value in column '{name}' - there is none$"):
        predicted(made, hole)
    with pytest.raises(UserError, match=rf"^column '{name}' - wanted {example.schema.field(name).type} - got struct"):
        predicted(made, example.set_column(0, name, pa.array([{"a": 1}] * example.num_rows)))


def test_numbers_in_csv_are_numbers(made: SimpleNamespace, tmp_path: Path) -> None:
    model, source = Model(made.folder), tmp_path / "rows.csv"
    example = model.example()
    flat = [field.name for field in example.schema if not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type)]
    if flat:
        csv.write_csv(example.select(flat), source)
        assert table.conform(read(source, model.names()), example.select(flat).schema).to_pydict() == example.select(flat).to_pydict()


NAMES = [
    ["007", "7", "00260881", "260881"],
    ["1e5", "100000", "1.0", "1"],
    ["true", "false", "True", "TRUE"],
    ["NA", "null", "N/A", "nan"],
    ["2020-01-01", "2020-01-01T00:00:00", "2020-01-02", "2020-01-03"],
    [" a", "a", "a ", "1x"],
]
"""Each list alone would be taken for numbers, truth values, nothing or dates."""


def test_names_in_csv_are_text_character_for_character(made: SimpleNamespace, tmp_path: Path) -> None:
    if made.name != "knowledge":
        return
    source, predictions = tmp_path / "rows.csv", tmp_path / "predictions.parquet"
    for names in NAMES:
        lines = [",".join(row) for row in zip(names, names[1:] + names[:1], names[2:] + names[:2], strict=True)]
        rows = [f"{line},{observed}" for observed in ("true", "false") for line in lines]
        source.write_text("\n".join(["\ufeffhead,relation,tail,observed", *rows]))
        assert predict(made.folder, source, predictions) == len(names)
        columns = parquet.read_table(predictions).select(["head", "relation", "tail"]).to_pydict().values()
        assert [",".join(row) for row in zip(*columns, strict=True)] == lines
