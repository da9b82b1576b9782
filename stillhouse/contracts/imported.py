"""A part's module, imported; of one that is not this library's, a mistake in it is told by its line."""

from __future__ import annotations

import importlib
from contextlib import suppress
from functools import cache
from importlib.util import source_from_cache
from pathlib import Path
from types import ModuleType

from stillhouse.contracts import lines
from stillhouse.contracts.discovery import PARTS
from stillhouse.contracts.errors import UserError


def imported(module: str) -> ModuleType:
    """The module of that name. Raises UserError where a part of a project or of another package cannot be imported."""
    if module.partition(".")[0] == PARTS:
        _forget_compiled(Path(PARTS).absolute())
    try:
        return importlib.import_module(module)
    except UserError:
        raise
    except BaseException as error:  # whatever a module does when it is run
        if module.startswith("stillhouse.") or lines.ends(error):
            raise
        raise UserError(f"{_line(error, module)} - wanted a module that can be imported - {lines.words(error)}") from error


_TICK = 0.1
"""Seconds within which a file may be edited once more without another time."""


@cache
def _forget_compiled(parts: Path) -> None:
    """Removes what Python has compiled of sources that were changed since: it looks at a time that copies and archives bring along."""
    for compiled in parts.rglob("__pycache__/*.pyc"):
        with suppress(OSError, ValueError):
            if Path(source_from_cache(str(compiled))).stat().st_ctime + _TICK > compiled.stat().st_mtime:
                compiled.unlink()


def _line(error: BaseException, module: str) -> str:
    """The last line of the package that the module lies in."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    return lines.last(error, [module.partition(".")[0]]) or module
