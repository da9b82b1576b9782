"""Parts and verbs by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

import stages.losses
from stages import find
from stages.core.errors import UserError
from stages.core.kinds import Loss, Search


def test_a_part_is_found_by_the_name_of_its_file():
    assert isinstance(find.search("uniform"), Search)
    assert isinstance(find.loss("logits"), Loss)


@pytest.mark.parametrize("verb", find.VERBS)
def test_every_verb_has_a_function_of_its_name_and_settings(verb: str):
    module = find.verb(verb)
    assert callable(getattr(module, verb))
    assert hasattr(module, "SETTINGS")


def test_an_unknown_part_is_told_with_all_that_exist():
    with pytest.raises(UserError, match=r"unknown search method 'unifrom'; there are .*random, uniform"):
        find.search("unifrom")
    with pytest.raises(UserError, match=r"unknown verb 'train'; there are prepare, teach, search, distill, evaluate, compare"):
        find.verb("train")


@pytest.mark.parametrize("name", ["", "..core.kinds", "core.kinds", "__init__", "_private"])
def test_only_files_of_the_folder_are_names(name: str):
    with pytest.raises(UserError, match="unknown loss"):
        find.loss(name)


def test_a_broken_part_is_not_taken_for_a_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken.py").write_text("import no_such_module")
    monkeypatch.setattr(stages.losses, "__path__", [*stages.losses.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        find.loss("broken")
