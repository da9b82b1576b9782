"""A file of an installed package is read only if it is the one that was meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pydantic
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.training.packaged import PackagedFile, read_packaged

SOURCE = Path(pydantic.__file__).with_name("version.py")
HASH = hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def test_a_file_is_found_and_checked() -> None:
    path, content = read_packaged("p.json", "pydantic", PackagedFile(path="pydantic/version.py", sha256=HASH))
    assert path.samefile(SOURCE)
    assert content == SOURCE.read_bytes()


@pytest.mark.parametrize(
    ("package", "path", "sha256", "message"),
    [
        ("pydantic", "pydantic/version.py", "abc", f"wanted pydantic/version.py with sha256 abc - got {HASH}"),
        ("pydantic", "pydantic/nowhere", HASH, "wanted pydantic/nowhere of the installed package pydantic - there is none"),
        ("pydantic", "pydantic", HASH, "wanted pydantic of the installed package pydantic - there is none"),
        (
            "no-such-package",
            "a",
            HASH,
            r"wanted a of the package no-such-package - it is not installed - pip install 'stillhouse\[demo\]' brings it",
        ),
    ],
)
def test_what_is_not_there_is_said_with_its_place(package: str, path: str, sha256: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^p.json: files.x - {message}$"):
        read_packaged("p.json: files.x", package, PackagedFile(path=path, sha256=sha256))
