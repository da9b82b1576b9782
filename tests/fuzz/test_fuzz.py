"""Every mutated input is accepted or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.fuzz import counts
from tests.fuzz.readers import READERS

_FEWER = {
    "params": 30,
    "model-knowledge": 3,
    "predict-knowledge": 3,
    "model": 20,
    "predict": 20,
    "classify": 40,
    "segment": 30,
    "detect": 30,
}
"""How many inputs of slow readers, by how their names begin."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_no_mutated_input_fails(name: str, tmp_path: Path) -> None:
    found = counts(READERS[name], range(next((count for start, count in _FEWER.items() if name.startswith(start)), 200)), tmp_path)
    assert set(found) <= {"accepted", "refused"}
