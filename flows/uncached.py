"""Results that lie in place and are missing in DVC's cache alone, as after it was cleared: they are stored again, not made again.

Left to itself DVC removes them before it runs their stages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvc.lock import LockError
from dvc.repo import Repo, lock_repo

from stillhouse.flows import order
from stillhouse.flows.dvc_command import dvc
from stillhouse.flows.graph import Busy, Node

STATE = "not in cache"


def may_be(nodes: Sequence[Node]) -> bool:
    """Whether any of these stages is due for such a result."""
    return any(reason.endswith(STATE) for node in nodes for reason in node.reasons)


def store(folder: Path) -> list[str]:
    """Stores the results of the stages of which nothing else is said: what they read and made is as dvc.lock has it. Returns their names.

    Raises:
        Busy: a stage is running.
    """
    try:
        # DVC names stages, and paths in its messages, as seen from the working folder.
        with contextlib.chdir(folder), Repo() as repo, lock_repo(repo):
            found = [stage.addressing for stage in order.needs(repo) if _alone(stage.status().get(stage.addressing, []))]
    except LockError as error:
        raise Busy("busy: a stage is running in this folder, so its files cannot be compared yet") from error
    if found:
        dvc(folder, "commit", "--quiet", "--force", *found)
    return found


def _alone(entries: Sequence[Any]) -> bool:
    states = [entry.get("changed outs") if isinstance(entry, dict) else None for entry in entries]
    return bool(states) and all(outs and set(outs.values()) == {STATE} for outs in states)
