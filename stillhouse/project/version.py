"""stillhouse.yaml: the version of this library that a project's results are made with, which DVC counts as a parameter of every stage."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stillhouse.contracts.errors import UserError
from stillhouse.project.pipeline import VERSION_FILE

_TEXT = """\
# Written by `stillhouse init` and `stillhouse upgrade`. pipeline: SHA-256 of dvc.yaml as they wrote it.
version: '{}'
pipeline: {}
"""


@dataclass(frozen=True)
class Recorded:
    """`pipeline` is the hash of dvc.yaml as it was written with that version."""

    version: str
    pipeline: str


def installed() -> str:
    """The version of the installed library."""
    return importlib.metadata.version("stillhouse")


def text(pipeline: str) -> str:
    """stillhouse.yaml for the installed version; `pipeline` is the hash of dvc.yaml."""
    return _TEXT.format(installed(), pipeline)


def recorded(folder: Path) -> Recorded | None:
    """What the project's file says; None in a project that holds the library's code itself.

    Raises:
        UserError: the file cannot be read.
    """
    path = folder / VERSION_FILE
    if not path.exists():
        return None
    try:
        said = YAML(typ="safe").load(path)
        return Recorded(str(said["version"]), str(said["pipeline"]))
    except (YAMLError, KeyError, TypeError):
        raise UserError(
            f"{VERSION_FILE} - wanted a version and a pipeline, as `stillhouse init` writes them - got something else: "
            f"`git restore {VERSION_FILE}` brings it back"
        ) from None


def check(folder: Path) -> None:
    """Results must not be recorded as those of a version that did not make them.

    Raises:
        UserError: the project is of another version than the installed one.
    """
    said = recorded(folder)
    if said and said.version != installed():
        raise UserError(
            f"{VERSION_FILE}: version - wanted the installed {installed()} - got {said.version} - "
            f"`stillhouse upgrade` goes on with this version, `pip install stillhouse=={said.version}` with the former one"
        )
