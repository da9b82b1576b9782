"""Batches, and augmentation against a picture-by-picture version of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stillhouse.contracts.data import Data
from stillhouse.training.machine import move
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.classify.sample import Batch, DataSettings, augmented, chance, cut_out, flipped, load, shifted
from tests.workloads.pictures.classify.raws import DIGITS, pixels

IMAGE = torch.from_numpy(pixels(40, height=7, width=6))
UNIT = torch.tensor([[0.5, 0.4, 0.3], [0.2, 0.25, 0.3]])
BATCH = Batch(IMAGE, torch.arange(40) % 3, UNIT)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    prepare(PrepareSettings(), DIGITS, folder, torch.Generator().manual_seed(0))
    return folder


def drawn(data: Data[Batch], seed: int) -> list[Batch]:
    return list(data.train.draw(torch.Generator().manual_seed(seed)))


def test_a_pass_sees_every_training_picture_once_and_depends_on_its_seed_alone(prepared: Path) -> None:
    data = load(DataSettings(batch_size=100, evaluation_batch_size=50), prepared, test=True)
    first, again, other = (drawn(data, seed) for seed in (0, 0, 1))
    assert data.train.length == len(first) == 13
    assert {len(batch.label) for batch in first} == {99, 100}
    assert all(torch.equal(one.image, two.image) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0].label, other[0].label)
    rows = [sorted(torch.cat([batch.image.flatten(1) for batch in batches]).tolist()) for batches in (first, other)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 1294
    assert data.test is not None
    assert [len(batch.label) for batch in data.valid.draw(torch.Generator())] == [50, 50, 44]
    assert data.sizes == {"channels": 1, "height": 8, "width": 8, "classes": 10}
    assert load(DataSettings(), prepared).test is None


def test_training_pixels_have_mean_nought_and_deviation_one(prepared: Path) -> None:
    every = torch.cat([batch.pixels() for batch in drawn(load(DataSettings(), prepared), 0)])
    assert every.mean().item() == pytest.approx(0, abs=1e-5)
    assert every.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    by_hand = (IMAGE[3, 1, 2, 4].item() / 255 - 0.4) / 0.25
    assert BATCH.pixels()[3, 1, 2, 4].item() == pytest.approx(by_hand, rel=1e-5)


def test_fewer_training_pictures_are_spread_over_the_table(prepared: Path) -> None:
    few, every = (drawn(load(DataSettings(train_limit=limit, batch_size=2000), prepared), 0)[0] for limit in (100, None))
    assert len(few.label) == 100
    assert len(few.label.unique()) == 10
    known = set(map(tuple, every.image.flatten(1).tolist()))
    assert {tuple(row) for row in few.image.flatten(1).tolist()} <= known
    assert sum(batch.label.numel() for batch in drawn(load(DataSettings(train_limit=5000), prepared), 0)) == 1294


def naive_shift(picture: Tensor, down: int, right: int) -> Tensor:
    moved = torch.zeros_like(picture)
    for row in range(picture.shape[1]):
        for column in range(picture.shape[2]):
            if 0 <= row - down < picture.shape[1] and 0 <= column - right < picture.shape[2]:
                moved[:, row, column] = picture[:, row - down, column - right]
    return moved


def test_shift_and_flip_picture_by_picture() -> None:
    rng = torch.Generator().manual_seed(0)
    by = torch.randint(-3, 4, (2, 40), generator=rng)
    wanted = torch.stack([naive_shift(picture, *move) for picture, move in zip(IMAGE, by.T.tolist(), strict=True)])
    assert torch.equal(shifted(IMAGE, by), wanted)
    assert torch.equal(shifted(IMAGE, torch.zeros(2, 40, dtype=torch.long)), IMAGE)
    chosen = torch.rand(40, generator=rng) < 0.5
    for before, after, turned in zip(IMAGE, flipped(IMAGE, chosen), chosen, strict=True):
        assert torch.equal(after, before[:, :, [5, 4, 3, 2, 1, 0]] if turned else before)


@pytest.mark.parametrize("side", [1, 2, 3, 20])
def test_cutout_picture_by_picture(side: int) -> None:
    centre = torch.stack([torch.randint(size, (40,), generator=torch.Generator().manual_seed(size)) for size in (7, 6)])
    colour = torch.tensor([1, 2, 3], dtype=torch.uint8)
    wanted = IMAGE.clone()
    for picture, (row, column) in zip(wanted, centre.T.tolist(), strict=True):
        top, left = max(row - side // 2, 0), max(column - side // 2, 0)
        picture[:, top : row - side // 2 + side, left : column - side // 2 + side] = colour[:, None, None]
    assert torch.equal(cut_out(IMAGE, centre, side, colour), wanted)


def test_augmentation_is_drawn_for_each_picture_and_only_as_asked() -> None:
    def changed(settings: DataSettings, seed: int = 0) -> Tensor:
        return augmented(settings, BATCH, chance(settings, len(BATCH.image), torch.Generator().manual_seed(seed))).image

    assert torch.equal(changed(DataSettings()), IMAGE)
    every = DataSettings(flip=True, shift=1, cutout=3)
    assert torch.equal(changed(every), changed(every))
    assert not torch.equal(changed(every), changed(every, 1))
    turned = (changed(DataSettings(flip=True)) != IMAGE).flatten(1).any(1)
    assert 8 < turned.sum() < 32
    same = {tuple(place) for place in (changed(DataSettings(cutout=3)) != IMAGE).any(1).nonzero()[:, 1:].tolist()}
    assert same == {(row, column) for row in range(7) for column in range(6)}
    painted = torch.tensor([128, 102, 76], dtype=torch.uint8)
    covered = cut_out(IMAGE, torch.zeros(2, 40, dtype=torch.long), 99, (255 * UNIT[0]).round().byte())
    assert torch.equal(covered, painted[:, None, None].expand_as(IMAGE))
    assert Batch(covered, BATCH.label, UNIT).pixels().abs().max() < 0.01


def test_the_batch_that_is_asked_for_augmentation_is_left_as_it_was() -> None:
    before = IMAGE.clone()
    settings = DataSettings(flip=True, shift=2, cutout=4)
    augmented(settings, BATCH, chance(settings, len(BATCH.image), torch.Generator().manual_seed(0)))
    assert torch.equal(IMAGE, before)


def test_a_batch_moves_as_a_whole() -> None:
    moved = move(BATCH, torch.device("meta"))
    assert {part.device.type for part in (moved.image, moved.label, moved.unit)} == {"meta"}
