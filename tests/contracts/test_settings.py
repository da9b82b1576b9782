"""Settings refuse numbers that no tensor could hold, in whatever class they stand."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stillhouse.contracts.settings import Settings, first_mistake
from stillhouse.training.fit import FitSettings


class _Sized(Settings):
    width: int = 1
    share: float = 0.5


@pytest.mark.parametrize("values", [{"width": 2**63}, {"width": -(2**70)}, {"share": float("nan")}, {"share": float("inf")}])
def test_a_number_out_of_range_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        _Sized.model_validate(values)


@pytest.mark.parametrize("name", ["width", "share"])
def test_true_is_no_number(name: str) -> None:
    with pytest.raises(ValidationError) as told:
        _Sized.model_validate({name: True})
    assert [(mistake["loc"], mistake["msg"]) for mistake in told.value.errors()] == [((name,), "Value error, should be a number")]
    assert FitSettings(epochs=1, learning_rate=0.1, compile=True).compile is True


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"width": "wide"}, "it should be a valid integer, unable to parse string as an integer, got 'wide'"),
        ({"width": [1]}, "it should be a valid integer, got a list"),
        ({"height": 1}, "there is no such setting"),
    ],
)
def test_a_mistake_of_a_file_is_told_in_plain_words(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        _Sized.model_validate(given)
    assert first_mistake(error.value) == (next(iter(given)), told)


def test_the_largest_is_taken() -> None:
    assert _Sized(width=2**63 - 1).width == 2**63 - 1


@pytest.mark.parametrize("rate", [1e38, 0.0, -1.0, float("nan")])
def test_a_learning_rate_past_any_sense_is_refused(rate: float) -> None:
    with pytest.raises(ValidationError, match="learning_rate"):
        FitSettings(epochs=1, learning_rate=rate)
