"""A stage on a node, as the head sees it: sent, followed until it ends, sent elsewhere if its node is lost, and its result brought home."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from threading import Event, Lock
from typing import Any
from uuid import UUID

import httpx

from stillhouse.flows.graph import Node
from stillhouse.flows.nodes import pool as pools
from stillhouse.flows.nodes import result
from stillhouse.flows.nodes.choose import Host, Need, choose
from stillhouse.flows.nodes.helpers import helped
from stillhouse.flows.nodes.job import Job
from stillhouse.flows.nodes.parcel import Packer
from stillhouse.flows.nodes.patience import POLL, Patience, asked
from stillhouse.flows.nodes.pool import Pool
from stillhouse.flows.nodes.watch import Watch
from stillhouse.flows.stage import Outcome, StageFailed, Stopped, log_path, run_due_stage
from stillhouse.record import process
from stillhouse.record.remote import Unreachable

LOSSES = 3
"""Nodes that may be lost under one stage before it counts as failed."""
STAYING = ("compare",)
"""Verbs that read what every other one has made, and compute nothing."""

Key = Callable[[Node], str | None]
"""The fingerprint of what a stage would make now, None if its result is known or cannot be foreseen."""


@dataclass
class Away:
    """Where stages run that go to the nodes of a pool; those that need not, or whose data only this machine has, run here."""

    folder: Path
    pool: Pool
    packer: Packer
    key: Key
    _choosing: Lock = field(default_factory=Lock)
    _looking: Lock = field(default_factory=Lock)
    _warned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.watch = Watch(self.pool)

    def goes(self, node: Node) -> str | None:
        """The fingerprint with which a stage goes to a node, None if it runs here."""
        with self._looking:
            stays = node.name.partition("@")[0] in STAYING or not self.packer.has_raw(node)
            return None if stays else self.key(node)

    def run(self, node: Node, folder: Path, extra: Mapping[str, str], stop: Event, *, key: str, allow_missing: bool = False) -> Outcome:
        """Runs the stage on a node and puts its result in place here.

        Raises:
            StageFailed: it failed there, or too many nodes were lost under it.
            Stopped: `stop` was set; the node has been told.
            UserError: no node fits, or what it needs cannot be sent.
        """
        remote = self.packer.remote
        try:
            if extra.get(process.AFRESH):
                remote.remove(f"results/{key}.json")
            if not result.there(remote, key):
                self._made(node, key, extra, stop)
            result.take(remote, folder, key)
            outcome = self._put(node, extra, stop, allow_missing=allow_missing)
        finally:
            result.records(remote, folder, node.name)
        return outcome

    def _put(self, node: Node, extra: Mapping[str, str], stop: Event, *, allow_missing: bool) -> Outcome:
        """Lets DVC run the stage here, which finds its result; the log of the node stays before what that says."""
        log = log_path(self.folder, node.name)
        said = log.read_text(encoding="utf-8") if log.exists() else ""
        outcome = run_due_stage(node, self.folder, {**extra, process.AFRESH: ""}, stop, allow_missing=allow_missing)
        log.write_text(said + log.read_text(encoding="utf-8"), encoding="utf-8")
        if outcome != "kept":  # DVC had another result of the same inputs
            return outcome
        self.packer.came(node)
        return "done"

    def _made(self, node: Node, key: str, extra: Mapping[str, str], stop: Event) -> None:
        """Returns when the remote has the result."""
        job = cache(lambda: self._job(node, key, extra))
        for _ in range(LOSSES):
            run, name = asked(lambda: self._running(key), stop) or self._sent(job(), _need(node), stop)
            with helped(self.pool, self.watch, node.workers, lambda number: self._helper(replace(job(), number=number), _need(node))):
                end = _Followed(self, node, key, run, name).end(stop)
            if end is not None:
                if end:
                    raise StageFailed(f"{node.name} failed on node {name}: {end}")
                return
        raise StageFailed(f"{node.name}: {LOSSES} nodes were lost under it")

    def _running(self, key: str) -> tuple[UUID, str] | None:
        """A run of an earlier execution that makes the same result on a node that lives."""
        view = self.watch.view()
        alive = {host.name for host in view.hosts if host.alive}
        for run in view.runs:
            job = pools.job_of(run)
            if job and (job.key, job.project, job.number) == (key, self.packer.project, 0) and pools.node_of(run) in alive:
                return run.id, pools.node_of(run)
        return None

    def _sent(self, job: Job, need: Need, stop: Event) -> tuple[UUID, str]:
        while not stop.is_set():
            if sent := asked(lambda: self._placed(job, need), stop):
                return sent
            stop.wait(POLL)
        raise Stopped

    def _helper(self, job: Job, need: Need) -> UUID | None:
        """Another part of a search, sent if a node has room."""
        with self._choosing:
            sent = self._submitted(job, need)
        return sent[0] if sent else None

    def _placed(self, job: Job, need: Need) -> tuple[UUID, str] | None:
        """The run on the node that has room now, if one has; that of an earlier question whose answer was lost is not sent twice."""
        with self._choosing:  # so that two stages of this execution do not take the same room
            if found := self._running(job.key):
                return found
            return self._submitted(job, need)

    def _submitted(self, job: Job, need: Need) -> tuple[UUID, str] | None:
        hosts = self.watch.view().hosts
        self._warn(hosts)
        if not (host := choose(hosts, need)):
            return None
        try:
            return self.pool.submit(job, need, host.name), host.name
        finally:
            self.watch.forget()

    def _warn(self, hosts: Sequence[Host]) -> None:
        """Says once of each node that lives and understands no stage of this head that none goes there."""
        for reason in [host.unlike for host in hosts if host.alive and host.unlike not in {"", *self._warned}]:
            self._warned.add(reason)
            print(f"warning: {reason}", file=sys.stderr, flush=True)

    def _job(self, node: Node, key: str, extra: Mapping[str, str]) -> Job:
        with self._looking:
            packed = self.packer.pack(node)
        return Job(
            project=self.packer.project,
            remote=self.packer.remote.settings,
            packed=packed,
            stage=node.name,
            key=key,
            before=node.after,
            execution=os.environ["STILLHOUSE_EXECUTION"],
            owner=os.environ["STILLHOUSE_EXECUTION_OWNER"],
            flow_run=extra.get("STILLHOUSE_FLOW_RUN", ""),
            gpu=_need(node).gpu,
            alone=node.alone,
            forced=node.forced,
            afresh=bool(extra.get(process.AFRESH)),
            timeout=node.timeout,
            count=node.workers,
        )


def _need(node: Node) -> Need:
    """Of one process of a search that nodes share, else of the whole stage."""
    return Need(node.gpu // node.workers, node.memory, node.threads // node.workers, node.alone)


class _Followed:
    """One run of a stage on one node; what it says comes to the same files as if it ran here."""

    def __init__(self, away: Away, node: Node, key: str, run: UUID, name: str) -> None:
        self._away, self._node, self._key, self._run, self._name = away, node, key, run, name
        self._log = log_path(away.folder, node.name)
        self._metrics = self._log.parent / key / "metrics.jsonl"
        self._heard, self._patience = 0, Patience()
        self._metrics.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_text(f"on node {name}\n", encoding="utf-8")
        self._metrics.unlink(missing_ok=True)

    def end(self, stop: Event) -> str | None:
        """ "" when the result is in the remote, why it failed, or None when the node was lost. Raises Stopped."""
        while True:
            if stop.wait(POLL):
                with suppress(httpx.HTTPError):
                    self._away.pool.cancel(self._run)
                raise Stopped
            try:
                if (end := self._look()) is not ...:
                    return end
                self._patience.answered()
            except (httpx.HTTPError, Unreachable) as error:
                if self._patience.bear(error):
                    said = error if isinstance(error, Unreachable) else "Prefect's server does not answer"
                    self._write(self._log, f"{said}; node {self._name} goes on")

    def _look(self) -> Any:
        """The end, or ... while there is none. What the remote has counts, whatever Prefect knows of it."""
        if result.there(self._away.packer.remote, self._key):
            with suppress(httpx.HTTPError):
                self._listen()
            return ""
        view = self._away.watch.view()
        state = (view.run(self._run) or self._away.pool.read(self._run)).state
        self._listen()
        if state is not None and state.is_final():
            if result.there(self._away.packer.remote, self._key):  # it came between the two questions
                return ""
            return None if pools.was_lost(state) else state.message or state.name
        host = view.host(self._name)
        if host is None or not host.alive:
            self._write(self._log, self._away.pool.give_up(self._run, self._name))
            return None
        return ...

    def _listen(self) -> None:
        for name, text in self._away.pool.said(self._run, self._heard):
            self._heard += 1
            if name in (pools.LOG, pools.METRICS):
                self._write(self._log if name == pools.LOG else self._metrics, text)

    def _write(self, path: Path, text: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
