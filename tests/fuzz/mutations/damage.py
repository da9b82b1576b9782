"""Mutations of the bytes of a valid file, drawn from a seed: damage, and values that are too large, too many or no numbers."""

from __future__ import annotations

import random
from collections.abc import Callable

_VALUES = (
    b"nan",
    b"inf",
    b"-1",
    b"1e400",
    b"9" * 40,
    b"",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"x"',
    b"0.5",
    b"99999999",
    b"../../etc/passwd",
)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xe9", b'"', b"\n", b"\r")


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One to three mutations of `data`, one after the other."""
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(MUTATIONS)(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _mark(data: bytes, rng: random.Random) -> bytes:
    place = rng.choice((0, rng.randrange(len(data) + 1)))
    return data[:place] + rng.choice(_MARKS) + data[place:]


def _line_twice(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    return b"\n".join(lines[: place + 1] + lines[place:])


def _cell(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    place, apart = rng.randrange(len(lines)), rng.choice((b",", b"\t", b": ", b" "))
    cells = lines[place].split(apart)
    cells[rng.randrange(len(cells))] = rng.choice(_VALUES)
    return b"\n".join([*lines[:place], apart.join(cells), *lines[place + 1 :]])


def _deep(data: bytes, rng: random.Random) -> bytes:
    return data.replace(b": ", b": " + b"[" * rng.choice((3, 1000)), 1)


def _long(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + b"x" * rng.choice((300, 20_000)) + data[place:]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_flip, _cut, _mark, _line_twice, _cell, _cell, _deep, _long)
