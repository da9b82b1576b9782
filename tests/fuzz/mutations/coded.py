"""Mutations of coded pictures: chunks of PNG, segments of JPEG, other modes, sizes and formats; and XML, whose elements change places."""

from __future__ import annotations

import copy
import io
import random
import struct
import zlib
from collections.abc import Callable
from xml.etree import ElementTree

from PIL import Image

from tests.fuzz.mutations.damage import damaged

_MAGIC = b"\x89PNG\r\n\x1a\n"
_NUMBERS = (0, 1, 2, 3, 5, 7, 255, 8192, 8193, 65535, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_MODES = ("1", "L", "LA", "I;16", "I", "F", "P", "RGB", "RGBA", "CMYK", "YCbCr")
_SIZES = ((1, 1), (1, 9), (9, 1), (8, 8), (3, 700), (1, 20_000), (2000, 2000))
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "EPS", "PPM", "ICO")
_TEXTS = (
    "",
    "-1",
    "nan",
    "inf",
    "1e400",
    "9" * 5000,
    "x",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "é",
    "1_0",
    "٣",
    "a\tb",
    "1",
    "0",
    "a - b",
)


def coded_mutated(data: bytes, rng: random.Random) -> bytes:
    """Another picture, or the same one whose parts do not fit."""
    if rng.random() < 0.3:
        return _another(rng)
    if rng.random() < 0.1:
        return damaged(data, rng)
    return _png(data, rng) if data.startswith(_MAGIC) else _jpeg(data, rng)


def _another(rng: random.Random) -> bytes:
    sink, size = io.BytesIO(), rng.choice(_SIZES)
    picture = Image.new(rng.choice(_MODES), size)
    kind = rng.choice(("PNG", "PNG", "JPEG", *_FORMATS))
    try:
        picture.save(sink, kind)
    except (OSError, ValueError, KeyError):  # a format that has no such mode, or no such size
        picture.convert("RGB").save(sink, "PNG")
    return sink.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(data: bytes, rng: random.Random) -> bytes:
    chunks, at = [], len(_MAGIC)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += size + 12
    for _ in range(rng.choice((1, 1, 2))):
        chunks = rng.choice(_CHUNKS)(chunks, rng)
    return _MAGIC + b"".join(_chunk(*chunk) for chunk in chunks)


Chunks = list[tuple[bytes, bytes]]


def _header(chunks: Chunks, rng: random.Random) -> Chunks:
    fields = list(struct.unpack(">IIBBBBB", chunks[0][1][:13].ljust(13, b"\0"))) if chunks else [1] * 7
    place = rng.randrange(7)
    fields[place] = rng.choice(_NUMBERS) if place < 2 else rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 255))
    return [(b"IHDR", struct.pack(">IIBBBBB", *fields)), *chunks[1:]]


def _added(chunks: Chunks, rng: random.Random) -> Chunks:
    bomb = zlib.compress(bytes(rng.choice((10, 10**6, 2 * 10**8))), 1)
    extra = (
        (b"PLTE", bytes(rng.choice((0, 1, 3, 768, 769, 3000)))),
        (b"tRNS", bytes(rng.choice((0, 1, 2, 6, 256, 300)))),
        (b"zTXt", b"a\0\0" + bomb),
        (b"iCCP", b"a\0\0" + bomb),
        (b"iTXt", b"a\0\1\0\0\0" + bomb),
        (b"IDAT", bomb),
        (b"acTL", struct.pack(">II", rng.choice(_NUMBERS), 0)),
        (b"fcTL", bytes(rng.choice((0, 26)))),
        (b"eXIf", b"Exif\0\0" + rng.randbytes(30)),
        (b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([rng.randrange(12)]) + b"\0\0\0\0\0\0"),
        (b"pHYs", b""),
        (b"gAMA", b"\0"),
        (rng.randbytes(4), rng.randbytes(9)),
    )
    place = rng.randrange(len(chunks) + 1)
    return [*chunks[:place], rng.choice(extra), *chunks[place:]]


def _lost(chunks: Chunks, rng: random.Random) -> Chunks:
    place = rng.randrange(len(chunks) + 1)
    return [*chunks[:place], *chunks[place + 1 :]]


def _content(chunks: Chunks, rng: random.Random) -> Chunks:
    return [(kind, damaged(content, rng) if rng.random() < 0.4 else content) for kind, content in chunks]


def _shuffled(chunks: Chunks, rng: random.Random) -> Chunks:
    return rng.sample(chunks, len(chunks))


_CHUNKS: tuple[Callable[[Chunks, random.Random], Chunks], ...] = (_header, _added, _lost, _content, _shuffled)


def _jpeg(data: bytes, rng: random.Random) -> bytes:
    """Segments up to the first scan, one of them lost, doubled or of other bytes."""
    parts, at = [], 2
    while at + 4 <= len(data) and data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4])
        parts.append(data[at : at + 2 + size])
        at += 2 + size
    place, kind = rng.randrange(max(1, len(parts))), rng.randrange(5)
    chosen = parts[place : place + 1]
    if kind == 0:
        chosen = []
    elif kind == 1:
        chosen = chosen * rng.choice((2, 300))
    elif kind == 2:
        chosen = [part[:4] + damaged(part[4:], rng) for part in chosen]
    elif kind == 3:
        chosen += [b"\xff\xe1" + struct.pack(">H", 40) + b"Exif\0\0MM\0*" + rng.randbytes(28)]
    else:
        sides = struct.pack(">HH", rng.choice(_NUMBERS) % 65536, rng.choice(_NUMBERS) % 65536)
        parts = [part[:5] + sides + part[9:] if part[1] in (0xC0, 0xC2) else part for part in parts]
        chosen = parts[place : place + 1]
    return data[:2] + b"".join([*parts[:place], *chosen, *parts[place + 1 :]]) + data[at:]


def xml_mutated(data: bytes, rng: random.Random) -> bytes:
    """A tree with one or two elements lost, doubled, renamed, moved, or of other text; or a document type, depth, another encoding."""
    if rng.random() < 0.1:
        return rng.choice(_documents(data))
    root = ElementTree.fromstring(data)
    for _ in range(rng.choice((1, 1, 2))):
        pairs = [(parent, child) for parent in root.iter() for child in parent]
        if pairs:
            rng.choice(_ELEMENTS)(*rng.choice(pairs), rng)
    return ElementTree.tostring(root, encoding=rng.choice(("utf-8", "utf-8", "utf-16", "latin-1")), xml_declaration=True)


def _documents(data: bytes) -> tuple[bytes, ...]:
    entity = b'<!DOCTYPE a [<!ENTITY a "' + b"x" * 1000 + b'"><!ENTITY b "' + b"&a;" * 1000 + b'">]>'
    return (
        *(entity + data, b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + data, b"<a>" * 100_000, b"<object>" * 9000 + b"</object>" * 9000),
        *(b"<?xml version='1.0' encoding='nowhere'?>" + data, b"<?xml version='1.0' encoding='utf-7'?>" + data, b"<annotation/>"),
        *(b"<annotation>" + b"<object/>" * 20_000 + b"</annotation>", data + data, b"\xef\xbb\xbf" + data),
    )


def _text(parent: ElementTree.Element, child: ElementTree.Element, rng: random.Random) -> None:
    child.text = rng.choice(_TEXTS)


def _remove(parent: ElementTree.Element, child: ElementTree.Element, rng: random.Random) -> None:
    parent.remove(child)


def _double(parent: ElementTree.Element, child: ElementTree.Element, rng: random.Random) -> None:
    parent.extend([copy.deepcopy(child)] * rng.choice((1, 3, 2000)))


def _nest(parent: ElementTree.Element, child: ElementTree.Element, rng: random.Random) -> None:
    child.append(copy.deepcopy(parent))


def _rename(parent: ElementTree.Element, child: ElementTree.Element, rng: random.Random) -> None:
    child.tag = rng.choice(("object", "name", "bndbox", "xmin", "x" * 5000, "difficult"))


_ELEMENTS = (_text, _text, _text, _remove, _double, _nest, _rename)
