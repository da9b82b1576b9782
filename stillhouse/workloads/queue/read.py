"""Raw observations of several forms, read into one: how often each state was seen, sample by sample.

- CSV: one sample a row, with the columns `callrate` (the load) and `Q=0`, `Q=1`, ... (how often each queue length was found).
  The share of time with a full queue is what is counted there over the load. Rows with a load of 0 say nothing.
- Parquet: rows (load, state, count), with `sample` where one load was watched several times, and `split` (light or heavy).
- JSON: a generator and its settings.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.contracts.files import read_json
from stillhouse.contracts.parquets import read_parquet
from stillhouse.workloads.queue.simulate import Simulation, full_share, simulate

_LOAD, _STATE = "callrate", "Q="
_CELLS = 100_000_000


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

    A table of states may have at most 10^8 counts, samples times states.

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
        with raw.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            headings = list(reader.fieldnames or ())
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{raw} - wanted comma-separated values in UTF-8 - {error}") from None
    names = [name for name in headings if name.startswith(_STATE)]
    wanted = [_LOAD, *(f"{_STATE}{state}" for state in range(max(len(names), 2)))]
    if missing := [name for name in wanted if name not in headings]:
        raise UserError(f"{raw}:1 - wanted columns {_LOAD}, {_STATE}0, {_STATE}1, ... without a gap - there is no {missing[0]}")
    values = torch.tensor(every(lambda pair: _numbers(raw, *pair, wanted), enumerate(rows, start=2)), dtype=torch.float64)
    values = values.reshape(-1, len(wanted))
    values = values[values[:, 0] > 0]
    load, counts = values[:, 0], _folded(values[:, 1:], states)
    return Source(load, counts.long(), counts[:, -1] / load)


def _numbers(raw: Path, line: int, row: dict[str, str | None], names: list[str]) -> list[float]:
    found = []
    for name in names:
        try:
            value = float(row[name] or "")
        except ValueError:
            value = float("nan")
        if not (0 <= value < float("inf")) or (name != _LOAD and value != int(value)):
            raise UserError(f"{raw}:{line} - wanted a number from 0 in column {name}, whole for a count - got {row[name]!r}")
        found.append(value)
    return found


def _tabled(raw: Path, states: int | None) -> Source:
    table = read_parquet(raw)
    if missing := [name for name in ("load", "state", "count") if name not in table.column_names]:
        raise UserError(f"{raw} - wanted columns load, state, count - there is no {missing}, but {table.column_names}")
    rows = [{name: table.column(name)[row].as_py() for name in table.column_names} for row in range(table.num_rows)]
    every(lambda pair: _check_row(raw, *pair), enumerate(rows))
    keys = sorted({_key(row) for row in rows})
    place = {key: index for index, key in enumerate(keys)}
    width = max((row["state"] for row in rows), default=0) + 1
    if len(keys) * width > _CELLS:
        raise UserError(f"{raw} - wanted at most {_CELLS} counts, samples times states - got {len(keys)} samples of {width} states")
    counts = torch.zeros(len(keys), width, dtype=torch.float64)
    index = tuple(torch.tensor(part, dtype=torch.long) for part in zip(*((place[_key(row)], row["state"]) for row in rows), strict=True))
    counts.index_put_(index, torch.tensor([float(row["count"]) for row in rows], dtype=torch.float64), accumulate=True)
    counts = _folded(counts, states)
    heavy = torch.tensor([key[0] == "heavy" for key in keys]) if "split" in table.column_names else None
    full = counts[:, -1] / counts.sum(1).clamp(min=1)
    return Source(torch.tensor([key[1] for key in keys], dtype=torch.float64), counts.long(), full, heavy)


def _key(row: dict[str, object]) -> tuple[str, float, str]:
    return str(row.get("split", "")), float(row["load"]), str(row.get("sample", ""))  # type: ignore[arg-type]


def _check_row(raw: Path, number: int, row: dict[str, object]) -> None:
    load, state, count = row["load"], row["state"], row["count"]
    numbers = isinstance(load, int | float) and 0 < load < float("inf")
    whole = all(isinstance(value, int) and value >= 0 for value in (state, count))
    if not (numbers and whole and row.get("split", "light") in ("light", "heavy")):
        wanted = "wanted a load above 0, a state and a count from 0, whole numbers, and a split of light or heavy"
        raise UserError(f"{raw}, row {number} - {wanted} - got {row}")


def _folded(counts: Tensor, states: int | None) -> Tensor:
    """(samples, states): what was seen beyond the last state is counted there."""
    if states is None or states == counts.shape[1]:
        return counts
    if states > counts.shape[1]:
        return torch.cat((counts, counts.new_zeros(len(counts), states - counts.shape[1])), 1)
    return torch.cat((counts[:, : states - 1], counts[:, states - 1 :].sum(1, keepdim=True)), 1)
