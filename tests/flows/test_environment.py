"""A node's Python has the packages of the project, or one is made that has."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes import environment
from stillhouse.record import packages


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip finds one small package, and no other place."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "still_small-2.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("still_small.py", "SIZE = 'small'\n")
        about = "still_small-2.5.dist-info/"
        wheel.writestr(f"{about}METADATA", "Metadata-Version: 2.1\nName: still-small\nVersion: 2.5\n")
        wheel.writestr(f"{about}WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_all_that_the_library_needs_is_named_and_is_here():
    needed = packages.needed()
    names = {line.partition("==")[0] for line in needed}
    assert {"stillhouse", "torch", "dvc", "prefect", "numpy", "pydantic-core"} <= names
    assert "pytest" not in names
    assert packages.lacking(needed) == []


def test_other_versions_are_named():
    assert packages.lacking(["torch==0.1", "not-there==1"])[1] == "not-there==1, here none"
    assert packages.lacking(["torch==0.1"])[0].startswith("torch==0.1, here 2.")


def test_a_node_with_the_packages_uses_its_own_python(tmp_path: Path):
    assert environment.python(tmp_path, packages.needed()) == Path(sys.executable)


def test_an_environment_is_made_once_for_a_list_and_kept(tmp_path: Path, wheels: Path):
    python = environment.python(tmp_path / "home", ["still-small==2.5"])
    said = subprocess.run([python, "-c", "import still_small; print(still_small.SIZE)"], capture_output=True, text=True)
    assert said.stdout == "small\n"
    (wheels / "still_small-2.5-py3-none-any.whl").unlink()
    assert environment.python(tmp_path / "home", ["still-small==2.5"]) == python


def test_what_cannot_be_installed_is_told_and_not_kept(tmp_path: Path, wheels: Path):
    with pytest.raises(UserError, match=r"lacks packages that the project wants .*still-small==9"):
        environment.python(tmp_path / "home", ["still-small==9"])
    assert not list((tmp_path / "home").rglob("complete"))
