"""The benchmark beside other pruners on a network of a few channels and noise: budgets, epochs, choices and paired differences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

from benchmarks import _cells, _rival_networks, prune_rivals
from benchmarks._rival_networks import Split
from stillhouse.contracts.files import read_json, write_json


def _noise(data: Path, counts: dict[str, int]) -> dict[str, Split]:
    rng = torch.Generator().manual_seed(0)
    sizes = {"train": counts["train"], "valid": counts["valid"], "test": 24}
    return {
        name: {"pixel_values": torch.randn(size, 1, 8, 8, generator=rng), "labels": torch.randint(3, (size,), generator=rng)}
        for name, size in sizes.items()
    }


def _net() -> nn.Module:
    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8], "depths": [2], "layer_type": "basic"}
    return hf.ResNetForImageClassification(hf.ResNetConfig(num_channels=1, num_labels=3, **sizes))


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    own = {"networks": "net", "seeds": 1, "choice_seeds": [99], "counts": {"train": 16, "valid": 8}, "batch_size": 8, "teacher_epochs": 1}
    monkeypatch.setattr(prune_rivals, "settings", prune_rivals.settings | own | {"search_epochs": 2, "student_epochs": 1})
    monkeypatch.setitem(_rival_networks.NETWORKS, "net", (_noise, _net))
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    monkeypatch.setattr(prune_rivals._torch_pruning, "AVAILABLE", False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    prune_rivals._subject.cache_clear()
    prune_rivals._teacher.cache_clear()


def test_every_method_is_measured_inside_its_budget_with_both_trainings(tmp_path: Path) -> None:
    rows = {(row["set"], row["method"], row["metric"]): row["mean"] for row in prune_rivals.run(tmp_path)}
    for share in (0.5, 0.25):
        for title in ("distilled", "task alone"):
            group = f"net at {share:g}, {title}"
            for method in ("dms", "magnitude", "uniform", "random"):
                assert 0.7 * share < rows[group, method, "macs_share"] <= share
                assert 0 <= rows[group, method, "accuracy"] <= 1
            ahead = rows[group, "dms", "accuracy"] - rows[group, "uniform", "accuracy"]
            assert rows[group, "uniform", "dms_ahead"] == pytest.approx(ahead)
    assert not any(method.startswith("Torch-Pruning") for _, method, _ in rows)


@pytest.mark.parametrize("method", ["dms", "random", "uniform", "magnitude"])
def test_all_methods_train_for_as_many_epochs(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that trains takes its epochs from those of the student, of two batches each here."""
    prune_rivals._teacher("net", tmp_path, 0)
    seen: list[int] = []
    loss = _rival_networks.Subject.loss
    monkeypatch.setattr(_rival_networks.Subject, "loss", staticmethod(lambda output, batch: seen.append(1) or loss(output, batch)))
    prune_rivals._measured(tmp_path, prune_rivals._cell("net", 0.5, method, 1e-3, 0))
    searching = 2 if method in prune_rivals.TRAINED else 0
    assert len(seen) == 2 * (searching + 2 * (3 - searching))


def test_a_rate_is_valued_by_validation_over_cells_and_trainings() -> None:
    cells = [prune_rivals._choice("net", method, 1e-3, 2e-2, 99) for method in ("dms", "uniform")]
    for cell, values in zip(cells, ((0.9, 0.2), (0.5, 0.8)), strict=True):
        write_json(cell.folder / "metrics.json", {title: {"valid": value} for title, value in zip("ab", values, strict=True)})
    assert prune_rivals._valid(cells) == pytest.approx(0.6)


def test_differences_are_those_of_the_same_seed() -> None:
    """By hand: 0.1, 0.3 and 0.2 are 0.2 on average; their deviation is 0.1 and t = 4.3027 for two degrees of freedom."""
    cells = []
    for method, values in {"dms": (0.5, 0.9, 0.6), "uniform": (0.4, 0.6, 0.4)}.items():
        for seed, value in enumerate(values):
            cells.append(prune_rivals._cell("net", 0.5, method, 1e-3, seed))
            write_json(cells[-1].folder / "metrics.json", {"net at 0.5": {"accuracy": value}})
    assert read_json(cells[0].folder / "metrics.json")
    (row,) = prune_rivals._ahead(cells)
    assert (row["set"], row["method"], row["seeds"]) == ("net at 0.5", "uniform", 3)
    assert row["mean"] == pytest.approx(0.2)
    assert row["sd"] == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
