"""Raw temporal graphs of several forms, read into one panel.

- A JSON file, perhaps packed as .json.gz, of PyTorch Geometric Temporal;
- a folder with a series and its edges, each a CSV file (perhaps packed), the edges perhaps a GAL file; or both Parquet;
- JSON that points to the files of an installed package, or to a generator.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import parse_json
from stillhouse.contracts.raw import content, unpacked
from stillhouse.contracts.settings import Settings, first_mistake
from stillhouse.training.packaged import PackagedFile, read_packaged
from stillhouse.workloads.graphs.temporal import planted, read_json, read_parquet, read_tables, skip_links
from stillhouse.workloads.graphs.temporal.found import Found
from stillhouse.workloads.graphs.temporal.missing import Missing, marked, refuse, require_moderate
from stillhouse.workloads.graphs.temporal.panel import Panel, assemble, both_ways, once


class ReadSettings(Settings):
    """Files are named for folders only; `rows` and `columns` are for a series in CSV."""

    series: str = "series.parquet"
    edges: str = "edges.parquet"
    labels: str | None = None
    """The classes of graphs, where the series is Parquet."""
    rows: Literal["steps", "nodes"] = "steps"
    columns: str | None = None
    """A regular expression of the headings to take, for example [0-9]+ for years; all but the name of a node by default."""
    undirected: bool = False
    """Whether every edge holds in both directions."""
    repeated: Literal["refuse", "once"] = "refuse"
    """What becomes of an edge that is given twice at a step with the same weight."""

    missing: Missing = "refuse"
    """What becomes of cells of the series that are empty or not a number, and of rows that a Parquet series lacks."""
    missing_value: float | None = None
    """A number, such as 0 or -999, that says in this series that there is no value."""

    @field_validator("columns")
    @classmethod
    def _is_expression(cls, columns: str | None) -> str | None:
        try:
            re.compile(columns or "")
        except re.error as error:
            raise ValueError(f"wanted a regular expression - {error}") from None
        return columns


class _Files(Settings):
    series: PackagedFile
    edges: PackagedFile


class _Package(Settings):
    package: str
    files: _Files


Generator = skip_links.SkipLinks | planted.Planted
_PACKAGE: TypeAdapter[_Package] = TypeAdapter(_Package)
_GENERATOR: TypeAdapter[Generator] = TypeAdapter(Annotated[Generator, Field(discriminator="generator")])


def read(raw: Path, settings: ReadSettings) -> Panel:
    """Everything in `raw`. Memory: about 25 times the size of text, of 256 MiB a file at most, and twice that of a table, of 4 GiB at most.

    Raises UserError, with file and line, row or key, at what is wrong and where something is missing.
    """
    if raw.is_dir():
        return _panel(_folder(raw, settings), settings, raw)
    if not raw.is_file() or not raw.name.endswith((".json", ".json.gz")):
        got = "something else" if raw.exists() else "nothing"
        raise UserError(f"{raw} - wanted a folder, .json or .json.gz of temporal graphs - there is {got}")
    value = _json(raw)
    if isinstance(value, dict) and "generator" in value:
        return _generated(value, raw)
    if isinstance(value, dict) and "package" in value:
        return _panel(_packaged(value, raw, settings), settings, raw)
    return _panel(read_json.read(value, f"{raw}", settings.missing), settings, raw)


def _panel(found: Found, settings: ReadSettings, raw: Path) -> Panel:
    events = once(found.events) if settings.repeated == "once" else found.events
    if settings.undirected:
        events = both_ways(events)
    panel = assemble(found.features, found.channels, events, static=found.static, graphs=found.graphs)
    features = marked(panel.features, panel.begin, settings.missing_value)
    if settings.missing == "refuse":
        refuse(features, f"{raw}", settings.missing_value)
    require_moderate(features, f"{raw}")
    return replace(panel, features=features)


def _folder(raw: Path, settings: ReadSettings) -> Found:
    names = [name for name in (settings.series, settings.edges, settings.labels) if name is not None]
    if missing := [name for name in names if not (raw / name).is_file()]:
        keys = "name others by `prepare: {read: {series: NAME, edges: NAME, labels: NAME}}`"
        raise UserError(f"{raw} - wanted the file {missing[0]} - there are {sorted(path.name for path in raw.iterdir())}; {keys}")
    series, edges = raw / settings.series, raw / settings.edges
    if series.suffix == ".parquet":
        return read_parquet.read(series, edges, raw / settings.labels if settings.labels else None, settings.missing)
    if settings.labels:
        raise UserError(f"{raw / settings.labels} - wanted labels beside a series in Parquet alone - the series is {settings.series}")
    first, second = (read_tables.File(f"{path}", content(path, raw)) for path in (series, edges))
    return read_tables.read(first, second, settings.rows, settings.columns, settings.missing)


def _packaged(value: Any, raw: Path, settings: ReadSettings) -> Found:
    pointer = _checked(_PACKAGE, value, raw, "a package with files")
    wanted = (("series", pointer.files.series), ("edges", pointer.files.edges))
    found = (read_packaged(f"{raw}: files.{name}", pointer.package, file) for name, file in wanted)
    first, second = (read_tables.File(f"{path}", found_bytes) for path, found_bytes in found)
    return read_tables.read(first, second, settings.rows, settings.columns, settings.missing)


def _generated(value: Any, raw: Path) -> Panel:
    settings = _checked(_GENERATOR, value, raw, "a generator with its settings")
    return skip_links.generate(settings) if isinstance(settings, skip_links.SkipLinks) else planted.generate(settings)


def _checked(kind: TypeAdapter[Any], value: Any, raw: Path, wanted: str) -> Any:
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        where, mistake = first_mistake(error)
        raise UserError(f"{raw}: {where} - wanted {wanted} - {mistake}") from None


def _json(raw: Path) -> Any:
    packed = content(raw)
    return parse_json(raw, unpacked(f"{raw}", packed) if raw.name.endswith(".gz") else packed)
