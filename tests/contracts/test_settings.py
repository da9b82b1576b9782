"""Settings refuse numbers that no tensor could hold, in whatever class they stand."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stillhouse.contracts.settings import Settings
from stillhouse.training.fit import FitSettings


class _Sized(Settings):
    width: int = 1
    share: float = 0.5


@pytest.mark.parametrize("values", [{"width": 2**63}, {"width": -(2**70)}, {"share": float("nan")}, {"share": float("inf")}])
def test_a_number_out_of_range_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        _Sized.model_validate(values)


def test_the_largest_is_taken() -> None:
    assert _Sized(width=2**63 - 1).width == 2**63 - 1


@pytest.mark.parametrize("rate", [1e38, 0.0, -1.0, float("nan")])
def test_a_learning_rate_past_any_sense_is_refused(rate: float) -> None:
    with pytest.raises(ValidationError, match="learning_rate"):
        FitSettings(epochs=1, learning_rate=rate)
