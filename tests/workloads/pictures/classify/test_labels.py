"""Labels by share, and the pictures that ride along without one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import cross_entropy

from stillhouse.contracts.data import Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.training.labels import HIDDEN, beside, labelled
from stillhouse.training.rows import anywhere
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.classify.sample import Batch, DataSettings, load
from tests.workloads.pictures.classify.raws import DIGITS, coded, pixels, table

LABEL = torch.arange(1000) * 7919 % 1009 % 4
LABEL[::250] = 4
"""Four classes of about 250 rows, and one of four."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    prepare(PrepareSettings(), DIGITS, folder, torch.Generator().manual_seed(0))
    return folder


def drawn(data: Data[Batch], seed: int = 0) -> list[Batch]:
    return list(data.train.draw(torch.Generator().manual_seed(seed)))


def test_a_share_is_that_of_each_class_and_one_picture_at_least() -> None:
    for share in (0.01, 0.1, 0.5, 1.0):
        found = Counter(LABEL[labelled(LABEL, share, 0)].tolist())
        assert found == {label: max(1, round(share * count)) for label, count in Counter(LABEL.tolist()).items()}
    assert torch.equal(labelled(LABEL, 1.0, 3), torch.arange(1000))


def test_a_smaller_share_is_a_part_of_a_larger_one_and_the_seed_draws_it() -> None:
    shares = [set(labelled(LABEL, share, 0).tolist()) for share in (0.01, 0.1, 0.11, 0.9)]
    assert all(small < large for small, large in pairwise(shares))
    assert shares[1] == set(labelled(LABEL, 0.1, 0).tolist())
    assert shares[1] != set(labelled(LABEL, 0.1, 1).tolist())


def test_a_whole_number_is_spread_over_the_table_as_before() -> None:
    assert labelled(LABEL, 4, 0).tolist() == [0, 250, 500, 750]
    assert torch.equal(labelled(LABEL, None, 0), torch.arange(1000))


@pytest.mark.parametrize(("few", "rest"), [(30, 200), (200, 30), (7, 7)])
def test_a_pass_ends_when_every_row_has_been_seen_and_repeats_the_fewer_ones_evenly(few: int, rest: int) -> None:
    order = beside(anywhere(few, 10), torch.arange(few, few + rest), 15)
    first, second = (list(order.draw(torch.Generator().manual_seed(0))) for _ in range(2))
    assert len(first) == order.length == max(-(-few // 10), -(-rest // 15))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert all((batch[-15:] >= few).all() and (batch[:-15] < few).all() for batch in first)
    assert len(torch.cat(first).unique()) == few + rest
    for mine in (lambda rows: rows[:-15], lambda rows: rows[-15:]):
        times = torch.cat([mine(rows) for rows in first]).unique(return_counts=True)[1]
        assert times.max() - times.min() <= 1


def test_batches_carry_pictures_without_their_labels_at_the_stated_ratio(prepared: Path) -> None:
    every = {tuple(row) for batch in drawn(load(DataSettings(), prepared)) for row in batch.image.flatten(1).tolist()}
    data = load(DataSettings(train_limit=0.1, batch_size=20, unlabelled=60), prepared)
    batches = drawn(data)
    assert len(batches) == data.train.length == -(-(1294 - 129) // 60)
    assert all((batch.label[:-60] != HIDDEN).all() and (batch.label[-60:] == HIDDEN).all() for batch in batches)
    assert {tuple(row) for batch in batches for row in batch.image.flatten(1).tolist()} == every
    alone = drawn(load(DataSettings(train_limit=0.1, batch_size=20), prepared))
    assert known(alone) == known(batches)
    assert len(known(alone)) == sum(len(batch.label) for batch in alone) == 129


def test_no_batch_carries_more_pictures_than_there_are(prepared: Path) -> None:
    batches = drawn(load(DataSettings(train_limit=0.9, batch_size=20, unlabelled=10**9), prepared))
    rest = 1294 - len(known(batches))
    assert all((batch.label[20:] == HIDDEN).all() and len(batch.label) <= 20 + rest for batch in batches)


def known(batches: list[Batch]) -> set[tuple[int, ...]]:
    """The labelled pictures, each with its label."""
    rows = (torch.cat((batch.image.flatten(1).long(), batch.label[:, None]), 1).tolist() for batch in batches)
    return {tuple(row) for some in rows for row in some if row[-1] != HIDDEN}


def test_where_all_have_labels_nothing_rides_along(prepared: Path) -> None:
    plain, whole = (drawn(load(DataSettings(train_limit=limit, unlabelled=more), prepared)) for limit, more in ((None, 0), (1.0, 50)))
    assert all(torch.equal(one.label, two.label) for one, two in zip(plain, whole, strict=True))


def test_validation_and_test_keep_their_labels(prepared: Path) -> None:
    data = load(DataSettings(train_limit=0.1, unlabelled=60), prepared, test=True)
    assert data.test is not None
    for split in (data.valid, data.test):
        assert all((batch.label != HIDDEN).all() for batch in split.draw(torch.Generator()))


def test_the_loss_is_that_of_the_known_alone_and_losses_are_shown_which_they_are() -> None:
    label, logits = torch.tensor([2, HIDDEN, 0, HIDDEN]), torch.randn(4, 3, requires_grad=True)
    batch = Batch(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), label, torch.ones(2, 1))
    loss = WORKLOAD.loss(Output(logits, "classes"), batch)
    assert loss.item() == pytest.approx(cross_entropy(logits[[0, 2]], label[[0, 2]]).item())
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.any(1).tolist() == [True, False, True, False]
    shown = WORKLOAD.shown(batch)
    assert isinstance(shown.known, Tensor)
    assert shown.known.tolist() == [True, False, True, False]
    assert WORKLOAD.split is not None
    assert [(part.rows, part.counted) for part in WORKLOAD.split(batch, 3)] == [(2, 1), (1, 1), (1, 0)]


@pytest.mark.parametrize("limit", [0, -1, 0.0, 1.5, "some", True, [1]])
def test_a_limit_is_a_number_or_a_share(limit: object) -> None:
    with pytest.raises(ValidationError, match="a number of examples, or a share of them above 0"):
        DataSettings(train_limit=limit)


def test_one_example_is_not_taken_for_all() -> None:
    """DVC compares values, so between 1 and 1.0 nothing would be due."""
    with pytest.raises(ValidationError, match=r"1\.0 for all examples, or a number of them from 2, which DVC can tell apart: got 1"):
        DataSettings(train_limit=1)
    assert [DataSettings(train_limit=value).train_limit for value in (2, 1.0)] == [2, 1.0]


@pytest.mark.parametrize(("value", "told"), [(True, "how many examples each batch carries"), (-1, "greater than or equal to 0")])
def test_pictures_that_ride_along_are_counted(value: object, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        DataSettings(unlabelled=value)


def test_where_all_have_labels_a_limit_is_wanted(prepared: Path) -> None:
    with pytest.raises(UserError, match=r"data\.unlabelled - wanted training examples without a label .* data.train_limit"):
        load(DataSettings(unlabelled=10), prepared)


@pytest.mark.parametrize("splits", [None, ["train"] * 12 + ["val", "test"] * 4])
def test_pictures_that_have_no_label_are_trained_on_and_never_held_out(tmp_path: Path, splits: list[str] | None) -> None:
    images = [coded(picture) for picture in pixels(20)]
    raw = table(tmp_path / "raw.parquet", images, [0, 1, -1, -1] * 3 + [0, 1] * 4, splits)
    settings = PrepareSettings(unlabelled=True, valid_share=0.3, test_share=0.3)
    counts = prepare(settings, raw, tmp_path / "prepared", torch.Generator().manual_seed(0))
    assert counts["unlabelled_pictures"] == 6
    data = load(DataSettings(batch_size=2, unlabelled=3, train_limit=2), tmp_path / "prepared", test=True)
    assert data.sizes["classes"] == 2
    assert data.test is not None
    held = [batch.label for split in (data.valid, data.test) for batch in split.draw(torch.Generator())]
    assert set(torch.cat(held).tolist()) <= {0, 1}
    (first, *_) = batches = drawn(data)
    assert first.label[2:].tolist() == [HIDDEN] * 3
    assert set(torch.cat([batch.label for batch in batches]).tolist()) == {0, 1, HIDDEN}
    alone = drawn(load(DataSettings(), tmp_path / "prepared"))
    assert sum(len(batch.label) for batch in alone) == counts["train_pictures"] - 6


def test_a_label_of_minus_one_is_none_only_where_it_is_said(tmp_path: Path) -> None:
    raw = table(tmp_path / "raw.parquet", [coded(picture) for picture in pixels(8)], [0, 1, -1, 0, 1, -1, 0, 1])
    with pytest.raises(UserError, match=r"numbers from 0 \(where -1 means .* set `unlabelled`\) - got -1"):
        prepare(PrepareSettings(), raw, tmp_path / "prepared", torch.Generator())
    other = table(tmp_path / "other.parquet", [coded(picture) for picture in pixels(3)], [-1, 0, 0], ["train", "val", "test"])
    with pytest.raises(UserError, match="wanted training pictures with a label - all have -1"):
        prepare(PrepareSettings(unlabelled=True), other, tmp_path / "prepared", torch.Generator())
    held = table(tmp_path / "held.parquet", [coded(picture) for picture in pixels(3)], [0, -1, 0], ["train", "val", "test"])
    with pytest.raises(UserError, match=r"numbers from 0 \(-1 is for training pictures alone\) - got -1"):
        prepare(PrepareSettings(unlabelled=True), held, tmp_path / "prepared", torch.Generator())
