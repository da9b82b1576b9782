"""The parts of a search on other nodes, and how candidates go from one to the others."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from stillhouse.flows.nodes.checkpoints import Candidates, Checkpoints
from stillhouse.flows.nodes.choose import Host
from stillhouse.flows.nodes.job import Job, Packed
from stillhouse.flows.nodes.life import LOST
from stillhouse.record.part import CANDIDATES

JOB = Job("project", {}, Packed("", "", "", "", ""), "search@a", "0" * 64, (), "", "", "", count=2)


class Folder:
    """A remote that is a folder."""

    def __init__(self, top: Path) -> None:
        self.top, self.put_names = top, list[str]()

    def names(self, folder: str) -> list[str]:
        place = self.top / folder
        return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())

    def get(self, name: str, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.top / name, place)

    def put(self, source: Path, name: str) -> None:
        self.put_names.append(name)
        (self.top / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.top / name)


def candidate(node: Path, name: str) -> Path:
    return node / ".work/search@a" / JOB.key / CANDIDATES / name


def made(node: Path, name: str) -> None:
    candidate(node, name).parent.mkdir(parents=True, exist_ok=True)
    candidate(node, name).write_text(name)


def test_what_one_node_makes_all_have_and_each_is_given_once(tmp_path: Path) -> None:
    remote: Any = Folder(tmp_path / "remote")
    places = [tmp_path / "first", tmp_path / "second"]
    nodes = [Candidates(remote, place, JOB) for place in places]
    made(places[0], "draw1/000001-a.safetensors")
    made(places[1], "draw2/000001-b.safetensors")
    made(places[1], "draw2/partial")
    for node in (*nodes, *nodes):
        node.exchange()
    for place in places:
        assert [candidate(place, name).read_text() for name in ("draw1/000001-a.safetensors", "draw2/000001-b.safetensors")]
    assert len(remote.put_names) == 2
    Checkpoints(remote, places[0], JOB).give()
    assert len(remote.put_names) == 2, "the rest of a checkpoint goes its own way"
    shutil.rmtree(tmp_path / "remote/checkpoints")
    made(places[1], "draw3/000001-c.safetensors")
    nodes[1].exchange()
    assert len(remote.put_names) == 2, "the search is over"


def test_each_part_goes_to_a_node_and_to_another_one_if_that_is_lost() -> None:
    from prefect.states import Completed, Failed

    from stillhouse.flows.nodes.helpers import Helpers

    runs = {UUID(int=number): SimpleNamespace(state=None, work_queue_name=node) for number, node in enumerate("aba")}
    silent = {"a": 0.0, "b": 0.0}
    view = SimpleNamespace(run=runs.get, host=lambda name: Host(name, 2, silent=silent[name]))
    given_up, ended, answers = list[UUID](), list[UUID](), dict[int, list[UUID | None]]()
    pool = SimpleNamespace(give_up=lambda run, _: given_up.append(run), cancel=lambda run, force: ended.append(run))
    helpers = Helpers(pool, SimpleNamespace(view=lambda: view), 3, lambda number: answers[number].pop())  # type: ignore[arg-type]
    answers |= {1: [UUID(int=0)], 2: [None]}
    helpers.look()
    answers |= {2: [UUID(int=1)]}
    helpers.look()
    silent["b"] = LOST
    answers |= {2: [UUID(int=2)]}
    helpers.look()
    assert given_up == [UUID(int=1)]
    runs[UUID(int=0)].state, runs[UUID(int=2)].state = Failed(message="a mistake"), Completed()
    helpers.look()
    helpers.end()
    assert ended == [UUID(int=0), UUID(int=2)]
    assert not any(answers.values()), "each was placed when there was room for it, and no more"
