"""Model families: found, held to their names, and put together to the settings and networks of a workload."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from stillhouse.contracts import families
from stillhouse.contracts.errors import UserError

WORKLOAD = "from stillhouse.contracts import families\nFAMILIES = families.of('cups', __name__{})\n"
FAMILY = """
from typing import Literal
from torch import nn
from stillhouse.contracts.families import Family
from stillhouse.contracts.settings import Settings

class CupSettings(Settings):
    family: Literal["{0}"] = "{0}"
    {0}_size: int = 1

FAMILY = Family(CupSettings, lambda settings, sizes, architecture: nn.Linear(settings.{0}_size, sizes["classes"]))
"""
Make = Callable[..., families.Families]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Imports a workload `cups` of the project, with files given by their paths in `parts/`."""

    def write(path: str, text: str) -> None:
        file = tmp_path / "parts" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def made(files: dict[str, str], default: str = "") -> families.Families:
        write("workloads/cups/__init__.py", WORKLOAD.format(f", default={default!r}" if default else ""))
        for path, text in files.items():
            write(path, text)
        monkeypatch.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
            monkeypatch.delitem(sys.modules, name)
        from parts.workloads.cups import FAMILIES  # type: ignore[attr-defined]

        return FAMILIES

    return made


def read(found: families.Families, value: Any) -> Any:
    return TypeAdapter(found.settings).validate_python(value)


def test_one_family_needs_no_name_and_one_beside_it_is_one_more_file(make: Make) -> None:
    found = make({"workloads/cups/families/mug.py": FAMILY.format("mug")})
    assert read(found, {}).model_dump() == {"family": "mug", "mug_size": 1}


def test_the_name_chooses_settings_and_network(make: Make) -> None:
    found = make({"workloads/cups/families/mug.py": FAMILY.format("mug"), "families/cups/glass.py": FAMILY.format("glass")})
    settings = read(found, {"family": "glass", "glass_size": 3})
    assert found.model(settings, {"classes": 2}, None).weight.shape == (2, 3)
    assert found.model(read(found, {"family": "mug", "mug_size": 4}), {"classes": 2}, None).weight.shape == (2, 4)
    with pytest.raises(ValidationError, match="Unable to extract tag using discriminator 'family'"):
        read(found, {})
    with pytest.raises(ValidationError, match="'glass', 'mug'"):
        read(found, {"family": "jar"})
    with pytest.raises(ValidationError, match="mug_size"):
        read(found, {"family": "glass", "mug_size": 3})


def test_a_default_stays_when_a_family_is_added(make: Make) -> None:
    found = make({"workloads/cups/families/mug.py": FAMILY.format("mug"), "families/cups/glass.py": FAMILY.format("glass")}, "mug")
    assert read(found, {"mug_size": 2}).model_dump() == {"family": "mug", "mug_size": 2}
    assert read(found, {"family": "glass"}).family == "glass"


def test_settings_already_made_are_taken_as_they_are(make: Make) -> None:
    found = make({"workloads/cups/families/mug.py": FAMILY.format("mug"), "families/cups/glass.py": FAMILY.format("glass")}, "mug")
    glass = read(found, {"family": "glass"})
    assert read(found, glass) == glass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"glass\.py - wanted a Family under the name FAMILY - there is none"),
        (FAMILY.format("mug"), r'glass\.py - wanted settings with the field `family: Literal\["glass"\] = "glass"` - got \'mug\''),
        (FAMILY.format("glass").replace("Family(CupSettings", "Family(dict"), r"glass\.py - wanted FAMILY = .* got <class 'dict'>"),
        (FAMILY.format("glass").replace("sizes, architecture", "sizes"), r"wanted build\(settings, sizes, architecture\) - too many pos"),
        ("import parts.families.cups.glass as me\n" + FAMILY.format("mug").replace("family:", "kind:"), r"- got none"),
        (FAMILY.format("glass").replace('Literal["glass"]', "str"), r"- got 'glass' of <class 'str'>"),
    ],
)
def test_what_is_no_family_of_its_file_is_refused_in_one_sentence(make: Make, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make({"families/cups/glass.py": text})


def test_two_of_one_name_are_refused(make: Make) -> None:
    files = {"workloads/cups/families/mug.py": FAMILY.format("mug"), "families/cups/mug.py": FAMILY.format("mug")}
    with pytest.raises(UserError, match=r"named 'mug': one of parts\.workloads\.cups and parts/families/cups/mug; rename"):
        make(files)


def test_a_family_that_is_imported_before_its_workload_is_told_how(make: Make) -> None:
    make({"families/cups/glass.py": FAMILY.format("glass")})
    file = Path(sys.modules["parts.families.cups.glass"].__file__ or "")
    file.write_text("import parts.workloads.cups\n" + file.read_text())
    for name in [name for name in sys.modules if name.startswith("parts.")]:
        del sys.modules[name]
    with pytest.raises(UserError, match=r"^parts\.families\.cups\.glass - wanted its workload to be imported first"):
        importlib.import_module("parts.families.cups.glass")
