"""The runner, the same for every verb: `python -m stages <verb> <name>`, as dvc.yaml calls it.

It takes the stage's fingerprint before anything is imported that could change meanwhile, and again at the end: DVC itself hashes
dependencies only when a command has ended, and would record code that was edited while the stage ran.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from stages import fingerprint, revision, usage, work
from stages.core import process
from stages.core.errors import UserError
from stages.find import VERBS
from stages.letter import Seen, compose
from stages.record import Execution, Record, Status
from stages.work import Call, Work


def main(arguments: list[str] | None = None) -> int:
    """Runs one stage, or checks params.yaml; returns the exit status: 2 for a mistake that the reader can mend."""
    parent = os.getppid()
    # Read when torch is loaded: threads that wait by spinning made a stage ten times slower beside another busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    given = _parse(arguments)
    process.stop_on_signals()
    try:
        if given.verb == "check":
            _check()
        else:
            run(_call(given.verb, given.name, parent))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except process.Stopped as stop:
        print(stop, file=sys.stderr)
        return stop.exit_status
    return 0


def run(call: Call) -> None:
    """Runs the verb, puts its output in place and tells the tracker; raises UserError if an input changed meanwhile."""
    before = fingerprint.take(call.stage, Path())
    seen = Seen(revision.take(Path(), before.inputs))
    with process.lease(call.home / "lease"):
        ready = work.prepare(call, before)
        try:
            with usage.sampled(seen.usage):
                metrics = work.execute(ready)
        except BaseException as error:
            _tell(ready, seen, "KILLED" if isinstance(error, process.Stopped) else "FAILED", {}, error)
            raise
        _refuse_changes(ready)
        work.install(ready, metrics)
        record = _tell(ready, seen, "FINISHED", metrics)
        _look_again(ready, record)
        work.prune(ready)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages", description="Run one stage as dvc.yaml does, or check params.yaml.")
    parser.add_argument("verb", choices=(*VERBS, "check"))
    parser.add_argument("name", nargs="?", help="the teacher or student")
    given = parser.parse_args(arguments)
    if (given.name is None) != (given.verb in ("compare", "check")):
        parser.error(f"{given.verb} {'wants the name of a teacher or student' if given.name is None else 'takes no name'}")
    return given


def _check() -> None:
    from stages import params

    params.check(work.PARAMS)
    print(f"{work.PARAMS}: every block is valid")


def _call(verb: str, name: str | None, parent: int) -> Call:
    """DVC names the stage in the environment; by hand it is verb@name, and then the stage outlives the shell."""
    address, owner = os.environ.get("DVC_STAGE"), os.getpid()
    if address:
        owner = process.caller(parent)
        process.die_with(owner)
    stage = address.rpartition(":")[2] if address else f"{verb}@{name}" if name else verb
    flow_run = os.environ.get("STILLHOUSE_FLOW_RUN", os.environ.get("PREFECT__FLOW_RUN_ID"))
    return Call(verb, name, stage, Path(os.environ.get("DVC_ROOT", ".")), _execution(owner), flow_run)


def _execution(owner: int) -> Execution:
    """A flow gives its stages a key; without one, all stages of one `dvc repro` process belong together."""
    key = os.environ.get("STILLHOUSE_EXECUTION")
    return Execution(key, owner="", managed=True) if key else Execution(process.identity(owner), process.identity(owner), managed=False)


def _refuse_changes(ready: Work) -> None:
    changed = ready.before.changes(fingerprint.take(ready.call.stage, Path()))
    if changed:
        raise UserError(f"{ready.call.stage}: changed while it ran, so its result is not recorded: {', '.join(changed)}; run it again")


def _look_again(ready: Work, record: Record) -> None:
    """Telling the tracker takes seconds, in which somebody may have saved a file."""
    from stages import track

    try:
        _refuse_changes(ready)
    except UserError:
        (ready.scratch / "done.json").unlink(missing_ok=True)
        track.withdraw(ready.call.root, record)
        raise


def _tell(ready: Work, seen: Seen, status: Status, metrics: Mapping[str, float], error: BaseException | None = None) -> Record:
    """Leaves the record of the run in the outbox, and lets the tracker empty that."""
    from stages import track

    record = compose(ready, seen, status, metrics, error)
    track.submit(ready.call.root, record)
    return record


if __name__ == "__main__":
    sys.exit(main())
