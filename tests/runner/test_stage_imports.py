"""What a stage's process imports: real processes, each asked at its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STAGES = ("prepare rings", "teach rings", "search half", "distill half", "evaluate half", "compare")
NEVER = {"mlflow", "prefect", "pandas", "torchmetrics", "scipy", "sklearn"}
"""Neither a stage nor what it calls has a use for these; each costs a third of a second or more."""
CODE = """
import sys
from stillhouse.stages.door import main
status = main(sys.argv[1:])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
sys.exit(status)
"""


@pytest.fixture
def imported(project: Path) -> dict[str, set[str]]:
    found = {}
    for stage in STAGES:
        done = subprocess.run([sys.executable, "-c", CODE, *stage.split()], capture_output=True, text=True, check=True)
        found[stage.split()[0]] = set(done.stdout.split())
    return found


def test_a_stage_imports_what_it_uses(imported: dict[str, set[str]]):
    assert {verb: found & NEVER for verb, found in imported.items() if found & NEVER} == {}
    assert not [verb for verb, found in imported.items() if "matplotlib" in found], "pictures are drawn without it"
    assert {verb for verb, found in imported.items() if "torch" not in found} == {"compare"}, "the only one that computes nothing"
    assert {verb for verb, found in imported.items() if "sympy" in found} == {"search"}, (
        "PyTorch's counter of operations, not its optimisers"
    )


@pytest.mark.parametrize("kind", ["classify", "segment", "detect"])
def test_workloads_of_pictures_import_nothing_that_draws(kind: str):
    code = f"import sys, stillhouse.workloads.pictures.{kind}; print(*({NEVER | {'matplotlib'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
