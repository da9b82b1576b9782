"""Tells MLflow what ran: one parent run an execution, one child run a stage. The only file that imports mlflow.

MLflow is a mirror: a stage leaves a record in `.work/outbox` and every end of a stage empties that, so a tracker that is away
costs a warning. Runs go to `mlflow.db` in the project's folder, or to `MLFLOW_TRACKING_URI`.

    python -m stages.track start --key KEY --owner PID                       prepares the store and opens an execution
    python -m stages.track finish KEY --status FINISHED --plan plan.json     closes it
    python -m stages.track sync                                              empties the outbox
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages import fingerprint, register
from stages import record as letters
from stages.core import process
from stages.record import Closing, Execution, Item, Record, Status

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

EXPERIMENT = "stillhouse"
_OUTBOX, _LOCK = Path(".work/outbox"), Path(".work/track.lock")
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""With MLflow's own limits a tracker that is down holds a stage for minutes. What the user has set is left as it is."""


def submit(root: Path, record: Record) -> None:
    """Leaves a record in the outbox of the project in `root` and tries to empty it; never fails."""
    letters.write(record, _letter(root, record))
    sync(root)


def sync(root: Path) -> bool:
    """Forwards everything that waits in the outbox, oldest first; returns whether it is empty now."""
    outbox = root / _OUTBOX
    with _forgiving(f"the tracker is away; records wait in {_OUTBOX}"), _store(root) as store:
        for path in sorted(outbox.glob("*.json"), key=lambda path: path.stat().st_mtime):
            with _forgiving(f"MLflow did not take {path.name}; it waits in {_OUTBOX}"):
                letter = letters.read(path)
                store.tell(letter) if isinstance(letter, Record) else store.close(letter)
                path.unlink()
    return not any(outbox.glob("*.json"))


def withdraw(root: Path, record: Record) -> None:
    """Takes back a record whose inputs changed at the last moment."""
    _letter(root, record).unlink(missing_ok=True)
    with _forgiving(f"the run of {record.stage} could not be deleted"), _store(root) as store:
        store.forget(record)


def start(root: Path, key: str, owner: int) -> None:
    """Prepares the store and opens an execution, which ends with the process `owner` if nobody closes it before."""
    with _forgiving("the tracker is away; what runs now is recorded when it is back"), _store(root) as store:
        store.open(Execution(key, process.identity(owner), managed=True))


def finish(root: Path, key: str, status: Status, stages: list[str]) -> None:
    """Leaves the end of an execution in the outbox; for each of its stages that did not run now it names the run that made the output."""
    fingerprints = {stage: taken.key for stage, taken in fingerprint.take_possible(stages, root).items()}
    letters.write(Closing(key, status, int(1000 * time.time()), fingerprints), root / _OUTBOX / f"execution-{key}.json")


@dataclass(frozen=True)
class _Store:
    """The tracker with its experiment, held by this process alone among those of the project."""

    client: MlflowClient
    experiment: str
    root: Path

    def tell(self, record: Record) -> None:
        """Writes one record as a child run; told again, it goes on with the same run."""
        parent = self._parent(record.execution.key, record.started)
        run = self._child(record, parent.info.run_id)
        output = record.output and record.output.model and self._model(record.output, run)
        self.client.log_batch(run, metrics=_metrics(record, output or None), params=_params(record), tags=_tags(record.tags))
        self._log_lineage(record, run, output or None)
        self.client.set_terminated(run, record.status, record.ended)
        if not record.execution.managed:
            self._end_with_child(parent, record)
        register.after(self.root, self.client, record, run)

    def open(self, execution: Execution) -> None:
        """Creates the run of an execution, or tells the one that a quicker stage has created whose it is."""
        parent = self._parent(execution.key, int(1000 * time.time()))
        self.client.set_tag(parent.info.run_id, "stillhouse.owner", execution.owner)

    def close(self, closing: Closing) -> None:
        """Ends the run of an execution."""
        parent = self._parent(closing.key, closing.ended).info.run_id
        for stage, key in closing.fingerprints.items():
            same = self._find(f"tags.`dvc.fingerprint` = '{key}' and tags.`dvc.stage` = '{stage}' and attributes.status = 'FINISHED'")
            if same and same[0].data.tags["mlflow.parentRunId"] != parent:
                self.client.set_tag(parent, _name(f"unchanged.{stage}"), same[0].info.run_id)
        self.client.set_terminated(parent, closing.status, closing.ended)

    def forget(self, record: Record) -> None:
        """Deletes the run of a record, and the model that it made."""
        for run in self._find(f"tags.`stillhouse.record` = '{record.id}'"):
            register.forget(self.client, record, run.info.run_id)
            for output in run.outputs.model_outputs if run.outputs else []:
                if self.client.get_logged_model(output.model_id).source_run_id == run.info.run_id:
                    self.client.delete_logged_model(output.model_id)
            self.client.delete_run(run.info.run_id)

    def bury_dead(self) -> None:
        """Runs that a dead process of this host left open are set to KILLED."""
        for run in self._find("attributes.status = 'RUNNING'"):
            owner = run.data.tags.get("stillhouse.owner")
            if owner and process.is_dead(owner):
                self.client.set_terminated(run.info.run_id, "KILLED")

    def _parent(self, key: str, started: int) -> Run:
        found = self._find(f"tags.`stillhouse.execution` = '{key}'")
        name = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started / 1000))
        return found[0] if found else self.client.create_run(self.experiment, started, {"stillhouse.execution": key}, name)

    def _find(self, condition: str) -> list[Run]:
        """Newest first."""
        found: list[Run] = self.client.search_runs([self.experiment], condition, order_by=["attributes.start_time DESC"])
        return found

    def _child(self, record: Record, parent: str) -> str:
        found = self._find(f"tags.`stillhouse.record` = '{record.id}'")
        tags = {
            "mlflow.parentRunId": parent,
            "stillhouse.record": record.id,
            "stillhouse.owner": process.identity(os.getpid()),
        }
        run = found[0] if found else self.client.create_run(self.experiment, record.started, tags, record.stage)
        identifier: str = run.info.run_id
        return identifier

    def _log_lineage(self, record: Record, run: str, output: str | None) -> None:
        from mlflow.entities import LoggedModelInput, LoggedModelOutput

        datasets = [_dataset(item) for item in record.inputs if not item.model]
        # The function mlflow.log_inputs refuses models outside one vendor's service; the client's does not.
        models = {self._model(item, None) for item in record.inputs if item.model}
        # What a first try has told already is refused the second time.
        told = self.client.get_run(run)
        models -= {model.model_id for model in (told.inputs.model_inputs if told.inputs else [])}
        self.client.log_inputs(run, datasets=datasets, models=[LoggedModelInput(model) for model in sorted(models)])
        if output and output not in {model.model_id for model in (told.outputs.model_outputs if told.outputs else [])}:
            self.client.log_outputs(run, [LoggedModelOutput(output, step=0)])

    def _model(self, item: Item, run: str | None) -> str:
        """The model with these bytes; a new one is external: its bytes stay with DVC."""
        import mlflow

        condition = f"tags.`dvc.path` = '{item.path}' AND tags.`dvc.md5` = '{item.md5}'"
        found = self.client.search_logged_models([self.experiment], condition)
        if found:
            known: str = found[0].model_id
            return known
        name, tags = "-".join(Path(item.path).parts[-2:]), {"dvc.path": item.path, "dvc.md5": item.md5}
        made: str = mlflow.create_external_model(name=name, source_run_id=run, tags=tags, experiment_id=self.experiment).model_id
        return made

    def _end_with_child(self, parent: Run, record: Record) -> None:
        """Nobody tells when a plain `dvc repro` ends, so its run always ends with its latest stage; a failure stays one."""
        worst = parent.info.status if parent.info.status in ("FAILED", "KILLED") else record.status
        self.client.set_terminated(parent.info.run_id, worst, record.ended)


@contextmanager
def _store(root: Path) -> Iterator[_Store]:
    """Opens the tracker. One process at a time: the first contact of several with an empty database kills some of them."""
    for name, value in {**_LIMITS, "MLFLOW_TRACKING_URI": f"sqlite:///{root.resolve() / 'mlflow.db'}"}.items():
        os.environ.setdefault(name, value)
    for chatty in ("alembic", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of MLflow's own dependencies; nobody here can act on them
        from mlflow import MlflowClient

        with process.waiting_lock(root / _LOCK):
            client = MlflowClient()
            found = client.get_experiment_by_name(EXPERIMENT)
            # A server has its own place for artifacts; a database in a file has them beside it.
            place = (root.resolve() / "mlartifacts").as_uri() if client.tracking_uri.startswith("sqlite:") else None
            store = _Store(client, found.experiment_id if found else client.create_experiment(EXPERIMENT, place), root)
            store.bury_dead()
            yield store


@contextmanager
def _forgiving(consequence: str) -> Iterator[None]:
    """Whatever goes wrong with the tracker, of which there is no complete list, is a warning: results never depend on it."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        print(f"warning: {consequence} ({type(error).__name__}: {reason[:200]})", file=sys.stderr)


def _metrics(record: Record, model: str | None) -> list[Metric]:
    """The history by epoch, then the final values: at the last step and latest, so that they are what MLflow shows."""
    from mlflow.entities import Metric

    last = max((step for *_, step in record.history), default=0)
    rows = [Metric(_name(name), value, at, step) for name, value, at, step in record.history]
    return rows + [Metric(_name(name), value, record.ended, last, model_id=model) for name, value in record.metrics.items()]


def _params(record: Record) -> list[Any]:
    from mlflow.entities import Param

    return [Param(_name(name), value[:6000]) for name, value in record.params.items()]


def _tags(tags: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(_name(name), value[:8000]) for name, value in tags.items()]


def _dataset(item: Item) -> Any:
    """A dataset by its path and hash; its data are not read."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name=item.path, digest=item.md5, source_type="local", source=json.dumps({"uri": item.path}))
    return DatasetInput(dataset, [InputTag("mlflow.data.context", Path(item.path).name)])


def _name(text: str) -> str:
    """A name that MLflow takes: at most 250 characters, and of the marks only those of file paths."""
    return re.sub(r"[^\w.\- :/]", "_", text.replace("@", "_at_"))[:250]


def _letter(root: Path, record: Record) -> Path:
    return root / _OUTBOX / f"{record.stage}-{record.tags['dvc.fingerprint']}-{record.id[:8]}.json"


def _stages(plan: Path | None) -> list[str]:
    return [node["name"] for node in json.loads(plan.read_text())] if plan else []


def main(arguments: list[str] | None = None) -> int:
    """Runs one of the three commands in the working folder; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stages.track", description="Tell MLflow about executions.")
    commands = parser.add_subparsers(dest="command", required=True)
    opening = commands.add_parser("start", help="prepare the store and open an execution")
    opening.add_argument("--key", required=True, help="what STILLHOUSE_EXECUTION is for its stages")
    opening.add_argument("--owner", type=int, required=True, help="the id of the process that runs it")
    closing = commands.add_parser("finish", help="close an execution")
    closing.add_argument("key")
    closing.add_argument("--status", choices=("FINISHED", "FAILED", "KILLED"), required=True)
    closing.add_argument("--plan", type=Path, help='JSON: [{"name": stage, ...}, ...], the stages that it was about')
    commands.add_parser("sync", help="forward what waits in the outbox; exit status 1 if something still waits")
    given = parser.parse_args(arguments)
    if given.command == "start":
        start(Path(), given.key, given.owner)
    elif given.command == "finish":
        finish(Path(), given.key, given.status, _stages(given.plan))
    return 0 if sync(Path()) or given.command != "sync" else 1


if __name__ == "__main__":
    sys.exit(main())
