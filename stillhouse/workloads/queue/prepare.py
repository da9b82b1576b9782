"""Raw observations into three tables: light loads, of which a few states are watched, and heavy loads to be asked about."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.workloads.queue.read import Source, read


class PrepareSettings(Settings):
    """What of the raw data a model may see: light loads alone, and of them the watched states alone."""

    states: int | None = Field(None, ge=2)
    """How many states the chain has; what was seen beyond the last is counted there. None takes as many as were seen."""
    watched: tuple[int, ...] = Field((0, 1), min_length=2)
    """The states that training and validation count."""
    light: float | None = Field(None, gt=0)
    """The heaviest load that is trained on; heavier ones are the test. None leaves it to the raw data."""
    valid_share: float = Field(0.2, ge=0, lt=1)
    """The share of the samples under light loads; 0 validates on the training samples, as published."""

    @model_validator(mode="after")
    def _distinct(self) -> PrepareSettings:
        if len(set(self.watched)) < len(self.watched) or min(self.watched) < 0:
            raise ValueError(f"watched should name states from 0, each once: got {list(self.watched)}")
        return self


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with train, valid and test; returns the numbers of samples and states.

    Counts of states that are not watched are written for the test alone.
    """
    source = read(raw, settings.states)
    heavy = _heavy(settings, source, raw)
    states = source.counts.shape[1]
    if (highest := max(settings.watched)) >= states:
        raise UserError(f"{raw} - wanted watched states below {states}, the number of states - got {highest}")
    light = (~heavy).nonzero().squeeze(-1)
    light = light[source.counts[light][:, list(settings.watched)].sum(1) > 0]
    train, valid = _split(light, settings.valid_share, rng)
    test = heavy.nonzero().squeeze(-1)
    _check(raw, train, valid, test, source)
    watched = torch.zeros(states, dtype=torch.long)
    watched[list(settings.watched)] = 1
    for name, rows in (("train", train), ("valid", valid)):
        write_parquet(prepared / f"{name}.parquet", {"load": source.load[rows], "counts": source.counts[rows] * watched})
    write_parquet(prepared / "test.parquet", {"load": source.load[test], "counts": source.counts[test], "full": source.full[test]})
    facts = {"states": states, "watched": sorted(settings.watched), "mean_load": source.load[train].mean().item()}
    write_json(prepared / "facts.json", facts)
    sizes = {"train_samples": len(train), "valid_samples": len(valid), "test_samples": len(test), "states": states}
    return {name: float(size) for name, size in sizes.items()}


def _heavy(settings: PrepareSettings, source: Source, raw: Path) -> Tensor:
    if settings.light is not None:
        return source.load > settings.light
    if source.heavy is None:
        raise UserError(f"{raw} - wanted `light`, the heaviest load to train on, because the data has no split - got none")
    return source.heavy


def _split(light: Tensor, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    if share == 0:
        return light, light
    order = light[torch.randperm(len(light), generator=rng)]
    held_out = max(1, round(share * len(light)))
    return order[held_out:].sort().values, order[:held_out].sort().values


def _check(raw: Path, train: Tensor, valid: Tensor, test: Tensor, source: Source) -> None:
    if not (len(train) and len(valid) and len(test)):
        got = f"{len(train)}, {len(valid)} and {len(test)}"
        wanted = "wanted light samples that saw a watched state, to train and to validate, and heavy ones to test"
        raise UserError(f"{raw} - {wanted} - got {got}")
    if (beyond := (source.full[test] > 1).nonzero()).numel():
        load = source.load[test][beyond[0, 0]].item()
        wanted = "wanted a full queue counted at most as often as the load, of which that is a share"
        raise UserError(f"{raw} - {wanted} - got more under the load {load:g}")
    if not (source.full[test] > 0).any():
        raise UserError(f"{raw} - wanted a heavy load under which the last state was seen - got none among {len(test)} samples")
