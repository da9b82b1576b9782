"""Git worktrees of a project: where DVC could do nothing in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.record.worktree import add, git


def test_a_copy_of_a_submodule_is_refused(tmp_path: Path):
    """DVC takes such a worktree for one outside of its repository."""
    for name in ("inner", "outer"):
        git(tmp_path, "init", "-q", name)
        git(tmp_path / name, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "one", "--allow-empty")
    git(tmp_path / "outer", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "inner"), "inner")
    with pytest.raises(UserError, match="outer/inner - wanted a clone by itself"):
        add(tmp_path / "outer/inner", tmp_path / "copy", "HEAD")
    assert add(tmp_path / "inner", tmp_path / "copy", "HEAD") == tmp_path / "copy"
