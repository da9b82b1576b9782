"""The outbox: records wait in the order in which they came, and one process forwards them."""

from __future__ import annotations

import os
from pathlib import Path

from stillhouse.record import outbox
from stillhouse.record.run_record import Closing


def test_records_wait_oldest_first(tmp_path: Path):
    for age, key in enumerate(("b", "c", "a")):
        outbox.leave(tmp_path, Closing(key, "FINISHED", 0, {}))
        os.utime(tmp_path / outbox.FOLDER / f"execution-{key}.json", (100 + age, 100 + age))
    assert [path.stem for path in outbox.waiting(tmp_path)] == ["execution-b", "execution-c", "execution-a"]


def test_one_forwards_at_a_time(tmp_path: Path):
    with outbox.forwarding(tmp_path) as first, outbox.forwarding(tmp_path) as second:
        assert (first, second) == (True, False)
    with outbox.forwarding(tmp_path) as later:
        assert later
