"""The outputs of stages on their way between a node and the remote: by DVC within this process, which is a second sooner done than its
command, and by the command where that fails: another try, and it says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stillhouse.flows.dvc_command import dvc
from stillhouse.record import remote


def push(folder: Path, stages: Sequence[str]) -> None:
    """Gives the remote what stages have made. Raises UserError with DVC's words."""
    if not remote.moved(folder, "push", stages):
        dvc(folder, "push", *stages)


def pull(folder: Path, stages: Sequence[str]) -> None:
    """Brings what stages have made to its place in the project. Raises UserError with DVC's words."""
    if not remote.moved(folder, "pull", stages):
        dvc(folder, "pull", *stages)
