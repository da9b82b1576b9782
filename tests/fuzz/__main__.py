"""`python -m tests.fuzz N SEED [READER]`: N inputs a reader from a seed on; prints the verdicts, keeps and names the inputs that failed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz.fuzz import entries, verdicts
from tests.fuzz.reader import write
from tests.fuzz.readers import READERS

KEPT = Path(".work") / "fuzz"
"""Where inputs that failed are put, by reader and seed."""
_TOLD = 20


def main(number: int, seed: int, name: str | None = None) -> int:
    """0 if no reader failed."""
    failed = [_fuzz(each, range(seed, seed + number)) for each in ([name] if name else READERS)]
    return int(any(failed))


def _fuzz(name: str, seeds: range) -> bool:
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed, verdict in verdicts(READERS[name], seeds, Path(folder)):
            found[verdict.split(":")[0]] += 1
            if verdict.startswith("failed"):
                print(f"{name}, seed {seed}: {verdict}", flush=True) if found["failed"] <= _TOLD else None
                _keep(name, seed)
    print(f"{name}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.items())), flush=True)
    return found["failed"] > 0


def _keep(name: str, seed: int) -> None:
    folder = KEPT / f"{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(entries(READERS[name], seed), folder)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4]))
