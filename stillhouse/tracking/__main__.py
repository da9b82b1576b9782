"""What can be told and asked from outside.

python -m stillhouse.tracking serve KEY --owner PID --plan plan.json            opens an execution and forwards what its stages leave
python -m stillhouse.tracking finish KEY --status FINISHED --plan plan.json     closes one whose `serve` has died
python -m stillhouse.tracking follow OWNER                                      forwards what comes while a process lives
python -m stillhouse.tracking sync                                              empties the outbox once
python -m stillhouse.tracking runs                                              every run with its hashes, as JSON
python -m stillhouse.tracking version models:/NAME/3                            what a registered model is, as JSON
python -m stillhouse.tracking artifact RUN NAME                                 a text that was kept with a run, as JSON
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.record import collector, process, servers
from stillhouse.record.deadline import UPLOADS, TooLate, seconds
from stillhouse.record.outbox import await_upload
from stillhouse.tracking import outbox, queries
from stillhouse.tracking.store import limited


def main(arguments: list[str] | None = None) -> int:
    """Runs one of the commands in the working folder; returns the exit status."""
    given = _parse(arguments)
    process.ask_this_machine_directly()
    root = Path()
    servers.join(root)
    if given.command in ("runs", "version", "artifact"):
        return _reply(given, root)
    if given.command == "serve":
        outbox.serve(root, given.key, given.owner, given.plan)
        return 0
    if given.command == "follow":
        outbox.follow(root, given.owner)
        return 0
    if given.command == "finish":
        outbox.finish(
            root, given.key, given.status, json.loads(given.plan.read_text(encoding="utf-8")) if given.plan else [], given.flow_run
        )
    emptied = outbox.sync(root)
    if given.command == "sync" and given.wait and not emptied and await_upload(root, UPLOADS * seconds()):
        emptied = outbox.sync(root)
    return 0 if emptied or given.command != "sync" else 1


def _reply(given: argparse.Namespace, root: Path) -> int:
    from mlflow.exceptions import MlflowException

    try:
        with limited(root, UPLOADS * seconds()) as store:
            print(json.dumps(_ask(given, store)))
    except (UserError, MlflowException, TooLate) as error:
        print(hide(str(error).strip().partition("\n")[0]), file=sys.stderr)
        return 1
    return 0


def _ask(given: argparse.Namespace, store: Any) -> Any:
    if given.command == "version":
        return queries.version(store.client, given.uri)
    if given.command == "artifact":
        return queries.artifact(store.client, given.run, given.name)
    return list(queries.runs(store.client, store.experiment))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stillhouse.tracking", description="Tell MLflow about executions, and ask it.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="open an execution, forward what comes, close it with the status read from stdin")
    serving.add_argument("key", help="what STILLHOUSE_EXECUTION is for its stages")
    serving.add_argument("--owner", type=int, required=True, help="the id of the process that runs it")
    serving.add_argument("--plan", type=Path, required=True, help='JSON: [{"name": stage, ...}, ...], the stages that it is about')
    commands.add_parser("follow", help="forward what comes while a process lives").add_argument("owner", help="host/boot/pid/start")
    closing = commands.add_parser("finish", help="close an execution")
    closing.add_argument("key")
    closing.add_argument("--status", choices=("FINISHED", "FAILED", "KILLED"), required=True)
    closing.add_argument("--flow-run", default="", help="the run of Prefect that followed it")
    closing.add_argument("--plan", type=Path, help='JSON: [{"name": stage, ...}, ...], the stages that it was about')
    sync = commands.add_parser("sync", help="forward what waits in the outbox; exit status 1 if something still waits")
    sync.add_argument("--no-wait", dest="wait", action="store_false", help="leave it to another process that uploads a model just now")
    commands.add_parser("runs", help="every run, deleted ones too, with what lineage needs of its tags")
    commands.add_parser("version", help="path, hash and run of a registered model").add_argument("uri")
    kept = commands.add_parser("artifact", help="a text that was kept with a run")
    kept.add_argument("run")
    kept.add_argument("name")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    collector.quiet()
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the client that still wait for a tracker would hold up the interpreter's own end.
    os._exit(status)
