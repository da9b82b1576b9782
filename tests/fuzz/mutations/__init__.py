"""Mutations of valid inputs, drawn from a seed: of bytes, of what a file says, and of a folder of files."""

from __future__ import annotations

import random

from tests.fuzz.mutations.coded import coded_mutated, xml_mutated
from tests.fuzz.mutations.columns import columns_mutated
from tests.fuzz.mutations.damage import damaged
from tests.fuzz.mutations.folders import rearranged
from tests.fuzz.mutations.nodes import json_mutated, yaml_mutated
from tests.fuzz.mutations.packed import gzip_mutated, zip_mutated
from tests.fuzz.mutations.rows import rows_mutated
from tests.fuzz.reader import Entry, Mutation, Reader

_BY_ENDING: dict[str, Mutation] = {
    **dict.fromkeys(("json", "jsonl"), json_mutated),
    **dict.fromkeys(("yaml", "lock"), yaml_mutated),
    **dict.fromkeys(("csv", "tsv", "txt", "gal"), rows_mutated),
    **dict.fromkeys(("png", "jpg"), coded_mutated),
    "parquet": columns_mutated,
    "xml": xml_mutated,
}


def mutated(reader: Reader, rng: random.Random) -> dict[str, Entry]:
    """The files of an input, at least one of them mutated."""
    entries: dict[str, Entry] = dict(reader.files)
    names = [name for name in entries if name not in reader.steady]
    if rng.random() < (0.2 if len(entries) > 1 else 0.02):
        return rearranged(entries, names, rng)
    for name in rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2)))):
        own = rng.choice(reader.mutations) if reader.mutations and rng.random() < 0.5 else None
        entries[name] = own(reader.files[name], rng) if own else _changed(name, reader.files[name], rng)
    return entries


def _changed(name: str, data: bytes, rng: random.Random) -> bytes:
    """Bytes of a file, one time in three without regard to what they mean."""
    stem, _, ending = name.rpartition(".")
    if rng.random() < 0.35:
        return damaged(data, rng)
    if ending == "zip":
        return zip_mutated(data, rng, _changed)
    if ending == "gz":
        return gzip_mutated(data, rng, lambda content, rng: _changed(stem, content, rng))
    return _BY_ENDING.get(ending, damaged)(data, rng)
