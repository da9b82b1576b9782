"""What each token stands for: so many bytes, words and ends of lines of the text, all of it covered once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int

KINDS = ("bytes", "words", "lines")
_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype=np.uint32)


def cover(text: str, ends: Sequence[int]) -> Int[np.ndarray, "3 tokens"]:
    """Bytes in UTF-8, ends of words (as `str.split` parts them) and line feeds of each token.

    `ends` are the characters at which tokens end; of several tokens of one character the first stands for it, and the last token stands
    for the rest of the text.
    """
    letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    space = np.isin(letters, _SPACES)
    size = 1 + (letters > 0x7F) + (letters > 0x7FF) + (letters > 0xFFFF)
    last = ~space & np.append(space[1:], True)
    counted = np.stack([size, last, letters == ord("\n")]).astype(np.int64)
    upto = np.concatenate([np.zeros((3, 1), dtype=np.int64), counted.cumsum(1)], 1)
    places = np.maximum.accumulate(np.array([0, *ends]))
    places[-1] = len(letters)
    return np.diff(upto[:, places])
