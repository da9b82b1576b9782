"""What code a module can reach by its imports, read off the source: nothing is imported.

Two uses: the fingerprint of a stage (only code that it can reach can change its result), and what must be packed with a model.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

LIBRARY = "stillhouse"


def reach(roots: Iterable[str]) -> dict[str, Path]:
    """Module name -> file of everything that the modules `roots` import, directly or not, among their own top-level packages and ours.

    The packages around a module are reached with it, but for our own outermost one, which holds lazy names alone. Imports for the type
    checker are not followed. A module that cannot be found is left out: it is somebody else's, or a name inside a module.
    """
    waiting = list(roots)
    own = {LIBRARY, *(name.partition(".")[0] for name in waiting)}
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        if name in found or name == LIBRARY or name.partition(".")[0] not in own:
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
    return tuple(_imports(_tree(file, _stamp(file)), package))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            steps = package.split(".")
            around = ".".join(steps[: len(steps) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [around, node.module or ""]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def digest(file: Path) -> str:
    """The hash of a file's syntax tree."""
    return _digest(file, _stamp(file))


@cache
def _digest(file: Path, stamp: tuple[int, int]) -> str:
    return hashlib.sha256(ast.dump(_tree(file, stamp)).encode()).hexdigest()


@cache
def _tree(file: Path, stamp: tuple[int, int]) -> ast.Module:
    """The tree without docstrings and without what only a type checker runs. Raises SyntaxError."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    return ast.fix_missing_locations(_Lean().visit(tree))


class _Lean(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt] | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [self.visit(each) for each in node.orelse] or None
        return self.generic_visit(node)


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size
