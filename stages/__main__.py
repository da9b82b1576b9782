"""The runner, the same for every verb: `python -m stages <verb> <name>`, as dvc.yaml calls it.

It takes the stage's fingerprint before anything is imported that could change meanwhile, and again at the end: DVC itself hashes
dependencies only when a command has ended, and would record code that was edited while the stage ran.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from stages import fingerprint, work
from stages.core import process
from stages.core.errors import UserError
from stages.find import VERBS
from stages.record import Execution, Item, Record, Status, flat, history
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
    with process.lease(call.home / "lease"):
        ready = work.prepare(call, before)
        try:
            metrics = work.execute(ready)
        except BaseException as error:
            _tell(ready, "KILLED" if isinstance(error, process.Stopped) else "FAILED", {}, error)
            raise
        _refuse_changes(ready)
        work.install(ready, metrics)
        record = _tell(ready, "FINISHED", metrics)
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


def _tell(ready: Work, status: Status, metrics: Mapping[str, float], error: BaseException | None = None) -> Record:
    """Leaves the record of the run in the outbox, and lets the tracker empty that."""
    from stages import track

    ended = int(1000 * time.time())
    made = fingerprint.outputs(ready.call.stage, Path()) if status == "FINISHED" else {}
    *inputs, output = map(str, ready.paths.values())
    record = Record(
        id=uuid.uuid4().hex,
        stage=ready.call.stage,
        execution=ready.call.execution,
        status=status,
        started=int(1000 * ready.started),
        ended=ended,
        params=dict(flat({"seed": ready.block.seed, **ready.block.facts})),
        tags=_tags(ready, made, error),
        history=history(ready.scratch / "metrics.jsonl"),
        metrics={name: float(value) for name, value in metrics.items() if math.isfinite(value)},
        inputs=[Item.at(path, ready.before.inputs[path]) for path in inputs if path in ready.before.inputs],
        output=Item.at(output, made[output]) if output in made else None,
    )
    track.submit(ready.call.root, record)
    return record


def _tags(ready: Work, made: Mapping[str, str], error: BaseException | None) -> dict[str, str]:
    from stages.core import machine

    commit, dirty = fingerprint.revision(Path())
    tags = {
        "dvc.stage": ready.call.stage,
        "dvc.fingerprint": ready.before.key,
        "dvc.rev": commit,
        "dvc.dirty": str(dirty).lower(),
        "prefect.flow_run_id": ready.call.flow_run or "",
        "device": machine.device_name(),
        "error": f"{type(error).__name__}: {error}" if error else "",
    }
    tags |= {f"dvc.in.{path}": md5 for path, md5 in ready.before.inputs.items()}
    tags |= {f"dvc.out.{path}": md5 for path, md5 in made.items()}
    return {name: value for name, value in tags.items() if value}


if __name__ == "__main__":
    sys.exit(main())
