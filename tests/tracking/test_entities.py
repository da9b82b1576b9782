"""What people call their metrics and settings is given to MLflow under names that it takes."""

from __future__ import annotations

import pytest
from mlflow.utils.validation import _validate_metric_name

from stillhouse.tracking import entities


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("map@0.5", "map_at_0.5"),
        ("größe/a:b c", "größe/a:b c"),
        ("a{b}?", "a_b__"),
        ("/abs", "abs"),
        ("../up//./on/", "up/on"),
        ("..", "_"),
        (" ", " "),
        ("x" * 249 + "/y", "x" * 249),
        ("x" * 400, "x" * 250),
    ],
)
def test_any_name_becomes_one_that_mlflow_takes(given: str, taken: str) -> None:
    assert entities.name(given) == taken
    _validate_metric_name(taken)


def test_what_has_no_name_gets_none() -> None:
    assert entities.name("") == ""
