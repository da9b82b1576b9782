"""A page as a picture, by the Chromium of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from stillhouse.contracts.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
SIZE = (1100, 1500)
"""Width and height in pixels; what is below is left out."""
SECONDS = 120


def picture(page: Path, output: Path) -> Path:
    """Writes the upper part of the page as a PNG; returns its path.

    Raises:
        UserError: there is no Chromium on the PATH, or it draws nothing.
    """
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if not browser:
        raise UserError(f"a picture wants a Chromium on the PATH: one of {', '.join(NAMES)}")
    partial = output.with_name(f".{output.stem}.partial.png").absolute()
    done = _drawn(browser, page, partial)
    if done.returncode or not partial.exists():
        raise UserError(f"{output} - wanted a place for a picture - {(done.stderr.strip().splitlines() or [browser])[-1]}")
    partial.replace(output)
    return output


def _drawn(browser: str, page: Path, output: Path) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as profile:
        # Without its sandbox it also runs in containers; the page is ours and forbids every request.
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        places = [f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={output}", page.absolute().as_uri()]
        try:
            return subprocess.run([browser, *options, *places], capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise UserError(f"{browser} has drawn nothing in {SECONDS} s") from None
