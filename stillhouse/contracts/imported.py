"""A part's module, imported; of one that is not this library's, a mistake in it is told by its line."""

from __future__ import annotations

import importlib
import os
import traceback
from types import ModuleType

from stillhouse.contracts.errors import UserError


def imported(module: str) -> ModuleType:
    """The module of that name. Raises UserError where a part of a project or of another package cannot be imported."""
    try:
        return importlib.import_module(module)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever a module does when it is run
        if module.startswith("stillhouse."):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{_line(error, module)} - wanted a module that can be imported - {said}") from error


def _line(error: BaseException, module: str) -> str:
    """The last line of the package that the module lies in."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    inside = f"{os.sep}{module.partition('.')[0]}{os.sep}"
    lines = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__) if inside in frame.filename]
    return lines[-1] if lines else module
