"""What is asked of a node: one stage at one state of the project, as the parameters of a run of Prefect's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Packed:
    """What a stage takes along, as the remote has it: texts by their SHA-256, "" for one that is empty."""

    commit: str
    prefix: str
    """Where the project lies in its repository."""
    patch: str
    """What lies on top of the commit."""
    lock: str
    """dvc.lock."""
    packages: str
    """The list of packages."""


@dataclass(frozen=True)
class Job:
    """One stage to be run."""

    project: str
    """Which all clones of a project have in common."""
    remote: Mapping[str, str]
    """Name, address and options of the project's DVC remote."""
    packed: Packed
    stage: str
    key: str
    """The fingerprint of the result."""
    before: tuple[str, ...]
    """The stages and .dvc files whose outputs it reads."""
    execution: str
    owner: str
    flow_run: str
    gpu: int = 0
    alone: bool = False
    forced: bool = False
    afresh: bool = False
    timeout: float | None = None
    number: int = 0
    """Which of `count` nodes that share the candidates of a search, the first of which makes the result."""
    count: int = 1

    @property
    def title(self) -> str:
        """What a person calls it."""
        return self.stage if self.count == 1 else f"{self.stage} ({self.number + 1} of {self.count})"

    def parameters(self) -> dict[str, Any]:
        """For Prefect."""
        return {"job": asdict(self)}


_FORM = TypeAdapter(Job)


def read(parameters: Mapping[str, Any]) -> Job:
    """The inverse of `parameters`. Raises KeyError, TypeError or ValueError at what is none."""
    return _FORM.validate_python(parameters["job"])
