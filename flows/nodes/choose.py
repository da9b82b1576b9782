"""Which node a stage goes to: one that fits and has room, those with the least to do first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes.life import LOST, RETURN


@dataclass(frozen=True)
class Need:
    """What a stage takes of a node while it runs. `memory`: GiB that each of its GPUs must have at least; `alone`: the whole node."""

    gpu: int = 0
    memory: float = 0.0
    threads: int = 1
    alone: bool = False


@dataclass(frozen=True)
class Host:
    """A node: what it has, what runs on it, and how long it has been silent."""

    name: str
    cores: int
    gpus: tuple[float, ...] = ()
    """GiB of each GPU."""
    running: tuple[Need, ...] = ()
    silent: float = 0.0
    """Seconds since its last sign of life."""
    unlike: str = ""
    """Why it understands no stage of this head, where that is so."""

    @property
    def alive(self) -> bool:
        """Whether it takes stages now."""
        return self.silent < LOST


def choose(hosts: Sequence[Host], need: Need) -> Host | None:
    """The node to go to now, None while there is none with room.

    Raises:
        UserError: there is no node, or none that lives or may come back could ever meet the need.
    """
    there = [host for host in hosts if host.silent < RETURN and not host.unlike]
    fitting = [host for host in there if _fits(host, need, there)]
    if not fitting:
        raise UserError(_refusal(hosts, there, need))
    free = [host for host in fitting if host.alive and _has_room(host, need)]
    return min(free, key=lambda host: (len(host.running), -host.cores, host.name)) if free else None


def _fits(host: Host, need: Need, hosts: Sequence[Host]) -> bool:
    """Where no node has a GPU, a stage that would like one runs on cores, as it does on one machine."""
    if not need.memory and not any(other.gpus for other in hosts):
        return True
    return len(_suiting(host, need)) >= need.gpu


def _suiting(host: Host, need: Need) -> list[float]:
    return [memory for memory in host.gpus if memory >= need.memory]


def _has_room(host: Host, need: Need) -> bool:
    if any(other.alone for other in host.running):
        return False
    if need.alone:
        return not host.running
    if need.gpu and host.gpus:
        return len(_suiting(host, need)) - sum(other.gpu for other in host.running) >= need.gpu
    return not host.running or sum(max(1, other.threads) for other in host.running) + need.threads <= host.cores


def _refusal(hosts: Sequence[Host], there: Sequence[Host], need: Need) -> str:
    unlike = [host.unlike for host in hosts if host.silent < RETURN and host.unlike]
    if not there and unlike:
        return "; ".join(unlike)
    if not there:
        silent = f"; {', '.join(host.name for host in hosts)} gave no sign of life" if hosts else ""
        return f"no node is there{silent}: say `stillhouse node --head ADDRESS` on one"
    wanted = f"{need.gpu} GPUs" + (f" of {need.memory:g} GiB" if need.memory else "")
    has = "; ".join(f"{host.name} has {', '.join(f'{memory:g} GiB' for memory in host.gpus) or 'none'}" for host in there)
    return "; ".join([f"meta - wanted a node with {wanted} - {has}", *unlike])
