"""What an execution holds from before its plan is known; a recorder stands in for Prefect's server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows import server
from stillhouse.flows.opening import Opening, alone, opening
from stillhouse.flows.server import Serving


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to the server."""
    events: list[str] = []

    @contextmanager
    def recorder(folder: Path) -> Iterator[Serving]:
        events.append("starts")
        yield Serving(own=True, wait=lambda _: None, lives=lambda: True)
        events.append("ends")

    monkeypatch.setattr(server, "server", recorder)
    return events


def is_free(folder: Path) -> bool:
    try:
        with alone(folder):
            return True
    except UserError:
        return False


def use(opened: Opening) -> None:
    with opened.serving() as serving:
        assert serving.own


def test_nothing_is_held_until_it_begins(tmp_path, told):
    with opening(tmp_path) as opened:
        assert (is_free(tmp_path), told) == (True, [])
        opened.begin()
        assert (is_free(tmp_path), told) == (False, ["starts"])
    assert (is_free(tmp_path), told) == (True, ["starts", "ends"])


def test_the_server_ends_with_its_use_and_the_folder_stays_locked(tmp_path, told):
    with opening(tmp_path) as opened:
        opened.begin()
        opened.begin()
        use(opened)
        assert (is_free(tmp_path), told) == (False, ["starts", "ends"])
    assert (is_free(tmp_path), told) == (True, ["starts", "ends"])


def test_use_begins_what_has_not_begun(tmp_path, told):
    with opening(tmp_path) as opened:
        use(opened)
    assert told == ["starts", "ends"]


def test_no_server_starts_where_another_execution_goes_on(tmp_path, told):
    with alone(tmp_path), opening(tmp_path) as opened, pytest.raises(UserError, match=r"^another `stillhouse run` is going on"):
        opened.begin()
    assert told == []
