"""One stage from its start to its end, the same for every verb.

The stage's fingerprint is taken before anything is imported that could change meanwhile, and again at the end: DVC itself hashes
dependencies only when a command has ended, and would record code that was edited while the stage ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.record import hashes, process, revision
from stillhouse.record.run_record import RunRecord, Status
from stillhouse.runner import run, usage
from stillhouse.runner.compose import Seen, compose
from stillhouse.runner.run import Call, Run


def run_stage(call: Call) -> None:
    """Runs the verb, puts its output in place and tells the tracker; raises UserError if an input changed meanwhile."""
    before = hashes.take(call.stage, Path())
    seen = Seen(revision.take(Path(), before.inputs))
    with process.lease(call.home / "lease"):
        ready = run.prepare(call, before)
        try:
            with usage.sampled(seen.usage):
                metrics = run.execute(ready)
        except BaseException as error:
            _tell(ready, seen, "KILLED" if isinstance(error, process.Stopped) else "FAILED", {}, error)
            raise
        _refuse_changes(ready)
        run.install(ready, metrics)
        record = _tell(ready, seen, "FINISHED", metrics)
        _look_again(ready, record)
        run.prune(ready)


def _refuse_changes(ready: Run) -> None:
    changed = ready.before.changes(hashes.take(ready.call.stage, Path()))
    if changed:
        raise UserError(f"{ready.call.stage}: changed while it ran, so its result is not recorded: {', '.join(changed)}; run it again")


def _look_again(ready: Run, record: RunRecord) -> None:
    """Telling the tracker takes seconds, in which somebody may have saved a file."""
    from stillhouse.tracking import outbox

    try:
        _refuse_changes(ready)
    except UserError:
        (ready.scratch / "done.json").unlink(missing_ok=True)
        outbox.withdraw(ready.call.root, record)
        raise


def _tell(ready: Run, seen: Seen, status: Status, metrics: Mapping[str, float], error: BaseException | None = None) -> RunRecord:
    """Leaves the record of the run in the outbox, and lets the tracker empty that."""
    from stillhouse.tracking import outbox

    record = compose(ready, seen, status, metrics, error)
    outbox.submit(ready.call.root, record)
    return record
