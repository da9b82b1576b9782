"""Who made what of what: the facts that MLflow, dvc.lock and git have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Thing = tuple[str, str]
"""A path and the MD5 that dvc.lock has for what lies there."""
MODELS = ("teach", "distill")
"""The verbs whose output is a model."""
NEVER = 2**63
"""As a start: no run is known, so every run comes before it."""


@dataclass(frozen=True, eq=False)
class Link:
    """One stage that turned inputs into outputs, by path and hash. Without a `run`, dvc.lock alone says so.

    `started` is in milliseconds since 1970; `parameters` are those that differ from their defaults, None if nobody wrote them
    down; `machine` has the device, the number of CPU threads and the versions of packages.
    """

    stage: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    fingerprint: str = ""
    run: str | None = None
    execution: str | None = None
    started: int = NEVER
    deleted: bool = False
    commit: str | None = None
    dirty: bool = False
    parameters: Mapping[str, Any] | None = None
    machine: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> bool:
        """Whether it trained one."""
        return self.stage.partition("@")[0] in MODELS

    def made(self) -> list[Thing]:
        """The outputs without the metrics and curves that lie beside them."""
        beside = {f"{path}.{kind}" for path in self.outputs for kind in ("json", "csv")}
        return [(path, md5) for path, md5 in self.outputs.items() if path not in beside]

    def read(self) -> list[Thing]:
        """The inputs that are data."""
        return [(path, md5) for path, md5 in self.inputs.items() if is_data(path)]


def is_data(path: str) -> bool:
    """Code is everything else that a stage depends on."""
    return path.startswith("data/")


def is_raw(path: str) -> bool:
    """Whether no stage is expected to make it."""
    return path.startswith("data/raw/")


@dataclass
class Links:
    """All links, by what they wrote and by what they read, the oldest first.

    `here` are those of which dvc.lock says that their outputs are in place; `together` has for an execution all of its links.
    """

    all: list[Link]
    here: frozenset[Link]
    executions: Mapping[str, frozenset[str]]
    makers: dict[Thing, list[Link]] = field(default_factory=dict)
    readers: dict[Thing, list[Link]] = field(default_factory=dict)
    _before: dict[Thing, frozenset[Thing]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_run = {link.run: link for link in self.all if link.run}
        for link in self.all:
            self._index(link)

    def add(self, link: Link) -> None:
        """One more, that was found late."""
        self.all.append(link)
        self._before.clear()
        self._index(link)

    def together(self, link: Link) -> frozenset[Link]:
        """What ran with it, or was as it should be when it ran: which of several equal results it is about."""
        if link in self.here:
            return self.here
        runs = self.executions.get(link.execution or "", frozenset())
        return frozenset(self.by_run[run] for run in runs if run in self.by_run)

    def direct(self, link: Link) -> list[Thing]:
        """The data that it read, without those that another part of them was made of: they come with that one."""
        read = link.read()
        behind = set().union(*(self.before(thing) for thing in read))
        return [thing for thing in read if thing not in behind]

    def before(self, thing: Thing) -> frozenset[Thing]:
        """All data that some run made a thing of, and what that was made of."""
        if thing not in self._before:
            self._before[thing] = frozenset()  # a thing that is made of itself ends here
            read = {each for link in self.makers.get(thing, ()) for each in link.read()}
            self._before[thing] = frozenset(read.union(*(self.before(each) for each in read)))
        return self._before[thing]

    def things(self) -> Iterator[Thing]:
        """Everything that was read or written."""
        yield from {**self.makers, **self.readers}

    def _index(self, link: Link) -> None:
        for index, things in ((self.makers, link.outputs), (self.readers, link.inputs)):
            for thing in things.items():
                index.setdefault(thing, []).append(link)


def earliest(links: Iterable[Link]) -> Link | None:
    """The first, and one whose run was not deleted if there is any."""
    return min(links, key=lambda link: (link.run is None, link.deleted, link.started), default=None)
