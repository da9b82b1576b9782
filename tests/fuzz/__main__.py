"""`python -m tests.fuzz N SEED [READER]`: N inputs a reader from a seed on, in 3 GB; prints the verdicts, fails at any failure."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from tests.fuzz.fuzz import counts
from tests.fuzz.readers import READERS


def main(number: int, seed: int, name: str | None = None) -> int:
    """0 if no reader failed."""
    resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for each in [name] if name else list(READERS):
            found = counts(READERS[each], range(seed, seed + number), Path(folder))
            failed |= any(verdict.startswith("failed") for verdict in found)
            print(f"{each}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.items())), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4]))
