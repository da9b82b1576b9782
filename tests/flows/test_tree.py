"""A node's folder of a project, when two stages of it come at once."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes.job import Job, Packed
from stillhouse.flows.nodes.tree import Tree
from stillhouse.record import process


def test_the_first_stage_alone_makes_the_repository_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    packed = Packed(commit="0" * 40, prefix="", patch="", lock="", packages="")
    remote = {"name": "store", "url": str(tmp_path / "remote")}
    tree = Tree(tmp_path / "node", Job("project", remote, packed, "prepare@a", "0" * 64, (), "", "", ""))
    carried = tmp_path / "node/projects/project/carried"

    def lay() -> None:
        with pytest.raises(UserError, match="the remote store cannot be used"):  # it holds no commit
            tree.lay()

    second = Thread(target=lay)
    with process.waiting_lock(carried / "lock"):
        second.start()
        second.join(1.0)
        assert second.is_alive()
        assert not (carried / ".dvc").exists()
    second.join(30)
    assert (carried / ".dvc").exists()
