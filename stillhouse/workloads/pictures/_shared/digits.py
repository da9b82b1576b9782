"""The small handwritten digits of an installed package: a .gz file with a line for each, its pixels and, last, its class."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.training.packaged import PackagedFile, read_packaged


class DigitsPointer(Settings):
    """Which package and file hold the digits, and the form of their pixels."""

    package: str
    file: PackagedFile
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    highest: int = Field(gt=0)
    """The value of white."""


@dataclass(frozen=True)
class Digits:
    """(digits, height, width), uint8, 255 for the highest value; and their classes (digits,)."""

    image: np.ndarray
    label: np.ndarray

    def rows(self, chosen: np.ndarray) -> Digits:
        """Some of them."""
        return Digits(self.image[chosen], self.label[chosen])


def read_digits(place: str, pointer: DigitsPointer) -> Digits:
    """All that the file holds. Raises UserError, beginning with `place`, unless it is as the pointer says."""
    path, content = read_packaged(f"{place}: file", pointer.package, pointer.file)
    try:
        values = np.loadtxt(io.BytesIO(gzip.decompress(content)), delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise UserError(f"{place} - wanted lines of numbers in {path}, a .gz file - {error}") from None
    if values.shape[1] != pointer.height * pointer.width + 1:
        raise UserError(f"{place} - wanted {pointer.height} times {pointer.width} pixels and a class - got {values.shape[1]} columns")
    shades = (values[:, :-1] * 255 / pointer.highest).round()
    if not (shades.min() >= 0 and shades.max() <= 255):
        raise UserError(f"{place} - wanted pixels from 0 to {pointer.highest} - got {values[:, :-1].min()} to {values[:, :-1].max()}")
    return Digits(shades.astype(np.uint8).reshape(-1, pointer.height, pointer.width), values[:, -1].astype(np.int64))
