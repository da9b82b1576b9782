"""The processes that share the candidates of one search: each computes every so-manieth, and all have what any of them has computed.

What a candidate comes to lies in a folder of its own, as a checkpoint does, so a search that was killed goes on with those that are done.
Where there is one process alone, which is the rule, nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.training import progress

Work = Callable[[int], tuple[Mapping[str, Tensor], Mapping[str, Any]]]
"""The tensors and the facts (JSON) of a candidate by its number, which follow from that alone: what it draws it seeds itself."""
_POLL = 0.02


@dataclass(frozen=True)
class _Team:
    folder: Path
    number: int
    count: int
    ended: Callable[[], str | None]


_TEAM: ContextVar[_Team | None] = ContextVar("team", default=None)


@contextmanager
def joined(folder: Path, number: int, count: int, ended: Callable[[], str | None]) -> Iterator[None]:
    """This process as one of `count` that share `folder`; `ended` says which of the others is gone, so that nobody waits for it."""
    token = _TEAM.set(_Team(folder, number, count, ended))
    try:
        yield
    finally:
        _TEAM.reset(token)


def first() -> bool:
    """Whether this is the process that writes what the search has found."""
    team = _TEAM.get()
    return team is None or team.number == 0


def shared(name: str, count: int, work: Work) -> Iterator[tuple[Mapping[str, Tensor], Mapping[str, Any]]]:
    """work(0), work(1), ... in this order, whoever computes them; `name` tells the rounds of one search apart.

    Raises UserError if one of the other processes has ended that was to compute what is wanted.
    """
    team = _TEAM.get()
    if team is None:
        yield from map(work, range(count))
        return
    folders = [team.folder / f"{name}{index + 1}" for index in range(count)]
    for index in range(team.number, count, team.count):
        if progress.newest(folders[index]) is None:
            progress.write(folders[index], *work(index))
    for folder in folders:
        yield _awaited(folder, team)


def _awaited(folder: Path, team: _Team) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    while (found := progress.newest(folder)) is None:
        if said := team.ended():
            raise UserError(said)
        time.sleep(_POLL)
    return found
