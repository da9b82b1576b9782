"""What an execution holds from before its plan is known: the lock of the folder, a copy of this process, and Prefect's server.

That server takes longest to start of all that an execution needs, so it starts beside the check of params.yaml, once something is due.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.contracts.errors import UserError

if TYPE_CHECKING:
    from stillhouse.flows.server import Serving


class Opening:
    """Made by `opening`, which also closes what has begun."""

    def __init__(self, folder: Path, held: ExitStack, server: ExitStack) -> None:
        self._folder, self._held, self._server = folder, held, server
        self._serving: Serving | None = None

    def begin(self) -> None:
        """Raises UserError if another execution is going on in this folder, or a server that the reader named does not answer."""
        if self._serving:
            return
        from stillhouse.flows.ready import dvc_ready
        from stillhouse.flows.server import server

        self._held.enter_context(dvc_ready())  # before any file is locked, which a copy would hold too
        self._held.enter_context(alone(self._folder))
        self._serving = self._server.enter_context(server(self._folder))

    @contextmanager
    def serving(self) -> Iterator[Serving]:
        """The server, which ends with this context. Raises as `begin` does."""
        self.begin()
        assert self._serving
        with self._server:
            yield self._serving


@contextmanager
def opening(folder: Path) -> Iterator[Opening]:
    """Nothing is held until somebody begins."""
    with ExitStack() as held, ExitStack() as server:
        yield Opening(folder, held, server)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raises UserError if another execution is going on. The kernel frees the lock at any end of this process."""
    path = folder / ".work" / "execution.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another `stillhouse run` is going on in this folder: wait for it, or stop it with Ctrl-C") from None
        yield
