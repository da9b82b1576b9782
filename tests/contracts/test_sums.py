"""A folder that knows its own hashes tells what has become of its files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.contracts import sums
from stillhouse.contracts.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "teacher"
    for name in ("model.safetensors", "context/train rows.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    sums.write(folder)
    return folder


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def test_a_folder_as_it_was_written_passes_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    sums.check(folder)
    shutil.copytree(folder, tmp_path / "copy")
    sums.check(tmp_path / "copy")
    sums.check(tmp_path / "no such folder")


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is not installed")
def test_the_usual_tool_reads_the_hashes(folder: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums.NAME], cwd=folder, check=True)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: flip(folder / "model.safetensors"), r"model\.safetensors no longer has the bytes"),
        (lambda folder: (folder / "context/train rows.parquet").unlink(), r"context/train rows\.parquet is missing"),
        (lambda folder: (folder / "extra").touch(), "extra was not there when the folder was written"),
        (lambda folder: flip(folder / sums.NAME), "SHA256SUMS holds something else|no longer has the bytes"),
        (lambda folder: (folder / sums.NAME).write_bytes(b"\xff\xfe"), "SHA256SUMS holds something else"),
    ],
)
def test_whatever_changed_is_named(folder: Path, damage: Callable[[Path], object], sentence: str) -> None:
    damage(folder)
    with pytest.raises(UserError, match=sentence + ".*: make or fetch the folder again; .*`stillhouse verify`"):
        sums.check(folder)
