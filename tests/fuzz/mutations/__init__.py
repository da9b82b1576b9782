"""Mutations of valid inputs, drawn from a seed: of bytes, of what a file says, and of a folder of files."""

from __future__ import annotations

import random

from tests.fuzz.mutations.damage import damaged
from tests.fuzz.mutations.folders import rearranged
from tests.fuzz.reader import Entry, Reader


def mutated(reader: Reader, rng: random.Random) -> dict[str, Entry]:
    """The files of an input, at least one of them mutated."""
    entries: dict[str, Entry] = dict(reader.files)
    names = [name for name in entries if name not in reader.steady]
    if len(entries) > 1 and rng.random() < 0.2:
        return rearranged(entries, names, rng)
    for name in rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2)))):
        own = (*reader.mutations, damaged)
        entries[name] = rng.choice(own)(reader.files[name], rng)
    return entries
