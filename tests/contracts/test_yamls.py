"""What a text in YAML may ask of its reader."""

from __future__ import annotations

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.yamls import DEPTH, require_plain

BOMB = "a: &a [1, 1]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}]\n" for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)
CHAIN = "a0: &a0 [1]\n" + "".join(f"a{number}: &a{number} [*a{number - 1}]\n" for number in range(1, DEPTH + 2))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: " + "[" * (DEPTH + 1), "nested at most 50 deep"),
        (CHAIN, "nested at most 50 deep"),
        ("a: [" + "1, " * 2000 + "]", "at most 2000 values"),
        (BOMB, "at most 2000 values"),
        ("a: &a [*a]", r"repeats what it lies in - got \*a"),
    ],
)
def test_what_is_too_much_is_refused(text: str, wanted: str) -> None:
    with pytest.raises(UserError, match=f"^x - wanted .*{wanted}"):
        require_plain(text, "x", 2000, expanded=True)


def test_a_part_may_be_repeated_and_counts_as_often() -> None:
    text = "a: &a {b: [1, 2]}\nc: *a\nd: [*a, *a]\n"
    require_plain(text, "x", 25, expanded=True)
    with pytest.raises(UserError, match="at most 20 values"):
        require_plain(text, "x", 20, expanded=True)
