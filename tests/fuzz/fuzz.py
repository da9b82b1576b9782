"""What readers make of mutated inputs: accepted, refused in one bounded sentence that names the file, or failed."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stillhouse.contracts.errors import UserError
from tests.fuzz.children import answers
from tests.fuzz.mutations import mutated
from tests.fuzz.reader import Entry, Reader, write

LINE, LONGEST = 1000, 20_000
"""The most characters of a line and of a message, which may tell of twenty faults."""


def entries(reader: Reader, seed: int) -> dict[str, Entry]:
    """The input of a seed."""
    return mutated(reader, random.Random(seed))


def verdict(reader: Reader, content: dict[str, Entry], folder: Path) -> str:
    """`accepted`, `refused`, or what failed; what lay in `folder` is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write(content, folder)
    return judged(reader, folder)


def judged(reader: Reader, folder: Path) -> str:
    """The verdict on the input in a folder."""
    try:
        reader.read(folder / reader.name)
    except UserError as error:
        if len(str(error)) > LONGEST or max(map(len, str(error).split("\n"))) > LINE:
            return "failed: a message too long"
        return "refused" if reader.name in str(error) else f"failed: the file is not named: {str(error)[:100]}"
    except Exception as error:  # any other exception is what is looked for
        return f"failed: {type(error).__name__}: {str(error)[:100]}{_place(error)}"
    return "accepted"


def verdicts(reader: Reader, seeds: range, folder: Path) -> Iterator[tuple[int, str]]:
    """The verdict of each seed, given in processes of their own: one that dies or takes too long has failed."""
    return answers(lambda seed: verdict(reader, entries(reader, seed), folder / "input"), seeds)


def counts(reader: Reader, seeds: range, folder: Path) -> Counter[str]:
    """How often each verdict was given."""
    return Counter(found for _, found in verdicts(reader, seeds, folder))


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    places = []
    while trace:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f" ({' '.join(places[-4:])})"
