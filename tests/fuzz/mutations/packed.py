"""Mutations of packed files: what they hold, what they say of it, and contents that expand a thousandfold."""

from __future__ import annotations

import gzip
import io
import random
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import cache

Inner = Callable[[str, bytes, random.Random], bytes]
_BLOCK = 2**24
EXPANDED = 4 * 2**30 - _BLOCK
"""More bytes than a reader that unpacks them may have."""


def zip_mutated(data: bytes, rng: random.Random, inner: Inner) -> bytes:
    """A zip of which a member is mutated, lost, doubled, renamed, locked or expands."""
    found = members(data)
    place = rng.randrange(len(found))
    name, content = found[place]
    kind = rng.randrange(8)
    if kind < 3:
        found[place] = (name, inner(name, content, rng))
    elif kind == 3:
        del found[place]
    elif kind == 4:
        found.append((name, rng.choice((content, b""))))
    elif kind == 5:
        found[place] = (
            rng.choice((f"../{name}", f"/{name}", name.upper(), f"{name}/", "é.txt", name.replace("/", "\\"), "a\0b.txt")),
            content,
        )
    packed = _zipped(found, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    if kind == 6:
        return with_bomb(found, name)
    if kind == 7:
        return _lied(packed, rng)
    return packed


def members(data: bytes) -> list[tuple[str, bytes]]:
    """Name and content of all that a zip holds."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def gzip_mutated(data: bytes, rng: random.Random, inner: Callable[[bytes, random.Random], bytes]) -> bytes:
    """A gzip file whose content is mutated, or expands, or is followed by something else."""
    kind = rng.randrange(40)
    if kind == 0:
        return gzip_bomb()
    if kind == 1:
        return data + rng.choice((data, b"x", b"\0" * 100))
    return gzip.compress(inner(gzip.decompress(data), rng), mtime=0, compresslevel=1)


def _zipped(members: list[tuple[str, bytes]], compression: int) -> bytes:
    sink = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(sink, "w", compression) as archive:
        warnings.simplefilter("ignore")  # a name that is there twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return sink.getvalue()


def with_bomb(members: list[tuple[str, bytes]], name: str) -> bytes:
    """The members, one of which is replaced by gigabytes of line ends."""
    raw = _deflated()
    stored = _zipped([(member, content if member != name else raw) for member, content in members], zipfile.ZIP_STORED)
    found = bytearray(stored)
    for signature, method, sizes in ((b"PK\x03\x04", 8, 14), (b"PK\x01\x02", 10, 16)):
        start = 0
        while (start := stored.find(signature, start)) >= 0:
            named = start + (30 if signature == b"PK\x03\x04" else 46)
            if stored[named : named + len(name)] == name.encode():
                found[start + method : start + method + 2] = (8).to_bytes(2, "little")
                found[start + sizes + 8 : start + sizes + 12] = EXPANDED.to_bytes(4, "little")
            start += 4
    return bytes(found)


def _lied(packed: bytes, rng: random.Random) -> bytes:
    """A number in the directory of the archive is another one: a size, a place, a method, a flag."""
    start = packed.find(b"PK\x01\x02")
    place = start + rng.choice((8, 10, 16, 20, 24, 28, 30, 32, 42))
    return packed[:place] + rng.choice((b"\xff\xff", b"\x00\x00", b"\x01\x00", b"\x63\x00")) + packed[place + 2 :]


@cache
def _deflated(byte: bytes = b"\n") -> bytes:
    """Raw deflate of EXPANDED bytes: one block, which refers to nothing before it, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(byte * _BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (EXPANDED // _BLOCK) + packer.flush()


def gzip_bomb() -> bytes:
    """Gigabytes of blanks; the checksum, which comes after them, is none."""
    return gzip.compress(b"", mtime=0)[:10] + _deflated(b" ") + bytes(8)
