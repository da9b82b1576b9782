"""MLflow's store as this project uses it: two levels of runs, and external models whose bytes stay with DVC."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.record import moved, process
from stillhouse.record.deadline import within
from stillhouse.record.run_record import Closing, Execution, Item, Planned, RunRecord
from stillhouse.tracking import entities, summary

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "stillhouse"
_LOCK = Path(".work/track.lock")
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""With MLflow's own limits a tracker that is down holds a stage for minutes. What the user has set is left as it is."""


@dataclass(frozen=True)
class Store:
    """The tracker with its experiment, held by this process alone among those of the project."""

    client: MlflowClient
    experiment: str

    def tell(self, record: RunRecord) -> str:
        """Writes one record as a child run, and returns its id; told again, it goes on with the same run."""
        parent = self._parent(record.execution, record.started)
        run = self._child(record, parent.info.run_id)
        output = record.output and record.output.model and self._model(record.output, run)
        self.client.log_batch(run, entities.metrics(record, output or None), entities.params(record), entities.tags(record))
        self._log_lineage(record, run, output or None)
        self.client.set_terminated(run, record.status, record.ended)
        summary.name_students(self.client, parent.info.run_id, [record.stage])
        if not record.execution.managed:
            self._end_with_child(parent, record)
        for name, text in record.files.items():
            self.client.log_text(run, text, name)
        return run

    def answers(self) -> None:
        """Asks for something that is there; what comes out is an error of the tracker, and not of a record."""
        self.client.get_experiment(self.experiment)

    def open(self, execution: Execution) -> None:
        """Creates the run of an execution, or tells the one that a quicker stage has created whose it is."""
        parent = self._parent(execution, int(1000 * time.time()))
        self.client.set_tag(parent.info.run_id, "stillhouse.owner", execution.owner)

    def close(self, closing: Closing) -> None:
        """Ends the run of an execution, with its plan and, for each stage that did not run, the run that made what is in place."""
        parent = self._parent(Execution(closing.key, "", managed=True, name=closing.name), closing.ended).info.run_id
        ran = {run.data.tags["dvc.stage"]: run for run in reversed(self._find(f"tags.`mlflow.parentRunId` = '{parent}'"))}
        self._follow(closing.flow_run, (parent, *(run.info.run_id for run in ran.values())))
        plan = []
        for stage, planned in closing.stages.items():
            now = ran.get(stage)
            first = None if now else self._first(stage, planned)
            if first:
                self.client.set_tag(parent, entities.name(f"unchanged.{stage}"), first)
            outcome = now.info.status if now else "NOT RUN"
            facts = {"state": planned.state, "reasons": planned.reasons, "outcome": "UNCHANGED" if first else outcome}
            plan.append({"stage": stage, **facts, "run": now.info.run_id if now else first})
        summary.name_students(self.client, parent, closing.stages)
        summary.log_results(self.client, parent, summary.valid(closing, ran), closing.ended)
        self.client.set_terminated(parent, closing.status, closing.ended)
        if plan:
            self.client.log_text(parent, json.dumps(plan, indent=1), "plan.json")

    def _follow(self, flow_run: str, runs: Iterable[str]) -> None:
        """A stage may have begun before Prefect had a run for it."""
        for run in runs if flow_run else ():
            self.client.set_tag(run, "prefect.flow_run_id", flow_run)

    def _first(self, stage: str, planned: Planned) -> str | None:
        """The first run of the same inputs whose outputs are what is in place; else, for what was kept after an edit, of any inputs."""
        finished = f"tags.`dvc.stage` = '{stage}' and attributes.status = 'FINISHED'"
        wanted = {f"dvc.out.{entities.path(path)}": md5 for path, md5 in planned.outputs.items()}
        for condition in (f"tags.`dvc.fingerprint` = '{planned.fingerprint}' and {finished}", finished):
            for run in reversed(self._find(condition) if planned.fingerprint and wanted else []):
                if all(run.data.tags.get(name) == md5 for name, md5 in wanted.items()):
                    return str(run.info.run_id)
        return None

    def close_dead_runs(self) -> None:
        """Runs that a dead process of this host left open are set to KILLED."""
        for run in self._find("attributes.status = 'RUNNING'"):
            owner = run.data.tags.get("stillhouse.owner")
            if owner and process.is_dead(owner):
                self.client.set_terminated(run.info.run_id, "KILLED")

    def _parent(self, execution: Execution, started: int) -> Run:
        found = self._find(f"tags.`stillhouse.execution` = '{execution.key}'")
        name = execution.name or time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started / 1000))
        if found:
            return found[0]
        tags = {"stillhouse.execution": execution.key}
        if execution.managed and execution.owner:  # at once: without it nobody would close the run if the execution is killed
            tags["stillhouse.owner"] = execution.owner
        return self.client.create_run(self.experiment, started, tags, name)

    def _find(self, condition: str) -> list[Run]:
        """All pages, newest first."""
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment], condition, order_by=["attributes.start_time DESC"], page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _child(self, record: RunRecord, parent: str) -> str:
        found = self._find(f"tags.`stillhouse.record` = '{record.id}'")
        tags = {
            "mlflow.parentRunId": parent,
            "stillhouse.record": record.id,
            "stillhouse.owner": process.identity(os.getpid()),
        }
        if not found:
            return str(self.client.create_run(self.experiment, record.started, tags, record.stage).info.run_id)
        run = found[0]
        if run.data.tags["mlflow.parentRunId"] != parent:  # its result was lost and is made again: it belongs to who made it last
            self.client.set_tag(run.info.run_id, "mlflow.parentRunId", parent)
        return str(run.info.run_id)

    def _log_lineage(self, record: RunRecord, run: str, output: str | None) -> None:
        from mlflow.entities import LoggedModelInput, LoggedModelOutput

        models = {self._model(item, None) for item in record.inputs if item.model}
        # What a first try has told already is refused the second time.
        told = self.client.get_run(run)
        models -= {model.model_id for model in (told.inputs.model_inputs if told.inputs else [])}
        # The function mlflow.log_inputs refuses models outside one vendor's service; the client's does not.
        inputs = [LoggedModelInput(model) for model in sorted(models)]
        self.client.log_inputs(run, datasets=entities.datasets(record), models=inputs)
        if output and output not in {model.model_id for model in (told.outputs.model_outputs if told.outputs else [])}:
            self.client.log_outputs(run, [LoggedModelOutput(output, step=0)])

    def _model(self, item: Item, run: str | None) -> str:
        """The model with these bytes; a new one is external: its bytes stay with DVC."""
        import mlflow
        from mlflow.entities import LoggedModelStatus

        condition = f"tags.`dvc.path` = '{item.path}' AND tags.`dvc.md5` = '{item.md5}'"
        for found in self.client.search_logged_models([self.experiment], condition):
            if found.status == LoggedModelStatus.READY:
                return str(found.model_id)
            self.client.delete_logged_model(found.model_id)  # who made it died before it was whole, and nothing is linked to it
        name, tags = "-".join(Path(item.path).parts[-2:]), {"dvc.path": item.path, "dvc.md5": item.md5}
        made: str = mlflow.create_external_model(name=name, source_run_id=run, tags=tags, experiment_id=self.experiment).model_id
        return made

    def _end_with_child(self, parent: Run, record: RunRecord) -> None:
        """Nobody tells when a plain `dvc repro` ends, so its run always ends with its latest stage; a failure stays one."""
        found = summary.results(record.folder, summary.evaluated(record))
        summary.log_results(self.client, parent.info.run_id, found, record.ended)
        worst = parent.info.status if parent.info.status in ("FAILED", "KILLED") else record.status
        self.client.set_terminated(parent.info.run_id, worst, record.ended)


@contextmanager
def limited(root: Path, limit: float) -> Iterator[Store]:
    """Opens the tracker for at most `limit` seconds. They begin when MLflow is imported: broken off, its modules would stay in pieces.

    Raises:
        TooLate: they have passed.
    """
    _load(root)
    with within(limit), opened(root) as store:
        yield store


@contextmanager
def opened(root: Path) -> Iterator[Store]:
    """Opens the tracker. One process at a time: the first contact of several with an empty database kills some of them."""
    _load(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of MLflow's own dependencies; nobody here can act on them
        from mlflow import MlflowClient

        with process.waiting_lock(root / _LOCK):
            moved.follow(root, address(root))
            client = MlflowClient()
            found = client.get_experiment_by_name(EXPERIMENT)
            # A server has its own place for artifacts; a database in a file has them beside it.
            place = (root.resolve() / "mlartifacts").as_uri() if client.tracking_uri.startswith("sqlite:") else None
            store = Store(client, found.experiment_id if found else client.create_experiment(EXPERIMENT, place))
            store.close_dead_runs()
            yield store


def address(root: Path) -> str:
    """Where the tracker is."""
    return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{root.resolve() / 'mlflow.db'}")


def _load(root: Path) -> None:
    """Imports MLflow, which reads some of its settings then."""
    for name, value in {**_LIMITS, "MLFLOW_TRACKING_URI": address(root)}.items():
        os.environ.setdefault(name, value)
    for chatty in ("alembic", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401
    logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])  # which it reads only when it is first imported
