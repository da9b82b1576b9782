"""What code is reached, and what of a change in it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

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
