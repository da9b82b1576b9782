"""One stage from its start to its end, the same for every verb.

What the stage reads is hashed before anything is imported that could change meanwhile, and again at the end: DVC itself hashes
dependencies only when a command has ended, and would record code that was edited while the stage ran.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import sweep
from stillhouse.record import durations, hashes, outbox, process, revision
from stillhouse.record.hashes import Inputs
from stillhouse.record.run_record import Status
from stillhouse.runner import launch, results, run, usage
from stillhouse.runner.compose import Seen, compose
from stillhouse.runner.entries import Entries
from stillhouse.runner.fingerprint import Fingerprint, differences
from stillhouse.runner.run import Call, Run


def run_stage(call: Call) -> None:
    """Makes sure of a stage's result: puts it in place if it is known, else runs the verb and leaves a record of it for the tracker.

    Raises UserError if an input changed meanwhile, or another process runs this stage; then what was in place before is there again.
    """
    started, before = time.monotonic(), hashes.take(call.stage, Path())
    with process.lease(call.home / "lease"):
        for suffix in (".json", ".csv"):
            sweep(call.destination.with_name(call.destination.name + suffix))
        run.clear(call)
        try:
            fingerprint = run.identify(call, before)
            with results.alone(fingerprint.key):
                if os.environ.get(process.AFRESH) or not _known(call, before, fingerprint):
                    seen = Seen(revision.take(Path(), before.inputs, Entries.read().secrets))
                    _compute(run.prepare(call, before, fingerprint), seen)
                    durations.note(Path(), call.stage, time.monotonic() - started)
        except BaseException:
            try:
                results.put_back(call.stage)
            finally:
                run.clear(call, failed=True)
            raise


def _known(call: Call, before: Inputs, fingerprint: Fingerprint) -> bool:
    """Puts the result of this fingerprint in place, if there is one."""
    result = results.find(fingerprint.key)
    if result is None or not results.put(result, call.stage, call.destination):
        return False
    _refuse_changes(call, before)
    made = f" by {result.stage}" if result.stage != call.stage else ""
    other = differences(result.environment, fingerprint.environment)
    print(f"kept: nothing that can change the result has changed since it was made{made}" + (f" ({'; '.join(other)})" if other else ""))
    run.mark_done(call, fingerprint)
    return True


def _compute(ready: Run, seen: Seen) -> None:
    call = ready.call
    try:
        with usage.sampled(seen.usage), launch.together(ready):
            metrics = run.execute(ready)
    except BaseException as error:
        _tell(ready, seen, "KILLED" if isinstance(error, process.Stopped) else "FAILED", {}, error)
        raise
    _refuse_changes(call, ready.before)
    run.install(ready, metrics)
    # First it is told, then it is known: a known result is not computed again, and would never be told.
    _tell(ready, seen, "FINISHED", metrics)
    results.note(ready.fingerprint, call.stage, call.destination)
    run.mark_done(call, ready.fingerprint)
    run.prune(ready)


def _refuse_changes(call: Call, before: Inputs) -> None:
    changed = before.changes(hashes.take(call.stage, Path()))
    if changed:
        raise UserError(f"{call.stage}: changed while it ran, so its result is not recorded: {', '.join(changed)}; run it again")


def _tell(ready: Run, seen: Seen, status: Status, metrics: Mapping[str, float], error: BaseException | None = None) -> None:
    """Leaves the record of the run in the outbox; where no flow has started a process that empties it, this does."""
    root, execution = ready.call.root, ready.call.execution
    outbox.leave(root, compose(ready, seen, status, metrics, error))
    if not execution.managed:
        outbox.make_sure(root, execution.owner)
