"""Deaths at a chosen moment, in tests: processes that count what they do and die before one step of it."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod", "shutil.move"}
Tell = Callable[[int], None]


def operations(kill_before: int | None, tell: Tell) -> None:
    """Counts what this process does to files from now on, and dies before one of them."""
    done = 0

    def look(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            done += 1
            tell(done)
            if done == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def in_child(work: Callable[[Tell], int]) -> tuple[int, int]:
    """Does some work in a process of its own: its exit status as `os.waitpid` gives it, and the last number that it told."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(60)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            os._exit(work(lambda count: os.write(writer, count.to_bytes(4)) and None))
        except BaseException:
            traceback.print_exc()
            os._exit(70)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    return os.waitpid(pid, 0)[1], int.from_bytes(told[-4:]) if told else 0
