"""Values are chosen by the validation split alone."""

from __future__ import annotations

from benchmarks._choices import best, chosen, named

VALUES = (0.5, 2.0)


def rows(valid: tuple[float, float], test: tuple[float, float]) -> list[dict[str, object]]:
    return [
        {"set": "s", "method": named("m", value), "metric": metric, "mean": mean, "sd": 0.1, "seeds": 3}
        for metric, means in (("valid", valid), ("quality", test))
        for value, mean in zip(VALUES, means, strict=True)
    ]


def test_the_best_on_the_validation_split_is_chosen_whatever_the_test_split_says():
    found = chosen(rows((0.1, 0.2), (0.9, 0.3)), "m", VALUES)
    told = {row["metric"]: (row["method"], row["mean"]) for row in found}
    assert told == {"valid": ("m", 0.2), "quality": ("m", 0.3), "chosen": ("m", 2.0)}


def test_the_first_of_equals_is_chosen():
    assert best(rows((0.2, 0.2), (0.1, 0.9)), "m", VALUES) == 0.5
