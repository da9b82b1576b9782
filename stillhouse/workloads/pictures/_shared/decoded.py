"""How many bytes the pictures of a data set may have once they are decoded: so much of the disk is taken while they are prepared."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from stillhouse.contracts.faults import Last
from stillhouse.workloads.pictures._shared.shelf import Shelf

MOST_BYTES = 2**32
"""4 GiB, unless the setting `prepare.most_bytes` says otherwise."""


class Decoded:
    """The bytes of the pictures that are kept, `most` of them at most, in `folder`; without one, where temporary files lie."""

    def __init__(self, most: int = MOST_BYTES, folder: Path | None = None) -> None:
        self.most = most
        self._folder = folder
        self._size = 0

    def shelf(self) -> AbstractContextManager[Shelf]:
        """An empty one for arrays of one shape."""
        return Shelf.within(self._folder)

    def add(self, place: str, *arrays: np.ndarray) -> None:
        """Counts what is to be kept. Raises UserError, beginning with `place`, where it is more than `most` with what is kept already."""
        self._size += sum(array.nbytes for array in arrays)
        if self._size > self.most:
            remedy = "set a smaller `prepare.size`, or a larger `prepare.most_bytes` if there is so much room on the disk"
            raise Last(f"{place} - wanted {self.most} bytes at most of all decoded pictures ({remedy}) - got more with this one")
