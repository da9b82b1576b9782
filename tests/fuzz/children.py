"""Calls made in forked processes with bounded memory and time, so that one that dies or hangs is told and the next is made."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import resource
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, cast

import psutil
import torch

MEMORY = 3 * 2**30
"""Bytes that a process may map beyond what it had when it began."""
SECONDS = 10.0
"""Of processor time for one call: seconds on a clock would tell how busy the machine is."""
_WAITS = 0.002
"""A process that uses less than this share of a processor for `SECONDS` waits for something."""
BATCH = 200
"""Calls made in one process."""
Made = TypeVar("Made")


def answers(call: Callable[[int], str], seeds: Sequence[int]) -> Iterator[tuple[int, str]]:
    """(seed, answer) of each; `failed: ...` where the process died, took more than `SECONDS`, or waited as long."""
    done = 0
    while done < len(seeds):
        batch = seeds[done : done + BATCH]
        for answer in _batch(call, batch):
            yield seeds[done], answer
            done += 1


def apart(make: Callable[[], Made]) -> Made:
    """What a call returns that is made in a forked process: the threads that it starts never are in this one, which forks again."""
    context = multiprocessing.get_context("fork")
    ours, its = context.Pipe(duplex=False)
    child = context.Process(target=lambda: its.send(make()))
    child.start()
    its.close()
    try:
        return cast(Made, ours.recv())
    finally:
        child.join()


def _batch(call: Callable[[int], str], seeds: Sequence[int]) -> Iterator[str]:
    """Answers until all are given or the process has died, the last of which says so."""
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _answer(call, seeds, its)
    os.close(its)
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        try:
            yield from _received(pipe.fileno(), len(seeds), child)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _received(pipe: int, wanted: int, child: int) -> Iterator[str]:
    text, given = b"", 0
    while given < wanted:
        if late := _late(pipe, child):
            yield f"failed: {late}"
            return
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            status = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            yield f"failed: the process died with {status.si_status if status else '?'}"
            return
        *lines, text = (text + chunk).split(b"\n")
        given += len(lines)
        yield from (line.decode(errors="replace") for line in lines)


def _late(pipe: int, child: int) -> str:
    """Why the next answer is given up; empty once it is there."""
    began = last = _used(child)
    while not select.select([pipe], [], [], SECONDS)[0]:
        now = _used(child)
        if now - last < _WAITS * SECONDS:
            return f"more than {SECONDS:g} seconds of waiting"
        if now - began > SECONDS:
            return f"more than {SECONDS:g} seconds of processor time"
        last = now
    return ""


def _used(child: int) -> float:
    """Seconds of processor time; none of a process that has ended."""
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(child).cpu_times()
        return float(times.user + times.system)
    return 0.0


def _answer(call: Callable[[int], str], seeds: Sequence[int], pipe: int) -> None:
    """What the child does; it never returns to what it was forked from."""
    status = 1
    try:
        gc.freeze()
        torch.set_num_threads(1)  # threads of the parent are not there
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for seed in seeds:
            os.write(pipe, call(seed).replace("\n", " ").encode(errors="replace") + b"\n")
        status = 0
    finally:
        os._exit(status)
