"""A small disk for one folder, mounted where only this process and its children see it."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEW_MOUNTS = 0x00020000
"""CLONE_NEWNS of Linux: what is mounted from now on is this process's own."""


@functools.cache
def can_mount() -> bool:
    """Whether a disk in memory can be mounted; where that is not permitted, a limit of the size of a file takes its place."""
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS):
        return False
    with tempfile.TemporaryDirectory() as folder:
        private = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, check=False)
        return private.returncode == 0 and _mount(Path(folder), 1 << 20) and _unmount(Path(folder))


@contextmanager
def small(folder: Path, room: int) -> Iterator[None]:
    """Puts a folder with all that is in it on a disk of its own that has `room` more bytes; afterwards it is back, as it is then."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        kept = Path(name) / "kept"
        shutil.copytree(folder, kept, symlinks=True)
        used = sum(1 + path.lstat().st_size // 4096 for path in folder.rglob("*")) * 4096
        if not _mount(folder, used + room):
            raise RuntimeError(f"{folder} cannot be mounted")
        shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
        try:
            yield
            shutil.rmtree(kept)
            shutil.copytree(folder, kept, symlinks=True)
        finally:
            _unmount(folder)
        shutil.rmtree(folder)
        shutil.copytree(kept, folder, symlinks=True)


def _mount(folder: Path, size: int) -> bool:
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, check=False).returncode
        == 0
    )


def _unmount(folder: Path) -> bool:
    return subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False).returncode == 0
