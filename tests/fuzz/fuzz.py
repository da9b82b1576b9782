"""What readers make of mutated inputs: accepted, refused in one bounded sentence that names the file, or failed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from stillhouse.contracts.errors import UserError
from tests.fuzz.mutations import mutated
from tests.fuzz.readers import Reader

LONGEST = 2000


def content(reader: Reader, seed: int) -> bytes:
    """The input of a seed."""
    return mutated(reader.valid, random.Random(seed))


def verdict(reader: Reader, data: bytes, folder: Path) -> str:
    """`accepted`, `refused`, or what failed."""
    path = folder / reader.file
    path.write_bytes(data)
    try:
        reader.read(path)
    except UserError as error:
        if len(str(error)) > LONGEST:
            return "failed: a message too long"
        return "refused" if path.name in str(error) else "failed: the file is not named"
    except Exception as error:  # any other exception is what is looked for
        return f"failed: {type(error).__name__}"
    return "accepted"


def counts(reader: Reader, seeds: range, folder: Path) -> Counter[str]:
    """How often each verdict was given."""
    return Counter(verdict(reader, content(reader, seed), folder) for seed in seeds)
