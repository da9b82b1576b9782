"""What a command may write to where its reader names the file."""

from __future__ import annotations

from pathlib import Path

from stillhouse.contracts.errors import UserError


def check(path: Path | None, suffix: str) -> None:
    """Keeps other files from being replaced by mistake. Raises UserError if an output that is named does not end as its kind does."""
    if path and path.suffix != suffix:
        raise UserError(f"{path} - wanted an output that ends in {suffix} - got {path.suffix or 'no suffix'}")
