"""What a Python file says, apart from its comments, docstrings and form; once found out, kept in the project for later processes.

To parse the library takes as long as half an import of PyTorch, and every stage asks for it. What is kept of a file counts as long as its
size and times are what they were, as in DVC; its time of change cannot be set back by an editor or a copy.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import replace
from stillhouse.contracts.raw import content

KEPT = Path(".work/code.json")
"""Lies in the working folder; without it every file is parsed."""


@dataclass(frozen=True)
class Import:
    """One statement: `import module`, or with `names`, `level` dots before the module, `from module import names`."""

    level: int
    module: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """`imports` as they stand in the file, wherever in it; `digest` is the SHA-256 of its syntax tree."""

    imports: tuple[Import, ...]
    digest: str


ANYTHING = "*"
"""In place of a module whose name is known only when the code runs."""
TICK = 100_000_000
"""Nanoseconds within which two edits may carry one time: file systems count in steps of some milliseconds."""
Stamp = tuple[int, ...]
_known: dict[Path, tuple[Stamp, Facts]] = {}


def facts(file: Path) -> Facts:
    """What a file says now. Raises UserError if it is not written in Python."""
    stamp = _stamp(file)
    if (found := _known.get(file)) is None:
        found = _kept(KEPT.resolve()).get(file)
    if found is None or found[0] != stamp:
        read_at, found = time.time_ns(), (stamp, _read(file))
        if read_at - max(stamp[:2]) < TICK:  # it could be edited once more without another time
            return found[1]
    _known[file] = found
    return found[1]


def keep() -> None:
    """Leaves what this process knows to later ones."""
    files = {str(file): {"stamp": stamp, **asdict(known)} for file, (stamp, known) in sorted(_known.items())}
    body = json.dumps({"form": _form(), "files": files}, separators=(",", ":"))
    written = f"{_sha256(body)}\n{body}"
    if not KEPT.exists() or KEPT.read_text(encoding="utf-8") != written:
        replace(KEPT, lambda path: path.write_text(written, encoding="utf-8"))


@cache
def _kept(path: Path) -> dict[Path, tuple[Stamp, Facts]]:
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sha256, _, body = content(path).decode().partition("\n")
        kept = json.loads(body)
        if sha256 == _sha256(body) and kept["form"] == _form():
            return {Path(file): (tuple(entry["stamp"]), _facts(entry)) for file, entry in kept["files"].items()}
    return {}


def _facts(entry: dict[str, Any]) -> Facts:
    return Facts(tuple(Import(item["level"], item["module"], tuple(item["names"])) for item in entry["imports"]), entry["digest"])


@cache
def _form() -> str:
    """Other code here, or another Python, finds other things in the same text."""
    return f"{sys.version} {_sha256(Path(__file__).read_text(encoding='utf-8'))}"


def _sha256(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _read(file: Path) -> Facts:
    """Without docstrings and without what only a type checker runs."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise UserError(f"{file}{line} - wanted a file of Python - {getattr(error, 'msg', error)}") from None
    lean = ast.fix_missing_locations(_Lean().visit(tree))
    return Facts(tuple(_imports(lean)), _sha256(ast.dump(lean)))


def _imports(tree: ast.Module) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.level, node.module or "", tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            yield _named(node)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def _named(node: ast.Call) -> Import:
    """The import of a module by a name that stands there as text, or of anything."""
    name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
    if not isinstance(name, str):
        return Import(0, ANYTHING)
    return Import(len(name) - len(name.lstrip(".")), name.lstrip("."))


class _Lean(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt] | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [self.visit(each) for each in node.orelse] or None
        return self.generic_visit(node)
