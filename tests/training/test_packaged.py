"""A file of an installed package is read only if it is the one that was meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pydantic
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.training import packaged
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


@pytest.mark.parametrize("path", ["/etc/shadow", "../../../../../../../../etc/shadow", "pydantic/../../x", "/dev/zero", "a\0b"])
def test_a_path_out_of_the_package_is_refused_and_nothing_of_it_is_told(path: str) -> None:
    with pytest.raises(UserError, match=r"^p.json - wanted a path within the folder that .* is installed in - got [^ ]*$"):
        read_packaged("p.json", "pydantic", PackagedFile(path=path, sha256=HASH))


def test_a_file_that_is_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "LARGEST", 10)
    with pytest.raises(UserError, match=r"^p.json - wanted a file of at most 10 bytes - pydantic/version.py has \d+$"):
        read_packaged("p.json", "pydantic", PackagedFile(path="pydantic/version.py", sha256=HASH))
