"""The packages that a project's stages run with: what a node must have to give the same results."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OWN = "stillhouse"
_NOT_FOR_STAGES = ("dev",)
"""Extras that no stage needs."""


def needed() -> list[str]:
    """ "torch==2.13.0" and so on, sorted: the library and all that it needs here, extras too where they are installed."""
    found: dict[str, str] = {}
    _add(OWN, _extras(OWN), found)
    return sorted(f"{name}=={found[name]}" for name in found)


def lacking(wanted: Iterable[str]) -> list[str]:
    """Those that are not installed in this version: "torch==2.13.0, here 2.12.0"."""
    told = []
    for line in wanted:
        name, _, number = line.partition("==")
        if (here := _version(name)) != number:
            told.append(f"{line}, here {here or 'none'}")
    return told


def _add(name: str, extras: Iterable[str], found: dict[str, str]) -> None:
    key = canonicalize_name(name)
    if key in found or not (number := _version(name)):
        return
    found[key] = number
    for requirement in map(Requirement, distribution(name).requires or ()):
        if any(_applies(requirement, extra) for extra in ("", *extras)):
            _add(requirement.name, requirement.extras, found)


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _extras(name: str) -> list[str]:
    """Extras of which all is installed that they name."""
    try:
        own = distribution(name)
    except PackageNotFoundError:
        return []
    wanted = [Requirement(text) for text in own.requires or ()]
    extras = [extra for extra in own.metadata.get_all("Provides-Extra") or () if extra not in _NOT_FOR_STAGES]
    return [extra for extra in extras if all(_version(each.name) for each in wanted if not _applies(each, "") and _applies(each, extra))]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
