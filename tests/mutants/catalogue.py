"""The list of mutants, read from mutants.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.mutants.trial import Mutant

MUTANTS = [
    Mutant(name, entry["file"], entry["old"], entry["new"], tuple(entry["tests"]))
    for name, entry in tomllib.loads(Path(__file__).with_name("mutants.toml").read_text()).items()
]
