"""The benchmark of networks cut down: all end at the hand-made network's cost, and what leads to it is counted."""

from __future__ import annotations

import pytest

from benchmarks import scaled_down


@pytest.mark.parametrize("family", scaled_down.settings["families"])
def test_networks_are_cut_to_the_cost_of_the_hand_made_one(family: str) -> None:
    methods = dict(scaled_down._methods(family, 1e-2))
    cost = scaled_down.hand_made_macs(family)
    for title in ("dms", "uniform"):
        block = methods[f"{title}@{family}"].block
        assert block["search"]["budget"] == {"unit": "macs", "value": cost}
        assert block["distill"]["start"] == "inherited"
        assert "losses" not in block["distill"]
    for title in scaled_down.CONTROLS:
        block = methods[f"{title}@{family}"].block
        assert block["search"]["model"] == scaled_down.settings["families"][family]["hand-made"]
        assert block["distill"]["start"] == "fresh"
    passes = {title: methods[f"{title}@{family}"].block["distill"]["fit"]["epochs"] for title in ("dms", "hand-made", "longer")}
    assert passes["dms"] == passes["hand-made"] < passes["longer"]


def test_the_larger_network_is_part_of_what_a_cut_one_costs() -> None:
    found = {
        method: scaled_down._in_all({"method": f"{method}@x", "metric": "student_epochs", "mean": 3.0})
        for method in ("dms", "uniform", "longer")
    }
    assert {method: row["mean"] for method, row in found.items()} == {"dms": 23.0, "uniform": 23.0, "longer": 3.0}
    assert {row["metric"] for row in found.values()} == {"epochs_in_all"}
