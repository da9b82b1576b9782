"""Raw observations of several forms, read into one: how often each state was seen, sample by sample.

- CSV: one sample a row, with the columns `callrate` (the load) and `Q=0`, `Q=1`, ... (how often each queue length was found).
  The share of time with a full queue is what is counted there over the load. Rows with a load of 0 say nothing.
- Parquet: rows (load, state, count), with `sample` where one load was watched several times, and `split` (light or heavy).
- JSON: a generator and its settings.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import torch
from pydantic import ValidationError
from torch import Tensor

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.faults import every, refuse_all
from stillhouse.contracts.files import read_json
from stillhouse.contracts.parquets import read_parquet
from stillhouse.contracts.raw import content
from stillhouse.contracts.texts import decoded, number
from stillhouse.workloads.queue.simulate import Simulation, full_share, simulate

_LOAD, _STATE = "callrate", "Q="
_CELLS = 100_000_000
_MOST = 2**53
"""Up to here a float64 counts every whole number."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Source:
    """Samples: `load` (samples,), `counts` (samples, states); `full` (samples,) is the share of time with a full queue.

    `heavy` (samples,) says which are for the test, None where the raw data does not say.
    """

    load: Tensor
    counts: Tensor
    full: Tensor
    heavy: Tensor | None = None


def read(raw: Path, states: int | None) -> Source:
    """Everything in `raw`, with `states` states (None: as many as there are); higher ones count as the last.

    A table of states may have at most 10^8 counts, samples times states. Memory: about 15 times the size of a CSV file, of 256 MiB at
    most; of Parquet about twice that of the table, of 4 GiB at most.

    Raises UserError, with file and line or row, at what cannot be read.
    """
    if not raw.is_file() or raw.suffix not in (".csv", ".parquet", ".json"):
        got = "it is none" if raw.exists() else "there is nothing"
        raise UserError(f"{raw} - wanted a .csv, .parquet or .json of queue observations - {got}")
    if raw.suffix == ".json":
        return _generated(raw, states)
    return _written(raw, states) if raw.suffix == ".csv" else _tabled(raw, states)


def _generated(raw: Path, states: int | None) -> Source:
    try:
        settings = Simulation.model_validate(read_json(raw))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UserError(f"{raw}: {place} - wanted the settings of the generator queue - {first['msg']}") from None
    if states not in (None, settings.states):
        raise UserError(f"{raw}: states - wanted {states}, as the settings of prepare say - got {settings.states}")
    light = torch.tensor(settings.light).repeat_interleave(settings.light_samples)
    heavy = torch.tensor(settings.heavy).repeat_interleave(settings.heavy_samples)
    load, rng = torch.cat((light, heavy)).double(), torch.Generator().manual_seed(settings.seed)
    return Source(load, simulate(settings, load, rng), full_share(settings, load), torch.arange(len(load)) >= len(light))


def _written(raw: Path, states: int | None) -> Source:
    try:
        reader = csv.reader(io.StringIO(decoded(f"{raw}", content(raw)), newline=""))
        headings = next(reader, [])
        places = _places(raw, headings)
        found = every(lambda row: _numbers(raw, reader.line_num, row, places, len(headings)), (row for row in reader if row))
    except csv.Error as error:
        raise UserError(f"{raw} - wanted comma-separated values - {error}") from None
    _check_size(raw, len(found), states or len(places) - 1)
    values = torch.tensor(found, dtype=torch.float64).reshape(-1, len(places))
    values = values[values[:, 0] > 0]
    load, counts = values[:, 0], _folded(values[:, 1:], states)
    return Source(load, counts.long(), counts[:, -1] / load)


def _places(raw: Path, headings: list[str]) -> dict[str, int]:
    """The columns of the load and of the states, in order."""
    names = [name for name in headings if name.startswith(_STATE)]
    wanted = [_LOAD, *(f"{_STATE}{state}" for state in range(max(len(names), 2)))]
    count = Counter(headings)
    if missing := [name for name in wanted if not count[name]]:
        columns = f"wanted columns {_LOAD}, {_STATE}0, {_STATE}1, ... without a gap, with commas between them"
        raise UserError(f"{raw}:1 - {columns} - there is no {missing[0]}, but {shortened(str(headings), 200)}")
    if twice := [name for name in wanted if count[name] > 1]:
        raise UserError(f"{raw}:1 - wanted one column of each name - there are several {twice[0]}")
    place = {name: index for index, name in enumerate(headings)}
    return {name: place[name] for name in wanted}


def _numbers(raw: Path, line: int, row: list[str], places: dict[str, int], width: int) -> list[float]:
    """Raises UserError at a longer row too: a comma for a decimal point moves all cells behind it under the next heading."""
    if len(row) > width:
        raise UserError(f"{raw}:{line} - wanted {width} fields, as in the header - got {len(row)}")
    found = []
    for name, place in places.items():
        cell = row[place] if place < len(row) else None
        try:
            value = number(cell or "")
        except ValueError:
            value = float("nan")
        if not (0 <= value <= _MOST) or (name != _LOAD and value != int(value)):
            limit = "at most 2^53" if value > _MOST else "whole for a count"
            wanted = f"wanted a number from 0 in column {name}, {limit}"
            raise UserError(f"{raw}:{line} - {wanted} - got {shortened(repr(cell), 100)}")
        found.append(value)
    return found


def _check_size(raw: Path, samples: int, states: int) -> None:
    if samples * states > _CELLS:
        raise UserError(f"{raw} - wanted at most {_CELLS} counts, samples times states - got {samples} samples of {states} states")


def _tabled(raw: Path, states: int | None) -> Source:
    table = read_parquet(raw)
    if missing := [name for name in ("load", "state", "count") if name not in table.column_names]:
        raise UserError(f"{raw} - wanted columns load, state, count - there is no {missing}, but {table.column_names}")
    load, state, count = (_column(raw, table, name) for name in ("load", "state", "count"))
    split = _texts(raw, table, "split", "light")
    _check_rows(raw, load, state, count, split)
    width = int(state.max()) + 1 if len(state) else 1
    samples, row = _samples(split, load, _texts(raw, table, "sample", ""))
    _check_size(raw, len(samples[0]), max(width, states or 0))
    counts = torch.zeros(len(samples[0]), width, dtype=torch.float64)
    index = (torch.from_numpy(row), torch.from_numpy(state.astype(np.int64)))
    counts.index_put_(index, torch.from_numpy(count.astype(np.float64)), accumulate=True)
    counts = _folded(counts, states)
    heavy = torch.from_numpy(samples[0] == "heavy") if "split" in table.column_names else None
    return Source(torch.from_numpy(samples[1]), counts.long(), counts[:, -1] / counts.sum(1).clamp(min=1), heavy)


def _column(raw: Path, table: pa.Table, name: str) -> Array:
    """Numbers, float64 for a load, NaN where there is none."""
    column = table.column(name)
    whole = pa.types.is_integer(column.type)
    if not (whole or (name == "load" and (pa.types.is_floating(column.type) or pa.types.is_null(column.type)))):
        kind = shortened(str(column.type), 100)
        raise UserError(f"{raw} - wanted {name} in {'numbers' if name == 'load' else 'whole numbers'} - got {kind}")
    return column.cast(pa.float64(), safe=False).to_numpy() if name == "load" or column.null_count else column.to_numpy()


def _texts(raw: Path, table: pa.Table, name: str, otherwise: str) -> Array:
    """(rows,) of text; a missing cell is no split, and a sample of its own."""
    if name not in table.column_names:
        return np.full(table.num_rows, otherwise, dtype=object)
    column = table.column(name)
    try:
        known = column.unique()
        place = compute.index_in(column, value_set=known).to_numpy()
        return np.asarray([str(value) for value in known.to_pylist()], dtype=object)[place]
    except (pa.ArrowException, ValueError):
        raise UserError(f"{raw} - wanted {name} in text or numbers - got {shortened(str(column.type), 100)}") from None


def _check_rows(raw: Path, load: Array, state: Array, count: Array, split: Array) -> None:
    right = (load > 0) & (load <= _MOST) & (state >= 0) & (state <= _MOST) & (count >= 0) & (count <= _MOST)
    wrong = np.flatnonzero(~(right & ((split == "light") | (split == "heavy"))))
    wanted = "wanted a load above 0, a state and a count from 0, whole numbers of at most 2^53, and a split of light or heavy"

    def told(index: int) -> str:
        place = wrong[index]
        got = {"load": load[place].item(), "state": state[place].item(), "count": count[place].item(), "split": str(split[place])}
        return f"{raw}, row {place} - {wanted} - got {got}"

    refuse_all(len(wrong), told)


def _samples(split: Array, load: Array, sample: Array) -> tuple[tuple[Array, Array], Array]:
    """Split and load of each sample, in the order of split, load and sample, and which one each row belongs to."""
    splits, splitted = np.unique(split, return_inverse=True)
    loads, loaded = np.unique(load, return_inverse=True)
    number = np.unique(sample, return_inverse=True)[1]
    key = (splitted * max(len(loads), 1) + loaded) * (int(number.max()) + 1 if len(number) else 1) + number
    _, first, row = np.unique(key, return_index=True, return_inverse=True)
    return (splits[splitted[first]], loads[loaded[first]]), row


def _folded(counts: Tensor, states: int | None) -> Tensor:
    """(samples, states): what was seen beyond the last state is counted there."""
    if states is None or states == counts.shape[1]:
        return counts
    if states > counts.shape[1]:
        return torch.cat((counts, counts.new_zeros(len(counts), states - counts.shape[1])), 1)
    return torch.cat((counts[:, : states - 1], counts[:, states - 1 :].sum(1, keepdim=True)), 1)
