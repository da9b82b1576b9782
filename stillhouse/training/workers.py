"""The processes that share the candidates of one search: each computes every so-manieth, and all have what any of them has computed.

What a candidate comes to lies in a folder of its own, as a checkpoint does, so a search that was killed goes on with those that are done.
Where there is one process alone, which is the rule, nothing is written.

Processes of one machine end together. Processes apart, on machines of which any may be slow, gone, or not there yet, make in the end what
the others have not: a candidate that two have made has the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    ended: Callable[[], str | None] | None


_TEAM: ContextVar[_Team | None] = ContextVar("team", default=None)


@contextmanager
def joined(folder: Path, number: int, count: int, ended: Callable[[], str | None] | None) -> Iterator[None]:
    """This process as one of `count` that share `folder`; `ended` says which of the others is gone, so that nobody waits for it.

    None: they are apart, somebody else carries what lies in the folder from one to the other, and this one needs none of them.
    """
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
    longest = max((_made(folders[index], index, work) for index in range(team.number, count, team.count)), default=0.0)
    if team.ended is None:
        for index in _left(folders, team, longest):
            _made(folders[index], index, work)
    for index, folder in enumerate(folders):
        if team.ended is None:  # what has come damaged is made once more
            _made(folder, index, work)
        yield _awaited(folder, team)


def _made(folder: Path, index: int, work: Work) -> float:
    """Makes sure of a candidate; the seconds that it took."""
    began = time.monotonic()
    if progress.newest(folder) is None:
        progress.write(folder, *work(index))
    return time.monotonic() - began


def _left(folders: Sequence[Path], team: _Team, longest: float) -> Iterator[int]:
    """The candidates of others that this process makes, until all are there.

    Who is at work makes its share from the first to the last, so the last one is taken from it. Its only one it may be about to give:
    that is waited for as long as this process took for its own at most, since anything came from anybody.
    """
    expected, heard = len(folders), time.monotonic()
    while missing := [index for index, folder in enumerate(folders) if not _there(folder)]:
        if len(missing) < expected:
            heard = time.monotonic()
        expected = len(missing)
        shares = [[index for index in missing if index % team.count == number] for number in range(team.count)]
        taken = next((share[-1] for share in shares if len(share) > 1), None)
        if taken is None and time.monotonic() - heard < longest:
            time.sleep(_POLL)
            continue
        yield missing[-1] if taken is None else taken
        expected -= 1


def _there(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def _awaited(folder: Path, team: _Team) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    while (found := progress.newest(folder)) is None:
        if said := team.ended and team.ended():
            raise UserError(said)
        time.sleep(_POLL)
    return found
