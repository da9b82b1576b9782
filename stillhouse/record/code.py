"""What code a module can reach by its imports, read off the source: nothing is imported.

Two uses: the fingerprint of a stage (only code that it can reach can change its result), and what must be packed with a model.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

from stillhouse.contracts.discovery import PARTS
from stillhouse.contracts.errors import UserError
from stillhouse.record import text
from stillhouse.record.text import Import

PACKAGE = "stillhouse"
WATCHED = (PACKAGE, "stages")
"""What lies in the library's own repository, where edits are noticed too."""


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
    """The absolute names of all that a module's file imports, wherever in it; a name taken from a module may be a module itself.

    Where a name is known only when the code runs, those are all modules of the same outermost package, if it is not ours.
    """
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found, top = text.facts(file).imports, module.partition(".")[0]
    anything = top != PACKAGE and any(statement.module == text.ANYTHING for statement in found)
    named = _absolute((statement for statement in found if statement.module != text.ANYTHING), package)
    return (*named, *(_modules(top) if anything else ()))


def _modules(top: str) -> Iterator[str]:
    for folder in _top(top):
        for file in sorted(folder.rglob("*.py")):
            yield ".".join([top, *file.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")


def require_followed(reached: Mapping[str, Path]) -> None:
    """An edit of a module that lies in the project, but not in its parts, would be seen by nobody.

    Raises UserError where a part imports such a module, unless it is of an installed package.
    """
    for module, file in reached.items():
        for name in {used.partition(".")[0] for used in imports(file, module)} if module.partition(".")[0] == PARTS else ():
            found = next((place for place in (Path(name, "__init__.py"), Path(f"{name}.py")) if place.exists()), None)
            if found and name not in (*WATCHED, PARTS, *packages_distributions()):
                wanted = f"wanted imports of installed packages, or from {PARTS}/, where edits are noticed"
                raise UserError(f"{module.replace('.', '/')}.py - {wanted} - got {found}: move it to {PARTS}/, and import {PARTS}.{name}")


def data(reached: Iterable[str], top: str) -> dict[str, Path]:
    """Path in a package -> file of all there that is no code, if modules of it are `reached`: any of them may read it.

    Its own README and what is hidden or compiled does not count.
    """
    if not any(name.partition(".")[0] == top for name in reached):
        return {}
    files = {file.relative_to(folder): file for folder in _top(top) for file in sorted(folder.rglob("*")) if file.is_file()}
    return {str(path): file for path, file in sorted(files.items()) if not _passed_over(path)}


def _passed_over(path: Path) -> bool:
    hidden = any(step.startswith(".") or step == "__pycache__" for step in path.parts)
    return hidden or path.suffix in (".py", ".pyc") or str(path) == "README.md"


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
