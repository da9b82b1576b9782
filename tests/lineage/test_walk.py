"""Backward and forward over links written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.lineage import locks
from stillhouse.lineage.links import Link, Links, Thing
from stillhouse.lineage.walk import DELETED, UNKNOWN, UNTRACKED, Backward, Forward, Tree

RAW = "data/raw/rows.json"


def link(stage: str, reads: dict[str, str], writes: dict[str, str], run: str | None, at: int = 0, **facts: Any) -> Link:
    return Link(stage, reads, writes, run=run, started=at, commit="c" * 40, **facts)


def prepare(run: str | None, raw: str, md5: str, at: int = 0, **facts: Any) -> Link:
    return link(
        "prepare@t", {RAW: raw, "stillhouse/space": "code"}, {"data/t/prepared": md5, "data/t/prepared.json": "m"}, run, at, **facts
    )


def teach(run: str | None, prepared: str, md5: str, at: int = 0, **facts: Any) -> Link:
    return link("teach@t", {"data/t/prepared": prepared}, {"data/t/teacher": md5}, run, at, **facts)


def distill(run: str | None, prepared: str, teacher: str, md5: str, at: int = 0, **facts: Any) -> Link:
    reads = {"data/t/prepared": prepared, "data/t/teacher": teacher}
    return link("distill@s", reads, {"data/s/student": md5, "data/s/student.csv": "m"}, run, at, **facts)


def links(*all_of_them: Link, here: tuple[Link, ...] = (), **executions: set[str]) -> Links:
    return Links(list(all_of_them), frozenset(here), {key: frozenset(runs) for key, runs in executions.items()})


@pytest.fixture(autouse=True)
def no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "committed", lambda folder, thing: None)


def back(known: Links, path: str, md5: str, *context: Link) -> Tree:
    return Backward(Path(), known).tree((path, md5), frozenset(context))


def line(tree: Tree, way: str = "inputs") -> list[Any]:
    """[hash, branch, branch, ...], each branch likewise."""
    return [tree["hash"], *(line(each, way) for each in tree[way])]


def test_what_comes_by_way_of_another_input_is_not_drawn_again():
    known = links(prepare("a", "r", "p"), teach("b", "p", "t"), distill("c", "p", "t", "s"))
    student = back(known, "data/s/student", "s")
    assert line(student) == ["s", ["t", ["p", ["r"]]]]
    assert student["reads"] == {"data/t/prepared": "p", "data/t/teacher": "t"}
    prepared = student["inputs"][0]["inputs"][0]
    assert (prepared["code"], prepared["run"], prepared["missing"]) == ({"stillhouse/space": "code"}, "a", None)
    assert line(Forward(known).tree((RAW, "r")), "outputs") == ["r", ["p", ["t", ["s"]]]]


def test_an_input_of_another_time_is_a_branch_of_its_own():
    known = links(prepare("a", "r1", "p1"), prepare("b", "r2", "p2"), teach("c", "p1", "t"), distill("d", "p2", "t", "s"))
    assert line(back(known, "data/s/student", "s")) == ["s", ["p2", ["r2"]], ["t", ["p1", ["r1"]]]]
    assert line(Forward(known).tree((RAW, "r2")), "outputs") == ["r2", ["p2", ["s"]]]


def test_equal_bytes_belong_to_the_first_run_that_made_them_and_the_others_are_named():
    known = links(prepare("late", "r", "p", at=2), prepare("early", "r", "p", at=1), prepare("gone", "r", "p", at=0, deleted=True))
    tree = back(known, "data/t/prepared", "p")
    assert (tree["run"], set(tree["also"]), tree["missing"]) == ("early", {"late", "gone"}, None)


def test_of_several_ways_to_the_same_bytes_that_of_the_same_execution_is_told():
    first, second = prepare("a", "r1", "p", at=1, execution="x"), prepare("b", "r2", "p", at=2, execution="y")
    student = teach("c", "p", "t", at=3, execution="y")
    known = links(first, second, student, x={"a"}, y={"b", "c"})
    assert line(back(known, "data/t/teacher", "t")) == ["t", ["p", ["r2"]]]
    assert line(back(known, "data/t/prepared", "p")) == ["p", ["r1"]]
    assert line(Forward(known).tree((RAW, "r1")), "outputs") == ["r1", ["p", ["t"]]], "of either data the same teacher is made"


def test_what_an_execution_left_as_it_was_belongs_to_it():
    first, second = prepare("a", "r1", "p", at=1, execution="x"), prepare("b", "r2", "p", at=2, execution="y")
    later = teach("c", "p", "t", at=3, execution="z")
    known = links(first, second, later, x={"a"}, y={"b"}, z={"c", "b"})
    assert line(back(known, "data/t/teacher", "t")) == ["t", ["p", ["r2"]]]


def test_a_link_that_is_missing_is_named():
    known = links(teach("b", "p", "t", deleted=True), distill(None, "p", "t", "s"))
    student = back(known, "data/s/student", "s")
    teacher = student["inputs"][0]
    assert [tree["missing"] for tree in (student, teacher, teacher["inputs"][0])] == [UNTRACKED, DELETED, UNKNOWN]
    assert back(known, RAW, "r")["missing"] is None, "nobody is expected to make raw data"


def test_git_is_asked_only_about_what_nobody_else_knows(monkeypatch: pytest.MonkeyPatch):
    asked: list[Thing] = []

    def committed(folder: Path, thing: Thing) -> Link:
        asked.append(thing)
        return prepare(None, "r", thing[1])

    monkeypatch.setattr(locks, "committed", committed)
    assert line(back(links(teach("b", "p", "t")), "data/t/teacher", "t")) == ["t", ["p", ["r"]]]
    assert asked == [("data/t/prepared", "p")]


def test_a_folder_that_is_read_as_a_whole_is_made_of_what_stages_put_into_it():
    report = link("evaluate@s", {"data/s/student": "s"}, {"data/reports/s": "report", "data/reports/s.json": "m"}, "a")
    comparison = link("compare", {"data/reports": "all"}, {"data/comparison": "table"}, "b")
    known = links(report, comparison, here=(report, comparison))
    tree = back(known, "data/comparison", "table", report, comparison)
    assert line(tree) == ["table", ["all", ["report", ["s"]]]]
    assert tree["inputs"][0]["missing"] is None


def test_forward_models_are_listed_once_with_what_is_in_place():
    here = distill("c", "p", "t", "s1")
    known = links(prepare("a", "r", "p"), teach("b", "p", "t"), here, distill("d", "p", "t", "s2"), here=(here,))
    tree = Forward(known).tree((RAW, "r"))
    assert {(model["hash"], model["here"]) for model in tree["models"]} == {("t", False), ("s1", True), ("s2", False)}
    assert Forward(known).tree(("stillhouse/space", "code"))["outputs"][0]["hash"] == "p", "code leads forward too"


def test_bytes_that_nobody_has_read_say_which_ones_were():
    tree = Forward(links(prepare("a", "r", "p"))).tree((RAW, "other"))
    assert (tree["missing"], tree["models"]) == ("no recorded run has read these bytes; of this path they read r", [])


def test_a_thing_that_is_made_of_itself_ends_there():
    known = links(link("odd@t", {"data/t/x": "1"}, {"data/t/x": "1"}, "a"))
    assert line(Forward(known).tree(("data/t/x", "1")), "outputs") == ["1"]


@given(st.lists(st.sets(st.integers(0, 30), max_size=4), min_size=1, max_size=12))
def test_backward_and_forward_agree_with_plain_reachability(parents: list[set[int]]):
    """Thing i is made of some things before it; whatever the drawing leaves out, everything is still reached both ways."""
    reads = {index: {parent for parent in chosen if parent < index} for index, chosen in enumerate(parents)}
    known = links(
        *(link(f"stage{i}", {f"data/{p}": str(p) for p in before}, {f"data/{i}": str(i)}, f"run{i}", i) for i, before in reads.items())
    )
    behind: dict[int, set[int]] = {}
    for index, before in reads.items():
        behind[index] = before.union(*(behind[each] for each in before))
    walk, ahead = Backward(Path(), known), Forward(known)
    for index in reads:
        thing = (f"data/{index}", str(index))
        assert reached(walk.tree(thing, frozenset()), "inputs") == {str(each) for each in behind[index]}
        assert reached(ahead.tree(thing), "outputs") == {str(each) for each in reads if index in behind[each]}


def reached(tree: Tree, way: str) -> set[str]:
    return {each["hash"] for each in tree[way]}.union(*(reached(each, way) for each in tree[way]))
