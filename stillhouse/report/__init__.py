"""All results on one page that needs nothing but itself: no request leaves it, so it can be mailed, archived and read on a phone."""

from __future__ import annotations

import os
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.report import facts, page

__all__ = ["write"]


def write(folder: Path, output: Path) -> Path:
    """Writes the page about the project in `folder`, with what changed since the page that is there now; returns its path.

    Raises:
        UserError: there are no results yet, or the file cannot be written.
    """
    found = facts.read(folder)
    text = page.render(found, facts.last(output))
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(output)
    except OSError as error:
        raise UserError(f"{output} - wanted a place to write to - {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return output
