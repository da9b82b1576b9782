"""Columns of a table that is asked are brought to the types of an example."""

from __future__ import annotations

import pyarrow as pa
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.training.table import conform

PICTURES = pa.schema([pa.field("image", pa.binary(), nullable=False)])


def test_pictures_in_the_form_of_hugging_face_are_their_bytes() -> None:
    asked = pa.table({"image": [{"bytes": b"a", "path": None}, {"bytes": b"b", "path": "b.png"}]})
    assert conform(asked, PICTURES).to_pydict() == {"image": [b"a", b"b"]}
    with pytest.raises(UserError, match=r"^row 1 - wanted a value in column 'image' - there is none$"):
        conform(pa.table({"image": [{"bytes": b"a", "path": None}, {"bytes": None, "path": "b.png"}]}), PICTURES)


def test_true_is_no_number() -> None:
    with pytest.raises(UserError, match=r"^column 'load' - wanted double - got true and false$"):
        conform(pa.table({"load": [True]}), pa.schema([pa.field("load", pa.float64(), nullable=False)]))
