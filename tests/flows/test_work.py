"""Who follows an execution waits no longer than it lasts."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from threading import Event

from stillhouse.flows.graph import Node
from stillhouse.flows.work import Ending, Work


def test_who_asks_for_a_try_that_is_never_told_hears_how_all_ended(tmp_path: Path):
    node = Node("teach@rings", "", (), "due", ())
    work = Work(tmp_path, {"names": [], "allow_missing": False}, 1, Event())  # a folder without a project
    work._tries[node.name] = SimpleQueue()
    done = Ending("COMPLETED", "Done", "done")
    work.tell(node, done)
    work.run()
    assert [work.next_try(node) for _ in range(3)] == [done, work.verdict, work.verdict]
    assert work.verdict.kind == "FAILED"
    assert "not inside of a DVC repository" in work.verdict.message
