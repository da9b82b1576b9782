"""Model families: each is one file, and a workload's settings and networks are made of all that are found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from stillhouse.contracts import discovery, lines
from stillhouse.contracts.calls import require_settings, require_takes
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.imported import imported
from stillhouse.contracts.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from stillhouse.space.blueprint import Architecture


@dataclass(frozen=True)
class Family:
    """A kind of network that a workload can train, under the name `FAMILY` at the foot of its file."""

    settings: type[Settings]
    """With a field `family: Literal[NAME] = NAME`, where NAME is that of the file."""
    build: Callable[[Any, Mapping[str, int], Architecture | None], nn.Module]
    """build(settings, sizes, architecture): the full network for None, else the static one of that architecture."""


@dataclass(frozen=True)
class Families:
    """All families of a workload by name; settings that name none are those of `default`, where there is one."""

    parts: Mapping[str, Family]
    default: str | None = None

    @property
    def settings(self) -> Any:
        """The settings class of a single family, or a discriminated union of those of several."""
        classes = [family.settings for family in self.parts.values()]
        if len(classes) == 1:
            return classes[0]
        union: Any = Annotated[reduce(or_, classes), Field(discriminator="family")]
        return union if self.default is None else Annotated[union, BeforeValidator(self._named)]

    def model(self, settings: Any, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
        """The network of the family that the settings name, for data of the sizes that `load` gives."""
        from stillhouse.contracts.looked import network

        part = self.parts[settings.family]
        file = lines.shown(str(sys.modules[part.settings.__module__].__file__))
        return network(part.build(settings, sizes, architecture), f"{file}, the family {settings.family}")

    def _named(self, value: Any) -> Any:
        return {"family": self.default, **value} if isinstance(value, Mapping) else value


def of(workload: str, module: str, default: str | None = None) -> Families:
    """The families of a workload, whose own `module` is being imported: those beside it, the project's, and installed ones.

    Raises UserError if one is no family, or is not named as its file.
    """
    file = sys.modules[module].__file__
    assert file is not None
    found = discovery.families(workload, module, Path(file))
    return Families({name: _load(name, part.module) for name, part in found.items()}, default)


def _load(name: str, module: str) -> Family:
    loaded = imported(module)
    family = getattr(loaded, "FAMILY", None)
    if family is None and getattr(loaded.__spec__, "_initializing", False):
        raise UserError(f"{module} - wanted its workload to be imported first, which imports its families - it was imported before")
    if not isinstance(family, Family):
        raise UserError(f"{loaded.__file__} - wanted a Family under the name FAMILY - there is none")
    require_settings(family.settings, f"{loaded.__file__} - wanted FAMILY = Family(settings, build) with a class")
    require_takes(family.build, ("settings", "sizes", "architecture"), {}, f"{loaded.__file__} - wanted build")
    field = family.settings.model_fields.get("family")
    if field is None or field.default != name or get_args(field.annotation) != (name,):
        wanted = f'wanted settings with the field `family: Literal["{name}"] = "{name}"`'
        got = f"{field.default!r} of {field.annotation!r:.100}" if field else "none"
        raise UserError(f"{loaded.__file__} - {wanted} - got {got}")
    return family
