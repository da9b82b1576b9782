"""CSV tables from outside."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as csv

from stillhouse.contracts.errors import UserError, shortened


def read_csv(path: Path, names: Collection[str], source: IO[bytes] | None = None) -> pa.Table:
    """The table in a file, or in `source`, its open content; cells of the columns `names` are text, character for character.

    The types of other columns are told by their cells. Raises UserError, beginning with the path, if it is none.
    """
    text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    try:
        found = csv.read_csv(source or path, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=text)
        columns = found.column_names
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{path} - wanted a table - {shortened(str(error).partition(chr(10))[0], 200)}") from None
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise UserError(f"{path} - wanted columns with a name of their own - there are several {shortened(twice, 200)!r}")
    return found
