"""What MLflow is to be told: a stage leaves a record in `.work/outbox`, and every end of a stage empties that.

MLflow is a mirror, so a tracker that is away costs a warning. Runs go to `mlflow.db` in the project's folder, or to
`MLFLOW_TRACKING_URI`. `python -m stillhouse.tracking --help` lists what else can be told and asked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stillhouse.record import hashes, process, run_record
from stillhouse.record.run_record import Closing, Execution, Planned, RunRecord, Status
from stillhouse.tracking.store import EXPERIMENT, opened

__all__ = ["EXPERIMENT", "finish", "start", "submit", "sync", "withdraw"]
_OUTBOX = Path(".work/outbox")


def submit(root: Path, record: RunRecord) -> None:
    """Leaves a record in the outbox of the project in `root` and tries to empty it; never fails."""
    run_record.write(record, _path(root, record))
    sync(root)


def sync(root: Path) -> bool:
    """Forwards everything that waits in the outbox, oldest first; returns whether it is empty now."""
    outbox = root / _OUTBOX
    with _forgiving(f"the tracker is away; records wait in {_OUTBOX}"), opened(root) as store:
        for path in sorted(outbox.glob("*.json"), key=lambda path: path.stat().st_mtime):
            with _forgiving(f"MLflow did not take {path.name}; it waits in {_OUTBOX}"):
                waiting = run_record.read(path)
                if isinstance(waiting, RunRecord):
                    store.tell(waiting)
                else:
                    store.close(waiting)
                path.unlink()
    return not any(outbox.glob("*.json"))


def withdraw(root: Path, record: RunRecord) -> None:
    """Takes back a record whose inputs changed at the last moment."""
    _path(root, record).unlink(missing_ok=True)
    with _forgiving(f"the run of {record.stage} could not be deleted"), opened(root) as store:
        store.forget(record)


def start(root: Path, key: str, owner: int) -> None:
    """Prepares the store and opens an execution, which ends with the process `owner` if nobody closes it before."""
    with _forgiving("the tracker is away; what runs now is recorded when it is back"), opened(root) as store:
        store.open(Execution(key, process.identity(owner), managed=True))


def finish(root: Path, key: str, status: Status, plan: Sequence[Mapping[str, Any]]) -> None:
    """Leaves the end of an execution in the outbox, with the stages that it was about: {"name", "state", "reasons"} of each.

    What lies in place of a stage that did not run is noted too, so that it can be joined to the run that made it.
    """
    standing = hashes.standing([node["name"] for node in plan], root)
    stages = {}
    for node in plan:
        taken, outputs = standing.get(node["name"], (None, {}))
        stages[node["name"]] = Planned(node.get("state", ""), list(node.get("reasons", [])), taken.key if taken else "", outputs)
    run_record.write(Closing(key, status, int(1000 * time.time()), stages), root / _OUTBOX / f"execution-{key}.json")


def _path(root: Path, record: RunRecord) -> Path:
    return root / _OUTBOX / f"{record.stage}-{record.tags['dvc.fingerprint']}-{record.id[:8]}.json"


@contextmanager
def _forgiving(consequence: str) -> Iterator[None]:
    """Whatever goes wrong with the tracker, of which there is no complete list, is a warning: results never depend on it."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        print(f"warning: {consequence} ({type(error).__name__}: {reason[:200]})", file=sys.stderr)
