"""One mutant after the other on a copy of the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FOLDERS = ("stillhouse", "stages", "flows", "tests", "benchmarks", "data/raw", "parts", "docs")
_FILES = ("pyproject.toml", "dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore")
_RED, _GREEN = 1, 0
"""Exit statuses of pytest; any other one means that it could not run the tests."""


@dataclass(frozen=True)
class Mutant:
    """A mistake: the text `old`, which stands once in `file`, becomes `new`, and one of `tests` (pytest's node ids) must go red."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def mutated(self, root: Path) -> str:
        """The file's text with the mistake. Raises ValueError unless `old` stands in it exactly once."""
        text = (root / self.file).read_text()
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: wanted {self.old!r} once in {self.file} - it is there {count} times: mend tests/mutants")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant, as words: "killed", or why not; and what its tests printed."""

    mutant: str
    words: str
    output: str = ""


def copied(root: Path, place: Path) -> Path:
    """A copy of what the tests need of the sources; links stay links."""
    for folder in _FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", ".work")
        shutil.copytree(root / folder, place / folder, symlinks=True, ignore=ignored)
    (place / ".dvc").mkdir()
    for file in _FILES:
        (place / file).parent.mkdir(exist_ok=True)
        shutil.copy(root / file, place / file)
    return place


def tried(mutants: Sequence[Mutant], root: Path) -> list[Verdict]:
    """The verdict on each mutant, printed as it comes; the tests of all of them run once before, without a mistake."""
    status, output = _run(root, tuple(dict.fromkeys(test for mutant in mutants for test in mutant.tests)))
    if status != _GREEN:
        return [Verdict("none", "the tests are red without a mistake", output)]
    found = []
    for mutant in mutants:
        found.append(_verdict(mutant, root))
        print(f"{found[-1].words:10} {mutant.name}", flush=True)
    return found


def _verdict(mutant: Mutant, root: Path) -> Verdict:
    try:
        mutated = mutant.mutated(root)
    except ValueError as error:
        return Verdict(mutant.name, "gone", str(error))
    file = root / mutant.file
    original = file.read_text()
    file.write_text(mutated)
    status, output = _run(root, mutant.tests)
    file.write_text(original)
    return Verdict(mutant.name, {_RED: "killed", _GREEN: "survived"}.get(status, "not tried"), output)


def _run(root: Path, tests: Sequence[str]) -> tuple[int, str]:
    """pytest's exit status and output; nothing is compiled into files, which would be found again after the mistake is taken back."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(root / ".examples"),
    }
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
