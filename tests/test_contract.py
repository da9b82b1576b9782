"""dvc.yaml says what the verbs do: a forgotten dependency is a red test here, and would be a stale result elsewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from stillhouse import registry
from stillhouse.record import code
from stillhouse.runner import params as settings

ROOT = Path(__file__).parents[1]
WORKLOADS, SEARCHES, LOSSES, EVALUATIONS = (list(registry.known(kind)) for kind in ("workloads", "searches", "losses", "evaluations"))

# DVC's own use of a library that has grown older.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")


def everything() -> dict[str, Any]:
    """One teacher and one student for each workload, and one student for each search."""
    teachers = {name.replace("_", "-"): {"workload": name, "raw": f"data/raw/{name}.json"} for name in WORKLOADS}
    pairs = {(teacher, SEARCHES[0]) for teacher in teachers} | {(next(iter(teachers)), method) for method in SEARCHES}
    students = {
        f"{teacher}-{method}".replace("_", "-"): {
            "teacher": teacher,
            "workload": teachers[teacher]["workload"],
            "search": {"method": method},
        }
        for teacher, method in sorted(pairs)
    }
    return {"seed": 1, "threads": 1, "teachers": teachers, "students": students}


def resolve(folder: Path, pipeline: str, params: dict[str, Any]) -> dict[str, Any]:
    """Stage name -> DVC's stage."""
    (folder / ".dvc").mkdir(parents=True, exist_ok=True)
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    (folder / "dvc.yaml").write_text(pipeline)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with Repo(str(folder)) as repo:
        return {stage.name: stage for stage in repo.index.stages}


def problems(stage: Any, params: dict[str, Any]) -> list[str]:
    """Everything in which a stage of dvc.yaml and its verb disagree."""
    verb, _, name = stage.name.partition("@")
    block = params["teachers"].get(name) or params["students"].get(name) or {}
    deps = {dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)}
    folders = {path for path in deps if path.partition("/")[0] in ("stillhouse", "stages", "parts")}
    *read, written = paths(verb, name, block)
    return [
        *(f"{path} is read and no dependency" for path in set(read) - deps),
        *(f"{path} is a dependency and not read" for path in deps - folders - set(read)),
        *(f"outs are {outs(stage)}, and {written} is written" for _ in [0] if outs(stage) != [written]),
        *(f"tracks {tracked(stage)} and is given {given(verb, name)}" for _ in [0] if tracked(stage) != given(verb, name)),
        *(f"{file} is imported and no dependency" for file in sorted(reachable(verb, block)) if not lies_under(file, folders)),
        *(
            []
            if str(stage.cmd).split() == ["python", "-m", "stillhouse.stages", verb, *([name] if name else [])]
            else [f"cmd is {stage.cmd}"]
        ),
    ]


def paths(verb: str, name: str, block: dict[str, Any]) -> list[str]:
    """Where the runner puts what a verb's signature names; the last one is written."""
    teacher = block.get("teacher", name)
    places = {"raw": block.get("raw"), "report": f"data/reports/{name}", "reports": "data/reports", "comparison": "data/comparison"}
    places |= {what: f"data/{teacher}/{what}" for what in ("prepared", "teacher")}
    places |= {what: f"data/{name}/{what}" for what in ("found", "student")}
    signature = inspect.signature(getattr(importlib.import_module(f"stillhouse.stages.{verb}"), verb))
    words = [word for word, kind in signature.parameters.items() if kind.kind is kind.KEYWORD_ONLY]
    return [places[word] for word in words if word not in ("rng", "log", "scratch")]


def outs(stage: Any) -> list[str]:
    """The outputs of a stage that are neither metrics nor plots."""
    return [out.def_path for out in stage.outs if not out.metric and not out.plot]


def tracked(stage: Any) -> set[str]:
    """The parameters of a stage."""
    return {key for dep in stage.deps if isinstance(dep, ParamsDependency) for key in dep.params}


def given(verb: str, name: str) -> set[str]:
    """What the runner hands to a verb: the seed and its own block; to the comparison, all students."""
    owner = "teachers" if verb in ("prepare", "teach") else "students"
    return {"seed", "threads", f"{owner}.{name}.{verb}" if name else owner}


def reachable(verb: str, block: dict[str, Any]) -> set[str]:
    """Every file of ours that a verb or one of its parts imports, as DVC knows it; those of no more than a docstring left out."""
    roots = [f"stillhouse.stages.{verb}"]
    if "workload" in block:
        roots += [registry.module("workloads", block["workload"]), *registry.family_modules(block["workload"]).values()]
    if verb == "search":
        roots.append(registry.module("searches", block["search"]["method"]))
    if verb in ("search", "distill"):
        roots += [registry.module("losses", name) for name in LOSSES]
    if verb == "evaluate":
        roots += [registry.module("evaluations", name) for name in EVALUATIONS]
    return {str(file.resolve().relative_to(ROOT)) for file in code.reach(roots).values() if does_something(file)}


@cache
def does_something(file: Path) -> bool:
    """Whether there is more in it than a docstring."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(file.read_text()).body)


def lies_under(file: str, folders: set[str]) -> bool:
    """Whether one of the folders (or files) contains it."""
    return any(Path(file).is_relative_to(folder) for folder in folders)


PIPELINE = (ROOT / "dvc.yaml").read_text()


def test_every_stage_declares_what_its_verb_and_parts_use(tmp_path):
    params = everything()
    stages = resolve(tmp_path, PIPELINE, params)
    assert {name.partition("@")[0] for name in stages} == set(registry.VERBS)
    assert len(stages) == 2 * len(WORKLOADS) + 3 * (len(WORKLOADS) + len(SEARCHES) - 1) + 1
    assert {name: found for name, stage in stages.items() if (found := problems(stage, params))} == {}


@pytest.mark.parametrize("file", [ROOT / "params.yaml", *ROOT.glob("docs/examples/*.yaml")], ids=lambda file: file.stem)
def test_the_committed_parameters_resolve_too(tmp_path, file):
    settings.check(file)
    params = yaml.safe_load(file.read_text())
    assert all((ROOT / teacher["raw"]).exists() for teacher in params["teachers"].values())
    stages = resolve(tmp_path, PIPELINE, params)
    assert {name: found for name, stage in stages.items() if (found := problems(stage, params))} == {}


@pytest.mark.parametrize(
    ("kept", "changed", "complaint"),
    [
        ("        - stillhouse/training\n", "", "stillhouse/training/fit.py is imported and no dependency"),
        ("        - stillhouse/losses\n", "", "stillhouse/losses/logits.py is imported and no dependency"),
        ("        - stillhouse/evaluations\n", "", "stillhouse/evaluations/latency.py is imported and no dependency"),
        ("        - stillhouse/searches\n", "", "stillhouse/searches/uniform.py is imported and no dependency"),
        ("        - data/${key}/found\n", "", "is read and no dependency"),
        ('params: [seed, threads, "students.${key}.distill"]', 'params: [threads, "students.${key}.distill"]', "and is given"),
        ('params: [seed, threads, "students.${key}.search"]', 'params: [seed, threads, "students.${key}"]', "and is given"),
        ('outs: ["data/${key}/teacher"]', 'outs: ["data/${key}/master"]', "is written"),
        ("deps: [data/reports, ", "deps: [data/reports, data/raw, ", "data/raw is a dependency and not read"),
        ("stages evaluate ${key}", "stages teach ${key}", "cmd is"),
    ],
)
def test_a_forgotten_line_is_found(tmp_path, kept, changed, complaint):
    assert kept in PIPELINE
    params = everything()
    stages = resolve(tmp_path, PIPELINE.replace(kept, changed), params)
    assert any(complaint in problem for stage in stages.values() for problem in problems(stage, params))
