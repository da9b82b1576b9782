"""Batches, and crops against a picture-by-picture version of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import interpolate

from stillhouse.contracts.data import Data
from stillhouse.contracts.errors import UserError
from stillhouse.training.machine import move
from stillhouse.workloads.pictures.segment.crop import VOID, cropped
from stillhouse.workloads.pictures.segment.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.segment.sample import Batch, DataSettings, augmented, chance, load
from tests.workloads.pictures.segment.raws import coded, masks, pixels, table

IMAGE, MASK = torch.from_numpy(pixels(30, height=9, width=12)), torch.from_numpy(masks(30, height=9, width=12))
UNIT = torch.tensor([[0.5, 0.4, 0.3], [0.2, 0.25, 0.3]])
BATCH = Batch(IMAGE, MASK, UNIT)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    raw = table(folder / "raw.parquet", [coded(image.numpy()) for image in IMAGE], [coded(mask.numpy()) for mask in MASK])
    prepare(PrepareSettings(valid_share=0.2, test_share=0.2), raw, folder, torch.Generator().manual_seed(0))
    return folder


def drawn(data: Data[Batch], seed: int) -> list[Batch]:
    return list(data.train.draw(torch.Generator().manual_seed(seed)))


def test_a_pass_sees_every_training_picture_once_and_depends_on_its_seed_alone(prepared: Path) -> None:
    data = load(DataSettings(batch_size=4, evaluation_batch_size=4), prepared, test=True)
    first, again, other = (drawn(data, seed) for seed in (0, 0, 1))
    assert data.train.length == len(first) == 5
    assert {len(batch.mask) for batch in first} == {3, 4}
    assert all(torch.equal(one.image, two.image) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0].mask, other[0].mask)
    whole = [sorted(torch.cat([batch.image.flatten(1) for batch in batches]).tolist()) for batches in (first, other)]
    assert whole[0] == whole[1]
    assert data.test is not None
    assert [len(batch.mask) for batch in data.test.draw(torch.Generator())] == [4, 2]
    assert data.sizes == {"channels": 3, "height": 9, "width": 12, "classes": 3}
    assert load(DataSettings(), prepared).test is None
    pairs = {image.numpy().tobytes(): mask for image, mask in zip(IMAGE, MASK, strict=True)}
    for batch in [*first, *data.valid.draw(torch.Generator()), *data.test.draw(torch.Generator())]:
        assert all(torch.equal(pairs[image.numpy().tobytes()], mask) for image, mask in zip(batch.image, batch.mask, strict=True))


def test_a_share_of_the_pictures_keeps_its_masks_and_others_ride_along_without(prepared: Path) -> None:
    pairs = {image.numpy().tobytes(): mask for image, mask in zip(IMAGE, MASK, strict=True)}
    batches = drawn(load(DataSettings(batch_size=3, train_limit=1 / 3, unlabelled=5), prepared), 0)
    assert [len(batch.mask) for batch in batches] == [8, 8, 8]  # six with a mask, two times over, and thirteen without, two of them twice
    known, others = [], []
    for batch in batches:
        keys = [image.numpy().tobytes() for image in batch.image]
        assert all(torch.equal(pairs[key], mask) for key, mask in zip(keys[:3], batch.mask[:3], strict=True))
        assert bool((batch.mask[3:] == VOID).all())
        known, others = known + keys[:3], others + keys[3:]
    assert (len(set(known)), len(set(others)), set(known) & set(others)) == (6, 13, set())
    alone = drawn(load(DataSettings(batch_size=3, train_limit=1 / 3), prepared), 0)
    assert {image.numpy().tobytes() for batch in alone for image in batch.image} == set(known)
    smaller = drawn(load(DataSettings(batch_size=3, train_limit=1 / 6), prepared), 0)
    assert {image.numpy().tobytes() for batch in smaller for image in batch.image} < set(known)


def test_one_picture_is_too_few(prepared: Path) -> None:
    with pytest.raises(UserError, match=r"data - wanted two training pictures at least, .* - got one: raise data.train_limit"):
        load(DataSettings(train_limit=1 / 19), prepared)
    assert load(DataSettings(train_limit=1 / 19, unlabelled=2), prepared).train.length == 9


def test_training_pixels_have_mean_nought_and_deviation_one(prepared: Path) -> None:
    every = torch.cat([batch.pixels() for batch in drawn(load(DataSettings(), prepared), 0)])
    assert every.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert every.std((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 3, abs=1e-5)


def naive(image: Tensor, mask: Tensor, size: tuple[int, int], factor: float, place: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Resized by torch as a whole, then read pixel by pixel."""
    whole = [max(1, round(side * factor)) for side in mask.shape]
    large = interpolate(image[None].double(), size=whole, mode="bilinear", align_corners=False)[0].round()
    nearest = [[(2 * pixel + 1) * side // (2 * size) for pixel in range(size)] for side, size in zip(mask.shape, whole, strict=True)]
    numbers = mask[nearest[0]][:, nearest[1]]
    first = []
    for side, cut, share in zip(whole, size, place, strict=True):
        first.append(int(share * (side - cut + 1)) if side >= cut else -int(share * (cut - side + 1)))
    got, classes = torch.zeros(len(image), *size), torch.full(size, float(VOID))
    for row in range(size[0]):
        for column in range(size[1]):
            down, right = row + first[0], column + first[1]
            got[:, row, column] = large[:, min(max(down, 0), whole[0] - 1), min(max(right, 0), whole[1] - 1)]
            if 0 <= down < whole[0] and 0 <= right < whole[1]:
                classes[row, column] = numbers[down, right]
    return got, classes


@pytest.mark.parametrize("size", [(9, 12), (5, 4), (14, 7)])
def test_crops_picture_by_picture(size: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    factor, place = 0.5 + 1.5 * torch.rand(30, generator=rng), torch.rand(2, 30, generator=rng)
    image, mask = cropped(IMAGE, MASK, size, factor, place)
    for index in range(30):
        wanted, numbers = naive(IMAGE[index], MASK[index], size, factor[index].item(), tuple(place[:, index].tolist()))
        assert (image[index].double() - wanted).abs().max() <= 1  # a value halfway between two is rounded to either
        assert torch.equal(mask[index], numbers.byte())


def test_a_crop_without_scale_is_a_part_of_the_picture() -> None:
    image, mask = cropped(IMAGE, MASK, (4, 5), torch.ones(30), torch.tensor([[0.0], [0.9999]]).expand(-1, 30))
    assert torch.equal(image, IMAGE[:, :, :4, 7:])
    assert torch.equal(mask, MASK[:, :4, 7:])
    image, mask = cropped(IMAGE, MASK, (11, 12), torch.ones(30), torch.tensor([[0.0], [0.0]]).expand(-1, 30))
    assert torch.equal(mask[:, :9], MASK)
    assert (mask[:, 9:] == VOID).all()
    assert torch.equal(image[:, :, 9:], IMAGE[:, :, 8:].expand(-1, -1, 2, -1))


def test_augmentation_is_drawn_for_each_picture_and_only_as_asked() -> None:
    def changed(seed: int = 0, **settings: object) -> Batch:
        wanted = DataSettings.model_validate(settings)
        return augmented(wanted, BATCH, chance(wanted, len(BATCH.image), torch.Generator().manual_seed(seed)))

    before = IMAGE.clone()
    assert torch.equal(changed().image, IMAGE)
    flipped = changed(flip=True)
    turned = (flipped.image != IMAGE).flatten(1).any(1)
    assert 6 < turned.sum() < 24
    assert torch.equal(flipped.image[turned], IMAGE[turned].flip(3))
    assert torch.equal(flipped.mask[turned], MASK[turned].flip(2))
    assert torch.equal(flipped.mask[~turned], MASK[~turned])
    first, again, other = (changed(seed, crop=(6, 7), scale=(0.5, 2.0), flip=True) for seed in (0, 0, 1))
    assert first.image.shape == (30, 3, 6, 7)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.mask, again.mask)
    assert not torch.equal(first.mask, other.mask)
    assert changed(scale=(0.5, 2.0)).mask.shape == MASK.shape
    assert torch.equal(IMAGE, before)


def test_wrong_settings_are_refused() -> None:
    for settings, words in (
        ({"crop": (0, 3)}, r"crop should be a height and a width from 1: got \[0, 3\]"),
        ({"scale": (2.0, 1.0)}, r"scale should be two factors above 0, the smaller first, 100 at most: got \[2.0, 1.0\]"),
        ({"batch_size": 2}, "greater than or equal to 3"),
    ):
        with pytest.raises(ValidationError, match=words):
            DataSettings.model_validate(settings)


def test_a_batch_moves_as_a_whole() -> None:
    moved = move(BATCH, torch.device("meta"))
    assert {part.device.type for part in (moved.image, moved.mask, moved.unit)} == {"meta"}
