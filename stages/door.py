"""A stage's process from its words to its exit status; `check` in place of a verb looks at params.yaml alone."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.project import version
from stillhouse.record import own, part, process, room, spare, surroundings
from stillhouse.record.run_record import Execution
from stillhouse.registry import VERBS
from stillhouse.runner import apart, launch
from stillhouse.runner.entries import PARAMS, Entries
from stillhouse.runner.run import Call
from stillhouse.runner.stage import run_stage


def main(arguments: list[str] | None = None) -> int:
    """Runs one stage, or checks params.yaml; returns the exit status: 2 for a mistake that the reader can mend."""
    parent, started_in = spare.caller(), dict(os.environ)
    # Read when torch is loaded: threads that wait by spinning made a stage ten times slower beside another busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    surroundings.complete()
    given = _parse(arguments)
    if not os.environ.get(launch.OTHER) and given.verb != "check":  # such processes have nothing to put in order when they are ended
        process.stop_on_signals()
    try:
        version.check(Path.cwd())
        with own.telling():
            return _do(given, parent, started_in)
    except process.Stopped as stop:
        print(stop, file=sys.stderr)
        return stop.exit_status
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        if isinstance(error, own.OwnError) and given.verb != "check":
            traceback.print_exception(error.__cause__)
        print(sentence, file=sys.stderr)
        return 2


def _do(given: argparse.Namespace, parent: int, started_in: Mapping[str, str]) -> int:
    if other := os.environ.get(launch.OTHER):
        launch.follow(given.verb, given.name, json.loads(other))
    elif (told := part.mine()) and told.number:
        apart.follow(given.verb, given.name, told)
    elif given.verb == "check":
        return _check(given.name, started_in)
    else:
        run_stage(_call(given.verb, given.name, parent))
    return 0


def _sentence(error: Exception) -> str | None:
    """What tells the reader what to mend; None where that is nothing that a reader can."""
    if isinstance(error, UserError):
        return hide(str(error))
    return surroundings.refused(error) if isinstance(error, PermissionError) else room.told(error, Path())


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stillhouse.stages", description="Run one stage as dvc.yaml does, or check params.yaml."
    )
    parser.add_argument("verb", choices=(*VERBS, "check"))
    parser.add_argument("name", nargs="?", help="the teacher or student; of a check the number of a socket on which it is asked then")
    given = parser.parse_args(arguments)
    if given.verb != "check" and (given.name is None) != (given.verb == "compare"):
        parser.error(f"{given.verb} {'wants the name of a teacher or student' if given.name is None else 'takes no name'}")
    return given


def _check(number: str | None, started_in: Mapping[str, str]) -> int:
    """With the number of a socket the process stands ready after the check (see `runner.spare`)."""
    from stillhouse.runner import checked
    from stillhouse.runner import spare as ready

    if number:
        return ready.main(socket.socket(fileno=int(number)), ["stillhouse.serving.shown"], started_in)
    checked.check(Entries.read())
    print(f"{PARAMS}: every block is valid")
    return 0


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
    """A flow gives its stages a key and its own name; without them, all stages of one `dvc repro` process belong together."""
    key = os.environ.get("STILLHOUSE_EXECUTION")
    if key:
        return Execution(key, os.environ.get("STILLHOUSE_EXECUTION_OWNER", ""), managed=True)
    return Execution(process.identity(owner), process.identity(owner), managed=False)
