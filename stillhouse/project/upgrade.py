"""A project that goes on with the installed version of the library."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

from stillhouse.contracts.errors import UserError
from stillhouse.project import pipeline, version

Choice = Literal["ask", "keep", "replace"]


def upgrade(folder: Path, choice: Choice = "ask") -> str:
    """Writes the installed version, and this version's dvc.yaml in the place of the one that a former version wrote.

    Returns the version before. `choice` decides about a dvc.yaml that was edited by hand: to keep or to replace it. Raises UserError if
    the project was not made by `stillhouse init`, or if dvc.yaml was edited and nothing is decided.
    """
    said = version.recorded(folder)
    if said is None:
        raise UserError(
            f"{folder} has no {pipeline.VERSION_FILE}: it holds the library's code itself, or `stillhouse init` did not make it"
        )
    now, new = (folder / "dvc.yaml").read_text(encoding="utf-8"), pipeline.text()
    edited = now != new and pipeline.digest(now) != said.pipeline
    if edited and choice == "ask":
        difference = "".join(difflib.unified_diff(new.splitlines(True), now.splitlines(True), "dvc.yaml of this version", "dvc.yaml here"))
        raise UserError(
            f"{difference}dvc.yaml was edited by hand, so it is not replaced: `stillhouse upgrade --pipeline keep` leaves it as it is, "
            "`--pipeline replace` takes the one of this version"
        )
    if not edited or choice == "replace":
        (folder / "dvc.yaml").write_text(new, encoding="utf-8")
    (folder / pipeline.VERSION_FILE).write_text(version.text(pipeline.digest(new)), encoding="utf-8")
    return said.version
