"""What a search proposes is looked at before anything is chosen by it: a wrong cost or architecture would be kept without a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from numbers import Integral
from typing import Any

import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem, Trial
from stillhouse.space.blueprint import Architecture, Group
from stillhouse.space.cost import counts_of


def each(problem: Problem[Any], trials: object) -> Iterator[Trial]:
    """The trials of a method, each with its cost as it is counted here: the budget is not the method's to judge.

    Raises UserError, with the number of the trial, at what is none, and where its architecture is none of this problem.
    """
    if not isinstance(trials, Iterable):
        raise UserError(f"the search - wanted trials, one `yield` for each - got a {type(trials).__name__}")
    for number, trial in enumerate(trials, start=1):
        if mistake := _mistake(problem, trial):
            raise UserError(f"trial {number} of the search - {mistake}")
        # As Python's own numbers, since those of NumPy are no JSON.
        architecture = Architecture({name: tuple(map(int, indices)) for name, indices in trial.architecture.kept.items()})
        yield replace(trial, architecture=architecture, cost=float(problem.cost(counts_of(problem.groups, architecture))))


def require_weights(problem: Problem[Any], trial: Trial) -> None:
    """Raises UserError unless its weights, if it has some, are finite numbers that fit the network of its architecture."""
    if trial.weights is None:
        return
    with torch.random.fork_rng():
        wanted = problem.static(trial.architecture).state_dict()
    if wrong := sorted(wanted.keys() ^ trial.weights.keys()):
        raise UserError(f"weights of the search's best trial - wanted those of its static network - {wrong[0]!r} is in one of them alone")
    for name, tensor in trial.weights.items():
        if tensor.shape != wanted[name].shape:
            got = f"got {tuple(tensor.shape)}: `extract(supernet, architecture)` cuts them"
            raise UserError(f"weights of the search's best trial - wanted {tuple(wanted[name].shape)} as {name!r} - {got}")
        if not torch.isfinite(tensor).all():
            raise UserError(f"weights of the search's best trial - wanted finite numbers - {name!r} has others")


def _mistake(problem: Problem[Any], trial: object) -> str:
    if not isinstance(trial, Trial):
        return f"wanted a Trial - got a {type(trial).__name__}"
    if mistake := _of_architecture(problem.groups, trial.architecture):
        return mistake
    if not isinstance(trial.metrics, Mapping) or not trial.metrics:
        return "wanted metrics by name, of which the first decides - there are none: problem.validate(network) gives them"
    return ""


def _of_architecture(groups: tuple[Group, ...], architecture: object) -> str:
    if not isinstance(architecture, Architecture):
        return f"wanted an Architecture - got a {type(architecture).__name__}"
    names = {group.name for group in groups}
    if wrong := sorted(names ^ architecture.kept.keys()):
        return f"wanted kept elements of each of the groups {', '.join(sorted(names))} - {wrong[0]!r} is wrong or missing"
    return next((mistake for group in groups if (mistake := _of_group(group, architecture.kept[group.name]))), "")


def _of_group(group: Group, kept: object) -> str:
    indices = list(kept) if isinstance(kept, Iterable) else []
    whole = all(isinstance(index, Integral) and 0 <= int(index) < group.size for index in indices)
    if not whole or any(first >= second for first, second in pairwise(indices)):
        return f"wanted kept elements of {group.name!r}, numbers from 0 to {group.size - 1} that rise - got {kept!r:.100}"
    if len(indices) < group.minimum:
        return f"wanted {group.minimum} kept elements of {group.name!r} at least - got {len(indices)}"
    return ""
