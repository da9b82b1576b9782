"""Every mutated input is accepted or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.fuzz import counts
from tests.fuzz.readers import READERS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_no_mutated_input_fails(name: str, tmp_path: Path) -> None:
    found = counts(READERS[name], range(30 if name == "params" else 200), tmp_path)
    assert set(found) <= {"accepted", "refused"}
