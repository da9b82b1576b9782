"""Names that a Parquet table in Hugging Face's form gives to the numbers in a column of classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """Names by number, of the metadata `huggingface`; none where the table says nothing of the kind."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:
        return ()
    for key in ("info", "features", column, "names"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return _texts(found)


def _texts(found: Any) -> tuple[str, ...]:
    names = tuple(found) if isinstance(found, list) else ()
    return names if all(isinstance(name, str) for name in names) and len(set(names)) == len(names) else ()
