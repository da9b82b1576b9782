"""Mutations of a folder of files: what is missing, doubled, empty, or no file."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.fuzz.reader import Entry, Folder, Link, Pipe

_OUTSIDE = ("/etc/passwd", "/dev/zero", "/dev/null", "..", "../..", ".", "nowhere", "/proc/self/mem")


def rearranged(entries: Mapping[str, Entry], names: list[str], rng: random.Random) -> dict[str, Entry]:
    """The same files but for one of `names`, which is gone, doubled, empty, or something other than a file."""
    found, name = dict(entries), rng.choice(names)
    folder, _, file = name.rpartition("/")
    other = f"{folder}/{file.swapcase()}".removeprefix("/")
    kind = rng.randrange(8)
    if kind == 0:
        del found[name]
    elif kind == 1:
        found[other] = found[name]
    elif kind == 2:
        found[name] = b""
    elif kind == 3:
        found[name] = Folder()
    elif kind == 4:
        found[name] = Pipe()
    elif kind == 5:
        found[other] = found.pop(name)
    elif kind == 6:
        found[name] = found[rng.choice(names)]
    else:
        found[name] = Link(rng.choice(_OUTSIDE))
    return found
