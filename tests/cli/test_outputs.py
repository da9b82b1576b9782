"""What a reader names by mistake: a file of another kind as an output, which stays, and what is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.cli.lineage import lineage
from stillhouse.cli.report import report
from stillhouse.contracts.errors import UserError


@pytest.mark.parametrize(
    ("command", "suffix"),
    [
        (lambda path: report(output=path), ".html"),
        (lambda path: report(picture=path), ".png"),
        (lambda path: lineage("half", svg=path), ".svg"),
    ],
)
@pytest.mark.parametrize(("name", "got"), [("params.yaml", ".yaml"), ("notes", "no suffix")])
def test_an_output_of_another_kind_is_refused(project: Path, command, suffix: str, name: str, got: str):
    (project / "notes").write_text("mine")
    before = (project / name).read_bytes()
    with pytest.raises(UserError, match=rf"^{name} - wanted an output that ends in \{suffix} - got {got}$"):
        command(Path(name))
    assert (project / name).read_bytes() == before


def test_an_unknown_teacher_is_a_mistake_of_the_readers(project: Path):
    """Told as `predict` and `export` do."""
    done = subprocess.run(
        [sys.executable, "-m", "stillhouse", "inspect", "nosuch"], cwd=project, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "params.yaml: teachers has no 'nosuch'; there are rings, slow\n"
