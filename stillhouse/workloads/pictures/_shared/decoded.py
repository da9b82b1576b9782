"""How many bytes the pictures of a data set may have once they are decoded: they are all in memory at once."""

from __future__ import annotations

import numpy as np

from stillhouse.contracts.faults import Last

MOST_BYTES = 2**32
"""4 GiB, unless the setting `prepare.most_bytes` says otherwise."""


class Decoded:
    """The bytes of the pictures that are kept. Memory of who keeps them: three times `most`, while they are put together and written."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.most = most
        self._size = 0

    def add(self, place: str, *arrays: np.ndarray) -> None:
        """Counts what is to be kept. Raises UserError, beginning with `place`, where it is more than `most` with what is kept already."""
        self._size += sum(array.nbytes for array in arrays)
        if self._size > self.most:
            remedy = "set a smaller `prepare.size`, or a larger `prepare.most_bytes` if there is three times as much memory"
            raise Last(f"{place} - wanted {self.most} bytes at most of all decoded pictures ({remedy}) - got more with this one")
