"""Which of the stages that DVC finds due need no work, because what they would make is known already."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.flows.graph import Node
from stillhouse.record import hashes, text
from stillhouse.runner import checked, fingerprint, results
from stillhouse.runner.entries import Entries
from stillhouse.runner.fingerprint import Fingerprint
from stillhouse.runner.results import Result
from stillhouse.runner.run import output_of

Check = Callable[[], None]
"""Checks params.yaml and keeps what it has found; raises UserError with the mistakes."""


def check_alone() -> None:
    """In a process of its own: to check params.yaml imports the parts, and PyTorch with them."""
    done = subprocess.run([sys.executable, "-m", "stillhouse.stages", "check"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(done.stderr.strip())


def settle(nodes: Sequence[Node], check: Check = check_alone) -> tuple[Node, ...]:
    """The nodes, predecessors first, of the project in the working folder, with the state `kept` where a result is known.

    What is only `maybe` due becomes `unchanged` where everything before it is as it was. A result that was made with other versions
    of packages, or on another kind of device, is named, and due if params.yaml says `environment: due`. Raises UserError with the mistakes
    in params.yaml if anything is due.
    """
    entries = Entries.read()
    nodes = tuple(_with_environment(node, entries) for node in nodes)
    if all(node.state == "unchanged" for node in nodes):
        return nodes
    known = _Known(entries, _settings(entries, check))
    settled = tuple(node if node.state == "unchanged" else known.settled(node) for node in nodes)
    text.keep()
    return settled


def foreseen(*, afresh: bool) -> Callable[[Node], str | None]:
    """The fingerprint of what a stage would make of what lies there now; None if it cannot be told, or its result is known.

    `afresh`: no known result counts.
    """
    entries = Entries.read()
    known = _Known(entries, _settings(entries, check_alone))

    def key(node: Node) -> str | None:
        verb, _, name = node.name.partition("@")
        mark = known.mark(node, hashes.reads(node.name, Path()))
        return mark.key if mark and (afresh or not known.result(node, mark, output_of(verb, name or None))) else None

    return key


def _settings(entries: Entries, check: Check) -> dict[str, Any]:
    if (kept := checked.read(entries)) is not None:
        return kept
    check()
    return checked.read(entries) or {}


def _with_environment(node: Node, entries: Entries) -> Node:
    verb, _, name = node.name.partition("@")
    if node.state != "unchanged" or not name or node.name.endswith(".dvc"):
        return node
    output = output_of(verb, name)
    made = results.told(output.with_name(f"{output.name}.json"))
    if made and (fingerprint.DETERMINISTIC in made) != entries.deterministic:  # DVC does not see a setting that may be missing
        reason = f"deterministic: {not entries.deterministic} -> {entries.deterministic}".lower()
        return replace(node, state="due", forced=True, reasons=(reason,))
    if not (other := fingerprint.differences(made, fingerprint.now(made))):
        return node
    reasons = tuple(f"made with another environment: {difference}" for difference in other)
    return replace(node, state="due", forced=True, reasons=reasons) if entries.environment == "due" else replace(node, reasons=reasons)


class _Known:
    """The outputs to come: `_changed` has the hashes of those that will differ from what lies there, `_open` are not known.

    `_open` has in place of a hash what stands for it: the fingerprint of the stage, taken with what stands for its own open inputs. Two
    stages with the same one make the same result; `_first` has the first of them.
    """

    def __init__(self, entries: Entries, settings: dict[str, Any]) -> None:
        self._entries, self._settings = entries, settings
        self._changed: dict[str, str] = {}
        self._open: dict[str, str] = {}
        self._first: dict[str, str] = {}

    def settled(self, node: Node) -> Node:
        """The node with its state; what it will write is then known or open."""
        if node.name.endswith(".dvc"):  # data that were added with DVC, which has to write down what they are now
            return node
        verb, _, name = node.name.partition("@")
        output = str(output_of(verb, name or None))
        wanted = {path: self._changed.get(path, md5) for path, md5 in hashes.reads(node.name, Path()).items()}
        if node.forced or self._is_open(wanted):
            return self._opened(node, wanted, output)
        if node.state == "maybe" and not self._changed.keys() & wanted.keys():
            return replace(node, state="unchanged", reasons=())
        mark = self.mark(node, wanted)
        if mark is None or (result := self.result(node, mark, Path(output))) is None:
            return self._opened(node, wanted, output)
        if hashes.outputs(node.name, Path()).get(output) != result.md5:
            self._changed[output] = result.md5
        return replace(node, state="kept")

    def _opened(self, node: Node, wanted: dict[str, str], output: str) -> Node:
        """A node whose output is not known before it has run."""
        mark = self.mark(node, {path: self._open.get(path, md5) for path, md5 in wanted.items()})
        key = mark.key if mark else node.name
        self._open[output] = key
        first = self._first.setdefault(key, node.name)
        return node if first == node.name else replace(node, same_as=first)

    def mark(self, node: Node, inputs: dict[str, str]) -> Fingerprint | None:
        """The fingerprint of what a stage would make of some inputs, None where one is not there."""
        verb, _, name = node.name.partition("@")
        settings = self._settings.get(node.name, self._entries.pairs() if verb == "compare" else None)
        if settings is None or not all(inputs.values()):
            return None
        return fingerprint.take(verb, name or None, inputs, settings, self._entries)

    def _is_open(self, wanted: Iterable[str]) -> bool:
        """Whether one of some paths is, holds or lies in what is still to be made."""
        waiting = [*self._open, *(path for path in self._changed if path not in wanted)]
        return any(Path(made).is_relative_to(path) for path in wanted for made in waiting) or any(path in self._open for path in wanted)

    def result(self, node: Node, mark: Fingerprint, output: Path) -> Result | None:
        """The known result of a fingerprint, if its bytes can be had."""
        result = results.find(mark.key) or results.adopt(mark, node.name, output)
        return result if result and results.is_there(result, node.name, output) else None
