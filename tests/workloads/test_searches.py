"""Searches that train nothing cut a smaller network out of every workload's teacher."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stillhouse.searches.uniform import SEARCH
from stillhouse.stages.search import SearchSettings, search
from stillhouse.training import checkpoint
from stillhouse.training.budget import Budget
from tests.workloads.untrained import WORKLOADS, teacher


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_network_is_cut_to_its_budget_and_scored(name: str, tmp_path: Path) -> None:
    made = teacher(name, tmp_path)
    settings = SearchSettings(method="uniform", settings=SEARCH.settings(), budget=Budget(unit="parameters", share=0.5), data=made.data)
    paths = {"prepared": made.prepared, "teacher": made.teacher, "found": tmp_path / "found", "scratch": tmp_path / "scratch"}
    facts = search(settings, made.workload, SEARCH, **paths, rng=torch.Generator().manual_seed(0), log=lambda _: None)
    assert facts["cost"] <= facts["budget"]
    found = checkpoint.read_model(made.workload, tmp_path / "found")
    assert sum(weight.numel() for weight in found.parameters()) <= facts["budget"]
