"""What the library hands out says what it is for: exported names, the contracts of parts, and every part of its own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import stillhouse
from stillhouse import registry
from stillhouse.contracts import parts

KINDS = ("losses", "searches", "evaluations", "workloads", "families")


def exported() -> Iterator[tuple[str, Any]]:
    for name in stillhouse.__all__:
        if name != "__version__":
            yield f"stillhouse.{name}", getattr(stillhouse, name)


def contracts() -> Iterator[tuple[str, Any]]:
    for name, value in vars(parts).items():
        if inspect.isclass(value) and value.__module__ == parts.__name__:
            yield f"parts.{name}", value


def own_parts() -> Iterator[tuple[str, Any]]:
    """The module, and the public functions and classes in it."""
    modules = {place.module for kind in KINDS for place in registry.known(kind).values() if place.module.startswith("stillhouse.")}
    for name in sorted(modules):
        module = __import__(name, fromlist=["_"])
        yield name, module
        for word, value in vars(module).items():
            if getattr(value, "__module__", "") == name and inspect.isroutine(value) | inspect.isclass(value) and not word.startswith("_"):
                yield f"{name}.{word}", value


def with_methods(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield name, value
    for word, member in vars(value).items() if inspect.isclass(value) else ():
        if (not word.startswith("_") or word == "__call__") and (inspect.isfunction(member) or isinstance(member, property | staticmethod)):
            yield f"{name}.{word}", member


def fragment(value: Any) -> bool:
    """Whether the first sentence is missing, inherited or too short to say what a thing is for, or begins with the word of."""
    told = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    sentence = told.strip().split("\n\n")[0]
    return len(sentence.split()) < 4 or sentence.startswith("Of ") or sentence.startswith(f"{getattr(value, '__name__', None)}(")


@pytest.mark.parametrize("names", [exported, contracts, own_parts])
def test_public_names_say_what_they_are_for(names):
    found = [whole for pair in names() for whole in with_methods(*pair)]
    assert len(found) > 10
    assert [name for name, value in found if fragment(value)] == []


@pytest.mark.parametrize("text", [None, "Of three.", "A scalar.", "Record(name: str, of: int, and_of: int)"])
def test_a_fragment_is_found(text):
    assert fragment(type("Record", (), {"__doc__": text}))
