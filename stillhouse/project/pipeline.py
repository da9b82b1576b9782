"""dvc.yaml of a project elsewhere: this library's own, with the installed version in the place of the code."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

TEMPLATE = Path(__file__).parent / "template"
VERSION_FILE = "stillhouse.yaml"
_CODE = ("stillhouse/", "stages/")


def text() -> str:
    """The text of dvc.yaml as this version writes it."""
    yaml, sink = round_trip(), io.StringIO()
    pipeline = yaml.load(TEMPLATE / "pipeline.yaml")  # under its own name DVC would take it for a second pipeline of this repository
    for entry in pipeline["stages"].values():
        stage = entry.get("do", entry)
        for path in [path for path in stage["deps"] if path.startswith(_CODE)]:
            stage["deps"].remove(path)
        stage["params"].append(_version_parameter())
    yaml.dump(pipeline, sink)
    return sink.getvalue()


def digest(content: str) -> str:
    """By which a dvc.yaml that nobody has edited is known again."""
    return hashlib.sha256(content.encode()).hexdigest()


def round_trip() -> YAML:
    """A reader and writer that keeps comments, quotes and the form of lists."""
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 140
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _version_parameter() -> CommentedMap:
    names = CommentedSeq(["version"])
    names.fa.set_flow_style()
    parameter: Any = CommentedMap({VERSION_FILE: names})
    parameter.fa.set_flow_style()
    return parameter
