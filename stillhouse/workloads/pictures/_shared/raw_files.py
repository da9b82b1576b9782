"""The bytes of a raw picture, which may be there already or be read when they are wanted."""

from __future__ import annotations

from collections.abc import Callable

Content = bytes | Callable[[], bytes]
"""The bytes of a file, or what reads them."""


def loaded(found: Content) -> bytes:
    """Bytes that are there, or that are read now."""
    return found if isinstance(found, bytes) else found()
