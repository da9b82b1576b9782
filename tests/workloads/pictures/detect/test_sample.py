"""Batches: ragged boxes in one tensor, and pictures that move together with their boxes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.contracts.data import Data
from stillhouse.training.machine import move
from stillhouse.workloads.pictures.detect.augment import flipped, zoomed
from stillhouse.workloads.pictures.detect.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.detect.sample import Batch, DataSettings, augmented, chance, load, padded
from tests.workloads.pictures.detect.raws import BOXES, coded, pictures, table

SPLITS = ["train"] * 5 + ["val"] * 3 + ["test"] * 2
UNIT = torch.tensor([[0.5, 0.4, 0.3], [0.2, 0.25, 0.1]])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boxes")
    raw = table(folder / "raw.parquet", list(map(coded, pictures(10))), BOXES, SPLITS, ["ant", "bee", "cat"])
    prepare(PrepareSettings(), raw, folder, torch.Generator())
    return folder


def drawn(data: Data[Batch], seed: int) -> list[Batch]:
    return list(data.train.draw(torch.Generator().manual_seed(seed)))


def content(batch: Batch) -> list[tuple[bytes, list[tuple[float, ...]]]]:
    """Each picture with its boxes, whatever the order of the pictures."""
    rows = zip(batch.image, batch.boxes.tolist(), batch.label.tolist(), strict=True)
    return sorted(
        (bytes(image.flatten().tolist()), [(*box, label) for box, label in zip(boxes, labels, strict=True) if label >= 0])
        for image, boxes, labels in rows
    )


def test_batches_are_drawn_by_the_seed_and_hold_every_picture_once(prepared: Path) -> None:
    data = load(DataSettings(batch_size=2, evaluation_batch_size=2), prepared, test=True)
    first, again, other = (drawn(data, seed) for seed in (0, 0, 1))
    assert data.train.length == len(first) == 3
    assert [content(batch) for batch in first] == [content(batch) for batch in again]
    assert [content(batch) for batch in first] != [content(batch) for batch in other]
    want = sorted(
        (image.transpose(2, 0, 1).tobytes(), list(map(tuple, boxes))) for image, boxes in zip(pictures(10)[:5], BOXES, strict=False)
    )
    for batches in (first, other):
        assert sorted(row for batch in batches for row in content(batch)) == want
    assert data.test is not None
    (test,) = data.test.draw(torch.Generator())
    assert test.label.tolist() == [[2], [1]]
    assert [len(batch.image) for batch in data.valid.draw(torch.Generator())] == [2, 1]
    assert data.sizes == {"channels": 3, "height": 8, "width": 10, "classes": 3}
    assert test.names == ("ant", "bee", "cat")
    assert load(DataSettings(), prepared).test is None


def test_a_batch_is_as_wide_as_its_fullest_picture(prepared: Path) -> None:
    (valid,) = load(DataSettings(), prepared).valid.draw(torch.Generator())
    assert valid.label.tolist() == [[0, -1], [-1, -1], [1, 0]]
    assert valid.boxes[2].tolist() == [[0, 0, 3.5, 2], [2, 2, 10, 8]]
    assert valid.boxes[0, 1].tolist() == [0, 0, 0, 0]
    data = load(DataSettings(train_limit=2, batch_size=5), prepared)
    assert content(drawn(data, 0)[0]) == sorted(
        (pictures(10)[place].transpose(2, 0, 1).tobytes(), list(map(tuple, BOXES[place]))) for place in (0, 2)
    )


def test_a_share_of_the_pictures_keeps_its_boxes_and_others_ride_along_without(prepared: Path) -> None:
    """Two of five pictures, twice over beside the three others."""
    boxes = {image.transpose(2, 0, 1).tobytes(): list(map(tuple, found)) for image, found in zip(pictures(10)[:5], BOXES, strict=False)}
    batches = drawn(load(DataSettings(batch_size=1, train_limit=0.4, unlabelled=2, zoom=1.01), prepared), 0)
    assert [batch.known.tolist() for batch in batches] == [[True, False, False]] * 2
    batches = drawn(load(DataSettings(batch_size=1, train_limit=0.4, unlabelled=2), prepared), 0)
    known, others = [], []
    for batch in batches:
        assert (batch.label[1:] == -1).all()
        assert not batch.boxes[1:].any()
        (key, found), *rest = [(image.numpy().tobytes(), box[label >= 0].tolist()) for image, box, label in rows(batch)]
        assert [tuple(box) for box in found] == [box[:4] for box in boxes[key]]
        known, others = [*known, key], [*others, *(key for key, _ in rest)]
    assert (len(set(known)), len(set(others)), set(known) & set(others)) == (2, 3, set())
    alone = drawn(load(DataSettings(batch_size=2, train_limit=0.4), prepared), 0)
    assert {image.numpy().tobytes() for batch in alone for image, *_ in rows(batch)} == set(known)


def rows(batch: Batch) -> list[tuple[Tensor, Tensor, Tensor]]:
    return list(zip(batch.image, batch.boxes, batch.label, strict=True))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_padding_puts_each_row_in_its_picture(counts: list[int]) -> None:
    picture = torch.tensor([number for number, count in enumerate(counts) for _ in range(count)], dtype=torch.int32)
    box = torch.rand(len(picture), 4)
    label, crowd = torch.arange(len(picture)), torch.arange(len(picture)) % 2 == 1
    boxes, labels, crowds = padded(len(counts), picture, box, label, crowd)
    start = 0
    for number, count in enumerate(counts):
        assert torch.equal(boxes[number, :count], box[start : start + count])
        assert labels[number].tolist() == [*range(start, start + count), *[-1] * (labels.shape[1] - count)]
        assert crowds[number, :count].tolist() == [row % 2 == 1 for row in range(start, start + count)]
        start += count


def test_a_flip_of_a_flip_is_nothing_and_boxes_stay_on_their_pixels() -> None:
    image = torch.zeros(2, 1, 6, 9, dtype=torch.uint8)
    image[:, :, 1:4, 2:7] = 255
    boxes, chosen = torch.tensor([[[2.0, 1, 7, 4]]]).repeat(2, 1, 1), torch.tensor([True, False])
    turned, moved = flipped(image, boxes, chosen)
    assert moved.tolist() == [[[2, 1, 7, 4]], [[2, 1, 7, 4]]]
    assert torch.equal(turned, image)
    lopsided, around = flipped(image, torch.tensor([[[0.0, 1, 3, 4]]]).repeat(2, 1, 1), chosen)
    assert around.tolist() == [[[6, 1, 9, 4]], [[0, 1, 3, 4]]]
    back = flipped(lopsided, around, chosen)
    assert torch.equal(back[0], image)
    assert back[1].tolist() == [[[0, 1, 3, 4]]] * 2


def extent(image: Tensor) -> list[int]:
    """The box around the bright pixels of (height, width)."""
    rows, columns = (image > 127).any(1).nonzero().flatten(), (image > 127).any(0).nonzero().flatten()
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


@given(st.floats(0.5, 2.0), st.floats(0, 1), st.floats(0, 1))
def test_boxes_follow_what_they_hold(factor: float, across: float, down: float) -> None:
    """To within a pixel, since bright pixels are whole ones."""
    image = torch.zeros(1, 1, 40, 60, dtype=torch.uint8)
    image[:, :, 15:25, 22:38] = 255
    box = torch.tensor([[[22.0, 15, 38, 25]]])
    new, moved, inside = zoomed(image, box, torch.tensor([factor]), torch.tensor([[across, down]]), torch.zeros(1))
    if (moved[0, 0, 2:] - moved[0, 0, :2]).min() > 2:
        assert torch.tensor(extent(new[0, 0])).float().sub(moved[0, 0]).abs().max() <= 1.01
    if inside.item() and factor < 1:
        assert (moved[0, 0, 2:] - moved[0, 0, :2]).tolist() == pytest.approx([16 * factor, 10 * factor], rel=1e-4)


def test_zoom_by_hand() -> None:
    """The right lower quarter of a picture at twice its size; then the whole at half its size in the left upper corner."""
    image = torch.zeros(1, 3, 8, 12, dtype=torch.uint8)
    image[:, :, 4:, 6:] = 200
    boxes = torch.tensor([[[7.0, 5, 11, 7], [0, 0, 5, 3], [4, 2, 9, 7]]])
    new, moved, inside = zoomed(image, boxes, torch.tensor([2.0]), torch.ones(1, 2), torch.zeros(3))
    assert moved[0].tolist() == [[2, 2, 10, 6], [0, 0, 0, 0], [0, 0, 6, 6]]
    assert inside.tolist() == [[True, False, True]]
    assert (new[:, :, 1:-1, 1:-1] == 200).all()
    small, moved, inside = zoomed(image, boxes, torch.tensor([0.5]), torch.zeros(1, 2), torch.tensor([1.0, 0.5, 0]))
    assert moved[0].tolist() == [[3.5, 2.5, 5.5, 3.5], [0, 0, 2.5, 1.5], [2, 1, 4.5, 3.5]]
    assert inside.all()
    assert small[0, :, -1, -1].tolist() == [255, 128, 0]
    same = zoomed(image, boxes, torch.ones(1), torch.rand(1, 2), torch.zeros(3))
    assert torch.equal(same[0], image)
    torch.testing.assert_close(same[1], boxes)


def batch() -> Batch:
    image = torch.randint(0, 256, (40, 3, 8, 10), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    boxes, label = torch.tensor([[1.0, 2, 7, 6], [0, 0, 0, 0], [7, 5, 10, 8]]).expand(40, -1, -1).clone(), torch.tensor([1, -1, 2])
    crowd, known = torch.tensor([False, False, True]).expand(40, -1), torch.ones(40, dtype=torch.bool)
    return Batch(image, boxes, label.expand(40, -1).clone(), crowd, known, UNIT, ("a", "b", "c"))


def test_augmentation_is_drawn_for_each_picture_and_only_as_asked() -> None:
    before = batch()

    def changed(settings: DataSettings, seed: int = 0) -> Batch:
        return augmented(before, chance(settings, len(before.image), torch.Generator().manual_seed(seed)))

    assert torch.equal(changed(DataSettings()).image, before.image)
    every = DataSettings(flip=True, zoom=2.0)
    first, again, other = changed(every), changed(every), changed(every, 1)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.image, other.image)
    turned = (changed(DataSettings(flip=True)).image != before.image).flatten(1).any(1)
    assert 8 < turned.sum() < 32
    gone = first.label < 0
    assert gone[:, 1].all()
    assert 0 < gone[:, 2].sum() < 40
    assert (first.boxes[gone] == 0).all()
    assert not first.crowd[gone].any()
    assert torch.equal(before.boxes, batch().boxes)
    assert torch.equal(before.image, batch().image)


def test_crowds_are_not_taught_and_pixels_have_the_unit_of_training() -> None:
    assert batch().taught().unique(dim=0).tolist() == [[1, -1, -1]]
    by_hand = (batch().image[3, 1, 2, 4].item() / 255 - 0.4) / 0.25
    assert batch().pixels()[3, 1, 2, 4].item() == pytest.approx(by_hand, rel=1e-5)
    assert math.isfinite(by_hand)


def test_a_batch_moves_as_a_whole() -> None:
    moved = move(batch(), torch.device("meta"))
    assert {part.device.type for part in (moved.image, moved.boxes, moved.label, moved.crowd, moved.known, moved.unit)} == {"meta"}
    assert moved.names == ("a", "b", "c")
