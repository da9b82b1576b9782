"""Whether a head and a node understand each other: stages must be asked for in the form of both their Stillhouses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes.choose import Need
from stillhouse.flows.nodes.job import Job, Packed, read

FORM = hashlib.sha256(repr([(each.name, each.type) for kind in (Job, Packed, Need) for each in fields(kind)]).encode()).hexdigest()[:8]
"""Of what a job says, by its names and types: another one wherever one of them changes."""
HERE = f"{version('stillhouse')}/{FORM}"
"""What a node says of itself, and a head with all that it asks for."""
OTHER = "take the stages of one Stillhouse alone"
"""By these words a head knows a stage that its node has not begun for this reason."""


def unlike(node: str, there: str, head: str) -> str:
    """Why a node takes no stage of a head, "" where it does. `there`, `head`: their versions and forms, which old ones do not say."""
    (number, _, form), (wanted, _, asked) = there.partition("/"), head.partition("/")
    if form == asked:
        return ""
    of_head = f"the head {wanted}" if wanted != number else "the head another state of that version"
    return f"node {node} has Stillhouse {number}, {of_head}, and nodes {OTHER}: install the same on both, and start the node again"


def wanted(parameters: Mapping[str, Any], node: str) -> Job:
    """What a head asks of a node. Raises UserError where it does so in another form; an old one does not say in which."""
    if reason := unlike(node, HERE, parameters.get("release", HERE)):
        raise UserError(reason)
    try:
        return read(parameters)
    except (KeyError, TypeError, ValueError):
        raise UserError(unlike(node, HERE, "an older one")) from None
