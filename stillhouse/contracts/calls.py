"""What fills a field of a part is of use there, or is told before any work: a class of settings, a function of what it is given."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, get_origin

from pydantic import PydanticUserError, TypeAdapter

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings


def require_settings(found: object, wanted: str) -> None:
    """Raises UserError, beginning with what was wanted, unless it is a class of Settings."""
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise UserError(f"{wanted} of stillhouse.contracts.settings.Settings - got {found!r:.100}")


def require_valid(found: Any, wanted: str) -> None:
    """Raises UserError, beginning with what was wanted, unless it is a class of Settings or a union of several."""
    if get_origin(found) is None:
        return require_settings(found, wanted)
    try:
        TypeAdapter(found)
    except PydanticUserError as error:
        raise UserError(f"{wanted} of stillhouse.contracts.settings.Settings - got {found!r:.100} ({error.message})") from None


def require_takes(function: object, given: Iterable[str], named: Mapping[str, Any], wanted: str) -> None:
    """Raises UserError, beginning with what was wanted, unless it is a function that takes so many values, and these by name."""
    arguments = ", ".join([*given, *(f"{name}={value}" for name, value in named.items())])
    if not callable(function):
        raise UserError(f"{wanted}({arguments}) - got {function!r:.100}")
    try:
        inspect.signature(function).bind(*given, **named)
    except TypeError as error:
        raise UserError(f"{wanted}({arguments}) - {error}") from None
