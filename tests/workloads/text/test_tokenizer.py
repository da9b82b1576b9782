"""A tokenizer learns from any text whether it has spaces or not."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
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


def test_a_file_at_which_the_library_panics_is_refused(tmp_path: Path) -> None:
    """It puts a token before each text that has no number."""
    content = json.loads(tokenizer._trained(300, ["some words"], (tokenizer.END,)).to_str())
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "no token", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"tokenizer.json - wanted a tokenizer as JSON - "):
        tokenizer.opened(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(("number", "got"), [(10**9, "got 1,000,000,000 for 'far'"), (None, "got none")])
def test_numbers_that_no_model_has_rows_for_are_refused(number: int | None, got: str, tmp_path: Path) -> None:
    content = json.loads(tokenizer._trained(300, ["some words"], (tokenizer.END,)).to_str())
    content["model"] |= {"vocab": {"a": 0} if number else {}, "merges": []}
    content["added_tokens"] = []
    if number:
        content["model"]["vocab"]["far"] = number
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"tokenizer.json - wanted tokens with numbers below 1,000,000 - {got}: number them"):
        tokenizer.opened(tmp_path / "tokenizer.json")
