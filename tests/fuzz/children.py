"""Calls made in forked processes with bounded memory and time, so that one that dies or hangs is told and the next is made."""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

MEMORY = 3 * 2**30
"""Bytes that a process may map beyond what it had when it began."""
SECONDS = 10.0
"""For one call."""
BATCH = 200
"""Calls made in one process."""


def answers(call: Callable[[int], str], seeds: Sequence[int]) -> Iterator[tuple[int, str]]:
    """(seed, answer) of each; `failed: ...` where the process died or took more than `SECONDS`."""
    done = 0
    while done < len(seeds):
        batch = seeds[done : done + BATCH]
        for answer in _batch(call, batch):
            yield seeds[done], answer
            done += 1


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
        if not select.select([pipe], [], [], SECONDS)[0]:
            yield f"failed: more than {SECONDS:g} seconds"
            return
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            status = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            yield f"failed: the process died with {status.si_status if status else '?'}"
            return
        *lines, text = (text + chunk).split(b"\n")
        given += len(lines)
        yield from (line.decode(errors="replace") for line in lines)


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
