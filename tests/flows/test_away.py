"""A stage on a node, followed by the head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows.graph import Node
from stillhouse.flows.nodes import away, patience, result
from stillhouse.flows.stage import log_path
from stillhouse.record.remote import Unreachable


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str | None]:
    """Follows a stage whose result is there at the third look; at the others the remote cannot be reached."""
    looks = [True, Unreachable("the remote store cannot be used"), Unreachable("the remote store cannot be used")]

    def there(*_: Any) -> bool:
        if isinstance(look := looks.pop(), Exception):
            raise look
        return look

    monkeypatch.setattr(away, "POLL", 0.0)
    monkeypatch.setattr(result, "there", there)
    head: Any = SimpleNamespace(folder=tmp_path, packer=SimpleNamespace(remote=None), pool=SimpleNamespace(said=lambda *_: []))
    node = Node("teach@a", "", (), "due", ())
    log_path(tmp_path, node.name).parent.mkdir(parents=True)
    return lambda: away._Followed(head, node, "0", UUID(int=0), "box").end(Event())


def test_a_remote_that_is_away_for_a_moment_fails_nothing(followed: Callable[[], str | None], tmp_path: Path) -> None:
    assert followed() == ""
    assert log_path(tmp_path, "teach@a").read_text() == "on node box\n"


def test_one_that_is_away_for_longer_is_told_of_once(
    followed: Callable[[], str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "NOTICEABLE", -1.0)
    assert followed() == ""
    assert log_path(tmp_path, "teach@a").read_text() == "on node box\nthe remote store cannot be used; node box goes on\n"


def test_one_that_is_away_for_long_ends_it(followed: Callable[[], str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LONGEST", -1.0)
    with pytest.raises(UserError, match=r"^the remote store cannot be used$"):
        followed()
