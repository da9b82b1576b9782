"""How long an execution will still take, from how long its stages took before in this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stillhouse.flows.graph import Node
from stillhouse.record import durations


def expected(folder: Path, nodes: Sequence[Node]) -> dict[str, float]:
    """Seconds by stage: what it took last, else what the last stage of the same verb took, 0 if there is nothing to compute.

    A stage of which nothing is known is left out.
    """
    stages, verbs = dict[str, float](), dict[str, float]()
    for _, stage, seconds in sorted(durations.noted(folder)):
        stages[stage] = verbs[_verb(stage)] = seconds
    # What is kept is put in place, and data that were added with DVC are only looked at.
    idle = {node.name: 0.0 for node in nodes if node.state in ("kept", "unchanged") or node.name.endswith(".dvc")}
    named = {node.name: stages.get(node.name, verbs.get(_verb(node.name))) for node in nodes}
    return {name: seconds for name, seconds in named.items() if seconds is not None} | idle


def _verb(stage: str) -> str:
    return stage.partition("@")[0]


def left(nodes: Sequence[Node], seconds: Mapping[str, float], at_once: int) -> float:
    """Seconds until all nodes, predecessors first, have ended if so many run at once; one without a number counts as 0.

    As in the flow, a stage begins when all that it needs has ended and a place is free, and one that is `alone` when no other runs.
    """
    now, waiting, running = 0.0, list(nodes), dict[str, float]()
    while waiting or running:
        open_names = {node.name for node in waiting} | running.keys()
        free = [node for node in waiting if not open_names & set(node.after) and not (node.alone and running)]
        if free and len(running) < at_once and not any(node.alone for node in nodes if node.name in running):
            waiting.remove(free[0])
            running[free[0].name] = now + seconds.get(free[0].name, 0.0)
            continue
        first = min(running, key=running.__getitem__)
        now = running.pop(first)
    return now


def words(nodes: Sequence[Node], seconds: Mapping[str, float], at_once: int) -> str:
    """The time that some nodes take: "about 3 min", "at least 3 min (nothing is known of teach@rings)" or "no estimate"."""
    unknown = [node.name for node in nodes if node.name not in seconds]
    span = left(nodes, seconds, at_once)
    if unknown and not span:
        return "no estimate (no stage like these has run here)"
    return f"at least {_span(span)} (nothing is known of {', '.join(unknown)})" if unknown else f"about {_span(span)}"


def _span(seconds: float) -> str:
    if seconds < 10:
        return "10 s"
    if seconds < 95:
        return f"{round(seconds, -1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
