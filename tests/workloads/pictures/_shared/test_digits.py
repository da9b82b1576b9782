"""The digits of the installed package, against what the package itself reads of its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from stillhouse.contracts.files import read_json
from stillhouse.workloads.pictures._shared.digits import DigitsPointer, read_digits

RAW = Path(__file__).parents[4] / "data/raw/digits.json"


def test_they_are_those_of_the_package() -> None:
    digits = read_digits("digits", DigitsPointer.model_validate(read_json(RAW)))
    bunch = load_digits()
    assert np.array_equal(digits.image, np.round(bunch.images * 255 / 16).astype(np.uint8))
    assert np.array_equal(digits.label, bunch.target)
    few = digits.rows(np.array([5, 2]))
    assert np.array_equal(few.image, digits.image[[5, 2]])
    assert few.label.tolist() == [5, 2]
