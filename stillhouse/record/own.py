"""Errors of parts that are not this library's, while they run: told by the line of the part, in the error's own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stillhouse.contracts import discovery, lines
from stillhouse.contracts.errors import UserError
from stillhouse.record import room

WANTED = "wanted code that runs to its end"
_KINDS = ("workloads", "searches", "losses", "evaluations", discovery.FAMILIES)


class OwnError(UserError):
    """What a part has raised, in a sentence; its cause is the error itself."""


@contextmanager
def telling() -> Iterator[None]:
    """Turns an error that was raised while a line of such a part was running into an OwnError; others stay as they are."""
    try:
        yield
    except (UserError, PermissionError):
        raise
    except BaseException as error:
        if lines.ends(error):
            raise
        place = "" if room.is_full(error) else lines.last(error, _packages())
        if not place:
            raise
        raise OwnError(f"{place} - {WANTED} - {lines.words(error)}") from error


def _packages() -> set[str]:
    """The first names of the modules that such parts lie in."""
    installed = (part.module for kind in _KINDS for _, part in discovery.installed(kind))
    return {discovery.PARTS, *(module.partition(".")[0] for module in installed)} - {"stillhouse"}
