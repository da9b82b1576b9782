"""Lineage for the eye: the tree of words and the picture."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree

from rich.console import Console

from stillhouse.lineage import picture, words

SVG = "{http://www.w3.org/2000/svg}"


def thing(path: str, *inner: dict[str, Any], way: str = "inputs", **facts: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "path": path,
        "hash": f"{path[-1] * 32}",
        "stage": "teach@t",
        "run": "r" * 32,
        "commit": "c" * 40,
        "dirty": False,
    }
    return known | {"parameters": None, "also": [], "missing": None, way: list(inner)} | facts


RAW = thing("data/raw/a", stage=None, run=None, commit=None)
BOTH = thing("data/t/b", RAW)
TREE = thing(
    "data/t/c",
    thing("data/t/d", BOTH),
    thing("data/t/e", BOTH, dirty=True, parameters={"fit.epochs": "3"}),
    missing="<its run> was deleted",
)


def text(tree: dict[str, Any], direction: str = "inputs") -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(words.draw(tree, direction))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_tree_has_every_fact_once():
    printed = text(TREE)
    assert printed.count("data/raw/a") == 1
    assert printed.count("data/t/b  bbbbbbbbbb  (as above)") == 1
    for fact in ("<its run> was deleted", "fit.epochs 3", "teach@t, run rrrrrrrrrr, commit cccccccccc and changes on top"):
        assert printed.count(fact) == 1


def test_further_runs_and_a_link_without_a_run_are_told():
    printed = text(thing("data/t/x", run=None, commit=None, also=["a" * 32]))
    assert "teach@t, no run, no commit" in printed
    assert "the same bytes again from aaaaaaaaaa" in printed


def test_forward_what_is_in_place_is_marked_and_the_models_are_counted():
    tree = thing("data/raw/a", thing("data/t/b", way="outputs", here=True), way="outputs", here=False)
    assert text(tree, "outputs").count("in place now") == 1
    assert (
        words.summary(tree | {"models": [{"here": True}, {"here": False}]})
        == "2 models made of data/raw/a aaaaaaaaaa, 1 of them in place now"
    )
    assert words.summary(tree | {"models": [{"here": True}]}).startswith("1 model made of")


def test_the_picture_has_a_box_for_each_thing_and_a_line_for_each_step():
    root = ElementTree.fromstring(picture.svg(TREE, "inputs"))
    places = {group.find(f"{SVG}text").text: group.find(f"{SVG}rect") for group in root.iter(f"{SVG}g")}  # type: ignore[union-attr]
    assert set(places) == {"data/t/c", "data/t/d", "data/t/e", "data/t/b", "data/raw/a"}
    assert len(list(root.iter(f"{SVG}path"))) == 5
    x = {path: int(box.get("x")) for path, box in places.items()}
    assert x["data/raw/a"] < x["data/t/b"] < x["data/t/d"] == x["data/t/e"] < x["data/t/c"], "time runs to the right"
    assert places["data/t/c"].get("class") == "missing"
    boxes = {(box.get("x"), box.get("y")) for box in places.values()}
    assert len(boxes) == 5, "no box lies on another"


def test_forward_time_runs_to_the_right_too():
    root = ElementTree.fromstring(picture.svg(thing("data/raw/a", thing("data/t/b", way="outputs"), way="outputs"), "outputs"))
    x = {group.find(f"{SVG}text").text: int(group.find(f"{SVG}rect").get("x")) for group in root.iter(f"{SVG}g")}  # type: ignore[union-attr, arg-type]
    assert x["data/raw/a"] < x["data/t/b"]
