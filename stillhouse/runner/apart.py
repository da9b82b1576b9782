"""A stage as one of several on different machines that share the candidates of a search.

The first is the stage as ever, and the only one that writes. The others run the same verb with the same settings and seed; whoever started
them carries the folder of candidates from machine to machine.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.record import hashes
from stillhouse.record.part import CANDIDATES, Part
from stillhouse.record.run_record import Execution
from stillhouse.runner import launch, run
from stillhouse.runner.run import Call, Run


def joined(ready: Run, part: Part) -> AbstractContextManager[None]:
    """This process as one of them."""
    from stillhouse.training import workers

    return workers.joined(ready.scratch / CANDIDATES, part.number, part.count, None)


def follow(verb: str, name: str, part: Part) -> None:
    """One of the others, from its start to its end.

    Raises:
        UserError: what it reads is not what the first one reads.
    """
    call = Call(verb, name, part.stage, Path(), Execution("", "", managed=True), None)
    before = hashes.take(call.stage, Path())
    fingerprint = run.identify(call, before)
    if fingerprint.key != part.key:
        raise UserError(f"{part.stage} reads something else here than where its search began: wanted the same commit and kind of device")
    ready = run.prepare(call, before, fingerprint)
    with joined(ready, part):
        launch.accompany(ready, ready.scratch / "apart")
