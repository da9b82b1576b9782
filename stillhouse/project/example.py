"""Examples that a new project may begin with: a teacher of this library's own settings with its students and its raw data."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.project.pipeline import TEMPLATE, round_trip


@dataclass(frozen=True)
class Example:
    """`file` holds the settings in which `teacher` stands."""

    teacher: str
    file: str = "params.yaml"


EXAMPLES = {
    "queue": Example("calls"),
    "digits": Example("digits"),
    "knowledge": Example("umls"),
    "temporal": Example("us-income"),
    "segment": Example("scenes", "scenes.yaml"),
    "detect": Example("boxes", "scenes.yaml"),
    "language": Example("tales", "text.yaml"),
    "text_classes": Example("questions", "text.yaml"),
    "static_nodes": Example("blocks", "static_nodes.yaml"),
    "static_edges": Example("blocks", "static_edges.yaml"),
    "static_graphs": Example("rules", "static_graphs.yaml"),
}
DEFAULT = "queue"
"""It is generated, so it needs no further package, and it runs in the shortest time."""


def files(name: str) -> dict[str, str]:
    """Path in the project -> text, of params.yaml and of the raw data.

    Raises:
        UserError: there is no such example.
    """
    if name not in EXAMPLES:
        raise UserError(f"no example is named {name!r}; there are {', '.join(EXAMPLES)}")
    example, yaml, sink = EXAMPLES[name], round_trip(), io.StringIO()
    params = yaml.load(TEMPLATE / example.file)
    _keep(params["teachers"], [example.teacher])
    _keep(params["students"], [key for key, block in params["students"].items() if block["teacher"] == example.teacher])
    yaml.dump(params, sink)
    raw = params["teachers"][example.teacher]["raw"]
    return {"params.yaml": _headed(sink.getvalue(), name), raw: (TEMPLATE / "raw" / Path(raw).name).read_text(encoding="utf-8")}


def _keep(blocks: Any, names: list[str]) -> None:
    for key in [key for key in blocks if key not in names]:
        del blocks[key]


def _headed(text: str, name: str) -> str:
    """The file's first comments speak of all examples together."""
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        del lines[0]
    return "".join([f"# What there is to do: the example `{name}`, which your own teachers and students may replace.\n", *lines])
