"""Two processes train as one does, within rounding: curves, weights, statistics of batches, masks, order of rows, checkpoints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.split import WHOLE
from stillhouse.training import ranks
from stillhouse.training.spread import shares
from tests.training import ranked

ROOT = Path(__file__).parents[2]
Found = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have left what they found, after one that was alone had left a checkpoint of one epoch there."""
    folder = tmp_path_factory.mktemp("ranks")
    ranked.fitted({}, folder=folder / "alone", stop=1)
    command = [sys.executable, "-m", "tests.training.ranked"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen([*command, str(number), "2", str(folder)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(said)
    return folder


@pytest.fixture(scope="module")
def two(folder: Path) -> list[Found]:
    """What each of two processes found."""
    return [torch.load(folder / f"{number}.pt") for number in range(2)]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What one process finds."""
    folder = tmp_path_factory.mktemp("one")
    ranked.fitted({}, folder=folder / "alone", stop=1)
    return ranked.everything({}, folder, folder / "alone")


@pytest.mark.parametrize("what", ["plain", "parts", "pools", "rows", "search", "resumed"])
def test_curve_and_weights_are_those_of_one_process(one: Found, two: list[Found], what: str) -> None:
    """Batch norms over both devices, the loss's mean over what counts, correlations over the whole batch, masks and importances."""
    for mine in two:
        torch.testing.assert_close(mine[what]["losses"], one[what]["losses"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(mine[what]["weights"], one[what]["weights"], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("what", ["plain", "parts", "pools", "rows", "search", "resumed", "dropout"])
def test_both_processes_have_the_same_bits(two: list[Found], what: str) -> None:
    """Weights, importances and what is pruned; and what a network draws is another thing on each device, which changes no weight."""
    first, second = two
    assert first[what]["losses"] == second[what]["losses"]
    torch.testing.assert_close(first[what]["weights"], second[what]["weights"], rtol=0, atol=0)
    assert first[what].get("kept") == second[what].get("kept")


def test_a_search_keeps_the_same_elements(one: Found, two: list[Found]) -> None:
    assert two[0]["search"]["kept"] == one["search"]["kept"]


def test_each_row_is_seen_once_a_pass_in_the_order_of_one_process(one: Found, two: list[Found]) -> None:
    shards = [iter(mine["seen"]) for mine in two]
    joined: list[int] = []
    for size in [13, 12, 12] * ranked.EPOCHS:
        joined += [next(shard) for shard, rows in zip(shards, (-(-size // 2), size // 2), strict=True) for _ in range(rows)]
    assert joined == one["seen"]
    assert all(sorted(joined[start : start + ranked.ROWS]) == list(range(ranked.ROWS)) for start in (0, ranked.ROWS, 2 * ranked.ROWS))
    assert not [row for shard in shards for row in shard]


def test_what_is_drawn_does_not_depend_on_the_number_of_devices(two: list[Found]) -> None:
    """Two parts on two devices drop the same out as two parts one after the other; without a norm nothing else differs."""
    alone = ranked.fitted({"accumulate": 2}, dropout=0.5, norm=False)
    torch.testing.assert_close(two[0]["dropout"]["losses"], alone["losses"], rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_two_processes_goes_on_in_one(one: Found, folder: Path) -> None:
    """The other way round is `resumed` above; one epoch is done, and two are left."""
    gone_on = ranked.fitted({}, folder=folder / "two")
    assert len(gone_on["losses"]) == len(one["resumed"]["losses"]) == 2
    torch.testing.assert_close(gone_on["losses"], one["plain"]["losses"][1:], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gone_on["weights"], one["plain"]["weights"], rtol=1e-3, atol=2e-5)


def test_what_cannot_be_is_refused_on_each_device(two: list[Found]) -> None:
    for mine in two:
        assert mine["too few"] == (
            "fit - wanted a row at least of each batch for each part - got 1 for devices x accumulate = 2: raise data.batch_size"
        )
        assert mine["other number"] == "fit.devices - wanted 3 - this training has 2: only stages start others"
        assert mine["drift"] == "the 2 devices of this training do not have the same weights: run the stage again"


def test_shares_add_up_to_the_whole_batch() -> None:
    batch = next(iter(ranked.data().train.draw(torch.Generator().manual_seed(0))))
    found = [share for _, _, share in shares(ranked.split, batch, 4)]
    assert sum(share.rows for share in found) == pytest.approx(1)
    assert sum(share.loss for share in found) == pytest.approx(1)
    assert [share.first for share in found] == [True, False, False, False]
    assert [share.last for share in found] == [False, False, False, True]
    assert [share for _, _, share in shares(ranked.split, batch, 1)] == [WHOLE]


def test_a_task_that_cannot_be_split_is_not() -> None:
    with pytest.raises(UserError, match=r"^fit - devices and accumulate should be 1 - a batch of this task cannot be split$"):
        ranked.fitted({"accumulate": 2}, task_split=None)


def test_alone_nothing_is_sent() -> None:
    value = torch.ones(2)
    assert (ranks.count(), ranks.number(), ranks.first(), ranks.from_first(3)) == (1, 0, True, 3)
    assert ranks.gathered(value) is ranks.total(value) is value
