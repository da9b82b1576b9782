"""What code a module can reach by its imports, read off the source: nothing is imported.

Two uses: the fingerprint of a stage (only code that it can reach can change its result), and what must be packed with a model.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

from stillhouse.record import text
from stillhouse.record.text import Import

PACKAGE = "stillhouse"


def reach(roots: Iterable[str]) -> dict[str, Path]:
    """Module name -> file of everything that the modules `roots` import, directly or not, among their own top-level packages and ours.

    The packages around a module are reached with it, but for our own outermost one, which holds lazy names alone. Imports for the type
    checker are not followed. A module that cannot be found is left out: it is somebody else's, or a name inside a module.
    """
    waiting = list(roots)
    own = {PACKAGE, *(name.partition(".")[0] for name in waiting)}
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        if name in found or name == PACKAGE or name.partition(".")[0] not in own:
            continue
        if file := source(name):
            found[name] = file
            waiting += _parents(name)
            waiting += imports(file, name)
    return dict(sorted(found.items()))


def digests(roots: Iterable[str]) -> dict[str, str]:
    """Module name -> hash of its syntax tree, for all that `reach` finds; comments, docstrings and the form of the text do not count."""
    return {name: digest(file) for name, file in reach(roots).items()}


def source(module: str) -> Path | None:
    """The file of a module, None if there is none in the language's own text."""
    top, *steps = module.split(".")
    folders = _top(top)
    for step in steps[:-1]:
        folders = tuple(folder / step for folder in folders if (folder / step).is_dir())
    last = steps[-1] if steps else ""
    for folder in folders:
        for file in (folder / last / "__init__.py", folder / f"{last}.py") if last else (folder / "__init__.py",):
            if file.is_file():
                return file
    return None


def _top(name: str) -> tuple[Path, ...]:
    """The folders of a top-level package; to look one up runs none of its code."""
    spec = importlib.util.find_spec(name)
    return tuple(Path(place) for place in spec.submodule_search_locations or ()) if spec else ()


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def imports(file: Path, module: str) -> tuple[str, ...]:
    """The absolute names of all that a module's file imports, wherever in it; a name taken from a module may be a module itself."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return tuple(_absolute(text.facts(file).imports, package))


def _absolute(statements: Iterable[Import], package: str) -> Iterator[str]:
    steps = package.split(".")
    for statement in statements:
        around = ".".join(steps[: len(steps) - statement.level + 1]) if statement.level else ""
        base = ".".join(filter(None, [around, statement.module]))
        yield base
        yield from (f"{base}.{name}" for name in statement.names)


def digest(file: Path) -> str:
    """The hash of a file's syntax tree."""
    return text.facts(file).digest
