"""A tokenizer learns from any text whether it has spaces or not."""

from __future__ import annotations

import random
import time

from stillhouse.workloads.text._shared import tokenizer


def test_only_what_has_no_space_for_long_is_cut_and_nothing_is_lost():
    words = "some words of a text " * 1000
    assert list(tokenizer._pieces(words)) == [words]
    text = f"{words}{'x' * 2500} and {'y' * 1000}"
    pieces = list(tokenizer._pieces(text))
    assert "".join(pieces) == text
    assert [len(piece) for piece in pieces] == [len(words) + 1000, 1000, len(text) - len(words) - 2000]


def seconds(text: str) -> float:
    began = time.process_time()
    tokenizer._trained(1024, [text], (tokenizer.END,))
    return time.process_time() - began


def test_a_text_without_spaces_is_learned_from_about_as_fast_as_one_with_spaces():
    rng = random.Random(0)
    text = "".join(chr(rng.randrange(0x4E00, 0x4F00)) for _ in range(60_000))
    spaced = " ".join(text[start : start + 500] for start in range(0, len(text), 500))
    seconds(text[:1000])  # the library is imported
    assert seconds(text) < 20 * seconds(spaced)  # as one word it is some eighty times
