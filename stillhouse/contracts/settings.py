"""The ancestor of all settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from stillhouse.contracts.errors import shortened

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LARGEST = 2**63 - 1
"""The largest whole number that tensors and their sizes can hold."""


class Settings(BaseModel):
    """The ancestor of every settings class: frozen, an unknown key is an error, and every number is one that a computer counts with."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _no_boolean_as_number(cls, given: Any, valid: ModelWrapValidatorHandler[Self]) -> Self:
        """`true` is no 1: in YAML it was meant for something else."""
        made = valid(given)
        booleans = {name for name, value in given.items() if isinstance(value, bool)} if isinstance(given, dict) else set()
        wrong = [name for name, value in made if name in booleans and not isinstance(value, bool)]
        if wrong:
            told: dict[str, Any] = {"error": "should be a number"}
            raise ValidationError.from_exception_data(
                cls.__name__, [{"type": "value_error", "ctx": told, "loc": (name,), "input": given[name]} for name in wrong]
            )
        return made

    @model_validator(mode="after")
    def _countable(self) -> Settings:
        for name, value in self:
            if isinstance(value, int) and abs(value) > LARGEST:
                raise ValueError(f"{name} should be at most 2^63 - 1")
        return self


def first_mistake(error: ValidationError, skipped: int = 0) -> tuple[str, str]:
    """Where the first mistake of a file's content is, less `skipped` steps at its beginning, and what it is."""
    found = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in found["loc"][skipped:]) or "the file"
    return where, shortened(_OTHER.get(found["type"], _wrong)(found), 200)


def in_words(mistake: ErrorDetails) -> str:
    """What pydantic says of a mistake, in words of YAML and JSON: a mapping and a list, where it says dictionary, tuple and class."""
    words = mistake["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return re.sub(
        r"Tuple|a valid tuple", "a list", re.sub(r"a valid dictionary( or instance of \w+)?", "a mapping of names to values", words)
    )


def _wrong(mistake: ErrorDetails) -> str:
    got = mistake["input"]
    told = repr(got) if isinstance(got, str | int | float | None) else f"a {type(got).__name__}"
    return f"it {in_words(mistake)}, got {told}"


_OTHER: dict[str, Callable[[ErrorDetails], str]] = {
    "value_error": lambda mistake: mistake["msg"].removeprefix("Value error, "),
    "missing": lambda mistake: "it is missing",
    "extra_forbidden": lambda mistake: "there is no such setting",
    "union_tag_invalid": lambda mistake: "wanted the {discriminator} to be one of {expected_tags}, got {tag!r}".format(**mistake["ctx"]),
}
"""Mistakes that pydantic words for programmers, and those that are sentences already."""
