"""Imports go one way: what each layer may import, read off the source."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stillhouse.record import code

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "stillhouse"
FILES = sorted(
    [
        *(file for file in LIBRARY.rglob("*.py") if not {"stages", "flows"} & {file.relative_to(LIBRARY).parts[0]}),
        *(LIBRARY / folder / file.relative_to(ROOT / folder) for folder in ("stages", "flows") for file in (ROOT / folder).rglob("*.py")),
    ]
)
BLOCKS = ("contracts", "space", "training")
MAY: dict[str, tuple[str, ...]] = {
    "contracts": BLOCKS[:2],
    "space": BLOCKS[:2],
    "training": BLOCKS,
    "comparison": ("comparison", "contracts"),
    "record": ("record", "contracts"),
    "losses": BLOCKS,
    "searches": BLOCKS,
    "evaluations": (*BLOCKS, "runtimes"),
    "runtimes": (*BLOCKS, "runtimes", "registry", "record", "runner", "tracking"),
    "workloads": BLOCKS,
    "registry.py": ("contracts", "record"),
    "serving": (*BLOCKS, "serving", "registry", "record"),
    "tracking": ("tracking", "serving", "comparison", "record", "contracts"),
    "runner": (*BLOCKS, "runner", "registry", "record", "comparison"),
    "stages": (*BLOCKS, "comparison"),
    "flows": ("flows", "record", "contracts"),
    "lineage": ("lineage", "record", "contracts"),
    "report": ("report", "comparison", "lineage", "record", "contracts"),
    "__main__.py": ("cli", "record"),
    "project": ("project", "contracts"),
    "cli": ("cli", "project", "flows", "lineage", "report", "serving", "record", "contracts", "registry", "runner"),
    "direct.py": (*BLOCKS, "registry"),
    "__init__.py": (*BLOCKS, "direct"),
}
"""The first step of a module's path -> what it may import of ours."""
ONLY = {
    "prefect": {"flows"},
    "mlflow": {"tracking", "serving/package.py", "serving/fetch.py"},
    "pandas": {"serving/pyfunc.py"},
    "dvc": {
        *("flows/graph.py", "flows/order.py", "flows/ready.py", "flows/uncached.py", "flows/zombies.py"),
        *("record/hashes.py", "record/remote.py", "record/stored.py"),
    },
    "dvc_data": {"record/remote.py", "record/stored.py"},
    "dvc_objects": {"record/stored.py"},
    "typer": {"cli"},
    "onnxruntime": {"runtimes/onnx.py", "runtimes/onnx_int8.py"},
    "psycopg": {"flows/head/databases.py"},
    "onnxscript": {"runtimes/onnx.py"},
    "torch_geometric": {
        f"workloads/graphs/{file}.py" for file in ("_shared/installed", "_shared/layers", "_shared/messages", "static_nodes/encodings")
    },
    "matplotlib": set(),
    "pykeen": set(),
    "libpysal": set(),
    "sklearn": set(),
}
NOT_AT_RUN_TIME = ("jaxtyping", "beartype")
"""What the development environment alone has."""


def modules(file: Path) -> Iterator[str]:
    """The absolute name of everything that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(file.relative_to(ROOT).parts[: -node.level]) if node.level else ""
            base = ".".join(filter(None, [package, node.module or ""]))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def dotted(file: Path) -> str:
    """The name of the module in a file."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(name: str, *packages: str) -> bool:
    """Whether a module is one of some packages or lies in it."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def foreign(file: Path, *allowed: str) -> list[str]:
    """The modules of ours that a file imports and may not."""
    ours = ("stillhouse", "stages", "flows", "parts", "tests", "benchmarks")
    return [name for name in modules(file) if within(name, *ours) and not within(name, *(f"stillhouse.{each}" for each in allowed))]


def step(file: Path) -> str:
    """The folder of the library that a file lies in."""
    return file.relative_to(LIBRARY).parts[0]


@pytest.mark.parametrize("layer", MAY)
def test_imports_go_down(layer: str):
    """Each family of parts sees itself below."""
    doors = {"stages/__main__.py", "stages/door.py"}
    wrong = {}
    for file in (file for file in FILES if step(file) == layer and str(file.relative_to(LIBRARY)) not in doors):
        allowed = (*MAY[layer], *_own(file))
        if found := foreign(file, *allowed):
            wrong[str(file.relative_to(ROOT))] = found
    assert wrong == {}


def _own(file: Path) -> list[str]:
    """What a part shares with its family: its own folder, and the `_` modules beside it or above it."""
    steps = file.relative_to(LIBRARY).parts
    if steps[0] in ("losses", "searches", "evaluations"):
        return [f"{steps[0]}.{shared.stem}" for shared in (LIBRARY / steps[0]).glob("_*.py")]
    if steps[0] != "workloads":
        return []
    family = (LIBRARY / "workloads" / steps[1] / "_shared").is_dir()
    return [f"workloads.{'.'.join(steps[1:3])}", f"workloads.{steps[1]}._shared"] if family else [f"workloads.{steps[1]}"]


def test_a_model_family_imports_no_other():
    """What two of them share lies beside their folder."""
    wrong = {}
    for file in (file for file in FILES if file.parent.name == "families"):
        own = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        if found := [
            name for name in modules(file) if ".families." in name and name.startswith("stillhouse.workloads") and not within(name, own)
        ]:
            wrong[str(file.relative_to(ROOT))] = found
    assert wrong == {}


def test_every_folder_has_its_place_in_the_order():
    assert {step(file) for file in FILES} == set(MAY)


def test_nothing_is_imported_past_the_one_name():
    """`import stages` would make two modules of one file."""
    everywhere = [*FILES, *(file for folder in ("tests", "benchmarks") for file in (ROOT / folder).rglob("*.py"))]
    assert {str(file): found for file in everywhere if (found := [name for name in modules(file) if within(name, "stages", "flows")])} == {}


@pytest.mark.parametrize("package", ONLY)
def test_a_tool_is_imported_in_its_own_place_alone(package):
    users = {file.relative_to(LIBRARY) for file in FILES for name in modules(file) if within(name, package)}
    strangers = [str(user) for user in users if not any(user.is_relative_to(place) for place in ONLY[package])]
    assert strangers == []
    assert users or not ONLY[package]


def test_what_is_imported_is_declared():
    """A package that comes by way of another one can be gone tomorrow. What only a type checker imports need not be there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (
        line for name in ("transformers", "graphs", "molecules", "export", "postgresql") for line in project["optional-dependencies"][name]
    )
    declared = {canonicalize_name(Requirement(line).name) for line in (*project["dependencies"], *extras)}
    providers = packages_distributions()
    used = {name.partition(".")[0] for file in FILES for name in code.imports(file, dotted(file))} - {
        *sys.stdlib_module_names,
        "stillhouse",
    }
    assert {name for name in used if not declared & {canonicalize_name(each) for each in providers.get(name, [])}} == set()


def test_what_checks_shapes_is_not_needed_to_run():
    names = {name.partition(".")[0] for file in FILES for name in code.imports(file, dotted(file))}
    assert names.isdisjoint(NOT_AT_RUN_TIME)


def test_a_relative_import_is_read_as_an_absolute_one():
    assert "tests.tiny.parts.workloads.toy.network.Network" in set(modules(ROOT / "tests/tiny/parts/workloads/toy/__init__.py"))
