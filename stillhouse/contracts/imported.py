"""A part's module, imported; of one that is not this library's, a mistake in it is told by its line."""

from __future__ import annotations

import importlib
from types import ModuleType

from stillhouse.contracts import lines
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
        raise UserError(f"{_line(error, module)} - wanted a module that can be imported - {lines.words(error)}") from error


def _line(error: BaseException, module: str) -> str:
    """The last line of the package that the module lies in."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    return lines.last(error, [module.partition(".")[0]]) or module
