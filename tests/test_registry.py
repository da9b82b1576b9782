"""Parts and verbs by their names."""

from __future__ import annotations

import os
import py_compile
import sys
from pathlib import Path

import pytest

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.imported import imported
from stillhouse.contracts.parts import Loss, Search


def test_a_part_is_found_by_the_name_of_its_file():
    assert isinstance(registry.search("uniform"), Search)
    assert isinstance(registry.loss("logits"), Loss)


@pytest.mark.parametrize("verb", registry.VERBS)
def test_every_verb_has_a_function_of_its_name_and_settings(verb: str):
    module = registry.verb(verb)
    assert callable(getattr(module, verb))
    assert hasattr(module, "SETTINGS")


def test_an_unknown_part_is_told_with_all_that_exist():
    with pytest.raises(UserError, match=r"unknown search method 'unifrom'; there are .*random, short, taylor, uniform"):
        registry.search("unifrom")
    with pytest.raises(UserError, match=r"unknown verb 'train'; there are prepare, teach, search, distill, evaluate, compare"):
        registry.verb("train")


@pytest.mark.parametrize("name", ["", "..core.kinds", "core.kinds", "__init__", "_private"])
def test_only_files_of_the_folder_are_names(name: str):
    with pytest.raises(UserError, match="unknown loss"):
        registry.loss(name)


def test_a_broken_part_is_not_taken_for_a_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own(tmp_path, monkeypatch, "losses/broken.py", "import torch\nimport no_such_module")
    with pytest.raises(
        UserError, match=r"losses/broken\.py:2 - wanted a module that can be imported - ModuleNotFoundError: .*no_such_module"
    ):
        registry.loss("broken")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def f(:", r"wrong\.py:1 - wanted a module that can be imported - SyntaxError"),
        ("raise SystemExit(0)", r"wrong\.py:1 - wanted a module that can be imported - SystemExit: 0"),
        ("class Odd(BaseException): ...\nraise Odd('hm')", r"wrong\.py:2 - wanted a module that can be imported - Odd: hm"),
        ("LOSS = 3", r"wrong\.py - wanted LOSS = Loss\(\.\.\.\) - got 3"),
        (
            "from stillhouse.contracts.parts import Loss\nLOSS = Loss(dict, print)",
            r"wanted a class of .*Settings in LOSS = .* got <class 'dict'>",
        ),
    ],
)
def test_a_mistake_in_a_part_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str):
    own(tmp_path, monkeypatch, "losses/wrong.py", text)
    with pytest.raises(UserError, match=told):
        registry.loss("wrong")


def test_a_part_of_the_project_is_found_and_must_hold_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own(tmp_path, monkeypatch, "losses/empty.py", "")
    assert registry.known("losses")["empty"].module == "parts.losses.empty"
    with pytest.raises(UserError, match=r"empty\.py - wanted a part under the name LOSS - there is none"):
        registry.loss("empty")


def test_a_workload_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = (
        "from dataclasses import replace\nfrom stillhouse.workloads.queue import WORKLOAD as QUEUE\nWORKLOAD = replace(QUEUE, score=None)"
    )
    own(tmp_path, monkeypatch, "workloads/mine.py", text)
    with pytest.raises(UserError, match=r"parts/workloads/mine\.py - wanted score\(pairs\) - got None"):
        registry.workload("mine")


def test_two_parts_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own(tmp_path, monkeypatch, "losses/logits.py", "")
    with pytest.raises(UserError, match="two losses are named 'logits': one of this library and parts/losses/logits; rename one of them"):
        registry.loss("pearson")


def test_former_names_of_workloads_are_read():
    assert registry.workload("knowledge_graph") is registry.workload("knowledge")


def test_the_model_families_of_a_workload_are_named_without_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own(tmp_path, monkeypatch, "families/queue/mine.py", "raise SystemExit")
    modules = registry.family_modules("queue")
    assert modules["neural"] == "stillhouse.workloads.queue.families.neural"
    assert modules["mine"] == "parts.families.queue.mine"
    assert "mine" not in registry.family_modules("classify")
    assert registry.family_modules("temporal_graph") == registry.family_modules("temporal")
    assert "evolvegcn_h" in registry.family_modules("temporal")


def own(folder: Path, monkeypatch: pytest.MonkeyPatch, path: str, text: str) -> None:
    """A file among the parts of a project in `folder`."""
    file = folder / "parts" / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    monkeypatch.syspath_prepend(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        monkeypatch.delitem(sys.modules, name)


def test_code_with_the_size_and_time_of_what_was_compiled_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As after `cp -p`, or an archive that is unpacked."""
    own(tmp_path, monkeypatch, "helper.py", "VALUE = 3")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "parts/helper.py"
    compiled = Path(py_compile.compile(str(file)))
    before = file.stat()
    file.write_text("VALUE = 7")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert imported("parts.helper").VALUE == 7
    assert not compiled.exists() or compiled.stat().st_mtime > before.st_mtime
