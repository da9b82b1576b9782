"""What code is reached, and what of a change in it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.record import code


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of three modules: `door` reaches `late` by a detour inside a function, and nothing reaches `alone`."""
    folder = tmp_path / "reached_package"
    (folder / "inner").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "door": "from .inner import detour\n",
        "inner/__init__": "VALUE = 1\n",
        "inner/detour": "import json\ndef late():\n    from .. import late\n    return late.VALUE\n",
        "late": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from reached_package import alone\nVALUE = 2\n",
        "alone": "VALUE = 3\n",
    }.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def reached(package: Path) -> dict[str, str]:
    return {name.removeprefix("reached_package").lstrip("."): value for name, value in code.digests(["reached_package.door"]).items()}


def test_imports_are_followed_by_detours_and_into_functions_but_not_for_the_type_checker(package: Path):
    assert set(reached(package)) == {"", "door", "inner", "inner.detour", "late"}


def test_the_packages_around_a_module_are_reached_with_it(package: Path):
    (package / "door.py").write_text("import reached_package.inner.detour\n")
    assert set(reached(package)) == {"", "door", "inner", "inner.detour", "late"}


def test_nothing_is_imported(package: Path):
    (package / "door.py").write_text("raise SystemExit\nfrom reached_package import late\n")
    assert "late" in reached(package)


@pytest.mark.parametrize(
    "text",
    [
        '"""What it is for."""\nfrom typing import TYPE_CHECKING\nVALUE = 2  # a comment\n"""Its unit."""\n',
        "from typing import TYPE_CHECKING\n\n\nVALUE = (\n    2\n)\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import json\nVALUE = 2\n",
    ],
)
def test_words_and_form_do_not_count(package: Path, text: str):
    before = reached(package)
    (package / "late.py").write_text(text)
    assert reached(package) == before


@pytest.mark.parametrize("text", ["VALUE = 2.5\n", "VALUE = 2\nVALUE += 0\n"])
def test_code_counts(package: Path, text: str):
    before = reached(package)
    (package / "late.py").write_text(text)
    changed = reached(package)
    assert {name for name in changed if changed[name] != before[name]} == {"late"}


def test_the_docstring_of_a_function_does_not_count_and_its_default_does(package: Path):
    hashes = []
    for text in ("def f(a=1):\n    return a\n", 'def f(a=1):\n    """For."""\n    return a\n', "def f(a=2):\n    return a\n"):
        (package / "late.py").write_text(text)
        hashes.append(reached(package)["late"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_module_by_its_name_as_text_is_followed_and_by_another_name_all_are(package: Path):
    (package / "door.py").write_text("import importlib\nlate = importlib.import_module('.late', __package__)\n")
    assert set(reached(package)) == {"", "door", "late"}
    (package / "door.py").write_text("from importlib import import_module\nlate = import_module('reached_package.late')\n")
    assert set(reached(package)) == {"", "door", "late"}
    (package / "door.py").write_text("import importlib\nlate = importlib.import_module('reached_package.' + 'late')\n")
    assert set(reached(package)) == {"", "door", "late", "alone", "inner", "inner.detour"}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's own loss, in the working folder."""
    (tmp_path / "parts/losses").mkdir(parents=True)
    (tmp_path / "parts/losses/mine.py").write_text("import json\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "parts"


def test_files_beside_own_code_are_data_that_it_may_read(parts: Path):
    for name in ("losses/weights.json", "README.md", ".hidden", "__pycache__/mine.cpython-311.pyc", "losses/mine.so"):
        (parts / name).parent.mkdir(exist_ok=True)
        (parts / name).write_text("1")
    mine = code.reach(["parts.losses.mine"])
    assert code.data(mine, "parts") == {name: parts / name for name in ("losses/mine.so", "losses/weights.json")}
    assert code.data(code.reach(["stillhouse.losses.logits"]), "parts") == {}


def test_own_code_outside_of_the_parts_is_refused(parts: Path):
    (parts / "losses/mine.py").write_text("import torch\nimport beside\nfrom parts import other\n")
    code.require_followed(code.reach(["parts.losses.mine"]))
    Path("beside.py").touch()
    told = r"parts/losses/mine.py - wanted imports of installed packages, or from parts/, .* - got beside.py: move it to parts/"
    with pytest.raises(UserError, match=told):
        code.require_followed(code.reach(["parts.losses.mine"]))
    Path("torch").mkdir()
    Path("torch/__init__.py").touch()
    (parts / "losses/mine.py").write_text("import torch\n")
    code.require_followed(code.reach(["parts.losses.mine"]))
