"""Prefect's work pool as the head sees it: its nodes, the stages that run on them, and what these say of themselves."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    LogFilter,
    LogFilterFlowRunId,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.states import Cancelling, Crashed

from stillhouse.contracts.errors import UserError
from stillhouse.flows import server
from stillhouse.flows.nodes.choose import Host, Need
from stillhouse.flows.nodes.job import Job, read
from stillhouse.flows.nodes.life import BEAT, LOST
from stillhouse.flows.nodes.release import HERE, OTHER, unlike
from stillhouse.flows.nodes.silence import Silence

FLOW = "stillhouse-stage"
COMMAND = "python -m stillhouse.flows.nodes.host"
"""What a worker starts; a node puts its own Python first."""
LOG, METRICS = "stillhouse.log", "stillhouse.metrics"
"""Names of the two things that a stage says: the lines of its log, and the records of its progress."""
SILENT, GAVE_BACK, UNBEGUN = "no sign of life", "has stopped its stages", "Failed to submit flow run"
"""Why a stage goes on elsewhere: its node is silent, has said itself that it ends, or, in Prefect's words, could not begin it; or OTHER."""
_OPEN = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
_PAGE = 200


@dataclass
class Pool:
    """A work pool by its name. `own`: the name under which this head gives signs of life, "" where nobody does here."""

    name: str
    client: SyncPrefectClient = field(default_factory=lambda: get_client(sync_client=True))
    own: str = ""
    _silence: Silence = field(default_factory=Silence)

    def make(self) -> None:
        """Makes sure that there is such a pool of process workers. Raises UserError if it is of another kind, or where none may be made."""
        self._greet()
        with suppress(ObjectAlreadyExists):
            self.client.create_work_pool(WorkPoolCreate(name=self.name, type="process", base_job_template=_template()))
        if (kind := self.client.read_work_pool(self.name).type) != "process":
            raise UserError(f"--on {self.name} - wanted a pool of process workers - it is one of {kind}: choose another name")

    def require(self) -> None:
        """Raises UserError if there is no such pool, or its server does not let this machine in."""
        self._greet()
        try:
            self.client.read_work_pool(self.name)
        except ObjectNotFound:
            there = ", ".join(sorted(pool.name for pool in self.client.read_work_pools())) or "none"
            raise UserError(f"no pool is named {self.name!r}; there is {there}: `stillhouse node --pool {self.name}` makes it") from None

    def _greet(self) -> None:
        server.ask(str(self.client.api_url))
        try:
            self.client.read_work_pools(limit=1)
        except httpx.HTTPStatusError as error:
            self._require_admission(error)
            raise

    def _require_admission(self, error: httpx.HTTPStatusError) -> None:
        if error.response.status_code in (401, 403):
            remedy = "set PREFECT_API_AUTH_STRING as `stillhouse up` says it"
            raise UserError(f"{self.client.api_url} does not let this machine in ({error.response.status_code}): {remedy}") from None

    @contextmanager
    def borne(self) -> Iterator[None]:
        """Ends its block with a warning where the server is away or too busy. Raises UserError if it lets this machine in no more."""
        try:
            yield
        except httpx.HTTPError as error:
            if isinstance(error, httpx.HTTPStatusError):
                self._require_admission(error)
            print(f"warning: {self.client.api_url} does not answer: {type(error).__name__}", file=sys.stderr, flush=True)

    def announce(self, node: str, facts: Mapping[str, Any]) -> None:
        """Gives a node its queue, and says what it has."""
        text = json.dumps(facts)
        with suppress(ObjectAlreadyExists):
            self.client.create_work_queue(node, description=text, work_pool_name=self.name)
        queue = next(queue for queue in self.client.read_work_queues(work_pool_name=self.name) if queue.name == node)
        self.client.update_work_queue(queue.id, description=text)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Node -> what it said of itself."""
        found = {}
        for queue in self.client.read_work_queues(work_pool_name=self.name):
            with suppress(ValueError, TypeError):
                found[queue.name] = dict(json.loads(queue.description or ""))
        return found

    def beat(self, name: str) -> None:
        """Gives a sign of life."""
        self.client.send_worker_heartbeat(self.name, name, BEAT)

    def leave(self, name: str) -> None:
        """Nobody need wait until this one counts as dead."""
        with suppress(httpx.HTTPError, ObjectNotFound):
            where = {"work_pool_name": self.name, "name": name}
            self.client.request("DELETE", "/work_pools/{work_pool_name}/workers/{name}", path_params=where)

    def silences(self) -> dict[str, float]:
        """Node or head -> seconds since its last sign of life; where nobody beats here, by the server's clock."""
        stamps = self.stamps()
        if self.own:
            return self._silence.seconds(stamps, self.own)
        now = time.time() - server.skew(str(self.client.api_url))
        return {name: now - stamp.timestamp() for name, stamp in stamps.items()}

    def stamps(self) -> dict[str, datetime]:
        """Node or head -> when the server stored its last sign of life, by the server's clock."""
        workers = self.client.read_workers_for_work_pool(self.name)
        return {worker.name: worker.last_heartbeat_time for worker in workers if worker.last_heartbeat_time}

    def open_runs(self) -> list[FlowRun]:
        """The stages that wait or run anywhere in the pool."""
        return self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_OPEN))),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self.name])),
        )

    def submit(self, job: Job, need: Need, node: str) -> UUID:
        """Puts a stage into a node's queue; returns the run."""
        run = self.client.create_flow_run_from_deployment(
            self._deployment(),
            parameters=job.parameters() | {"need": asdict(need), "release": HERE},
            name=job.title,
            tags=[f"key:{job.key[:24]}", f"project:{job.project[:24]}"],
            work_queue_name=node,
        )
        return run.id

    def _deployment(self) -> UUID:
        flow = self.client.create_flow_from_name(FLOW)
        return self.client.create_deployment(
            flow, self.name, version=HERE, work_pool_name=self.name, enforce_parameter_schema=False, job_variables={"command": COMMAND}
        )

    def warning(self, node: str) -> str:
        """Why a node of this Stillhouse would get no stage of the head that sent the last one to the pool, "" where it would."""
        with suppress(ObjectNotFound):
            if head := self.client.read_deployment_by_name(f"{FLOW}/{self.name}").version:
                return unlike(node, HERE, head)
        return ""

    def read(self, run: UUID) -> FlowRun:
        """A run as it stands."""
        return self.client.read_flow_run(run)

    def give_up(self, run: UUID, node: str) -> str:
        """Says that a run's node is lost, and returns why; should it come back, it finds that its work is no longer wanted."""
        reason = f"node {node}: {SILENT} for {LOST:g} s"
        self.client.set_flow_run_state(run, Crashed(message=reason), force=True)
        return reason

    def give_back(self, node: str) -> None:
        """Says that no stage runs on a node whose worker has ended, so that the head sends them to one that lives."""
        for run in self.open_runs():
            if node_of(run) == node and run.state is not None and run.state.type != StateType.SCHEDULED:
                self.client.set_flow_run_state(run.id, Crashed(message=f"node {node} {GAVE_BACK}"), force=True)

    def cancel(self, run: UUID, *, force: bool = True) -> None:
        """Asks the node to stop it; without `force` one that has ended meanwhile stays so."""
        self.client.set_flow_run_state(run, Cancelling(), force=force)

    def said(self, run: UUID, after: int) -> Iterator[tuple[str, str]]:
        """(name, text) of what a stage has said, but for its first `after` messages."""
        logs = self.client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])), limit=_PAGE, offset=after)
        yield from ((log.name, log.message) for log in logs)


def job_of(run: FlowRun) -> Job | None:
    """What a run was asked to do, None if it is none of ours."""
    with suppress(KeyError, TypeError, ValueError):
        return read(run.parameters)
    return None


def was_lost(state: State[Any]) -> bool:
    """Whether a run ended because its node was given up, or ended itself."""
    return state.type == StateType.CRASHED and any(reason in (state.message or "") for reason in (SILENT, GAVE_BACK, UNBEGUN, OTHER))


def node_of(run: FlowRun) -> str:
    """In whose queue it is."""
    return run.work_queue_name or ""


def hosts(pool: Pool, runs: Sequence[FlowRun]) -> list[Host]:
    """All nodes that ever joined, with what of the open runs is on them."""
    silences = pool.silences()
    return [_host(name, facts, runs, silences.get(name, math.inf)) for name, facts in pool.facts().items()]


def _host(name: str, facts: Mapping[str, Any], runs: Sequence[FlowRun], silent: float) -> Host:
    gpus = tuple(float(gib) for gib in facts.get("gpus", ()))
    if other := unlike(name, str(facts.get("release", facts.get("stillhouse"))), HERE):
        return Host(name, int(facts.get("cores", 1)), gpus, silent=silent, unlike=other)  # what runs there another head understands
    needs = tuple(Need(**run.parameters["need"]) for run in runs if node_of(run) == name and job_of(run))
    return Host(name, int(facts.get("cores", 1)), gpus, needs, silent)


def _template() -> dict[str, Any]:
    from prefect.workers.process import ProcessWorker

    return ProcessWorker.get_default_base_job_template()
