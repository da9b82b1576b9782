"""What results are known by their fingerprint, and how one is put in place again instead of being computed.

A result is noted in `.work/results` when a stage ends; its bytes lie in DVC's cache. The fingerprint and the environment of a result also
stand in the file of metrics beside it, which is in git, so that a colleague's clone knows them too.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, replace
from stillhouse.contracts.raw import content
from stillhouse.record import hashes, process
from stillhouse.runner.fingerprint import Fingerprint

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FOLDER = Path(".work/results")
MADE = "made"
"""The key under which a file of metrics tells fingerprint and environment. Its value is a list, which DVC does not take for a metric."""
_PATIENCE = 20.0
"""Seconds in which bytes that another stage has just made may come to DVC's cache, or to their place."""


@dataclass(frozen=True)
class Result:
    """What a stage made: where, with which hash, in which environment, and the texts beside it (".json", ".csv") that git keeps."""

    stage: str
    path: str
    md5: str
    environment: Mapping[str, str]
    beside: Mapping[str, str]


@cache
def _form() -> TypeAdapter[Result]:
    from pydantic import TypeAdapter  # not needed where nothing is due

    return TypeAdapter(Result)


def note(fingerprint: Fingerprint, stage: str, output: Path) -> None:
    """Notes what lies in place as the result of a fingerprint."""
    md5 = hashes.outputs(stage, Path())[str(output)]
    texts = {suffix: path.read_bytes().decode() for suffix in (".json", ".csv") if (path := _beside(output, suffix)).exists()}
    _write(fingerprint.key, Result(stage, str(output), md5, fingerprint.environment, texts))


def find(key: str) -> Result | None:
    """The result of a fingerprint, if one is known; a file that cannot be read is as good as none."""
    with suppress(ValueError):
        return _form().validate_json(content(FOLDER / f"{key}.json"))
    return None


def adopt(fingerprint: Fingerprint, stage: str, output: Path) -> Result | None:
    """The result in place, if its own file of metrics says that it is of this fingerprint: it came by `git clone` and `dvc pull`.

    The file must be the one that dvc.lock has beside the output: else they are of two results.
    """
    facts = _beside(output, ".json")
    made, locked = told(facts), hashes.locked(stage, Path())
    md5 = locked.get(str(output))
    if md5 is None or made.get("fingerprint") != fingerprint.key or _md5(facts.read_bytes()) != locked.get(str(facts)):
        return None
    texts = {suffix: path.read_bytes().decode() for suffix in (".json", ".csv") if (path := _beside(output, suffix)).exists()}
    environment = {name: value for name, value in made.items() if name != "fingerprint"}
    result = Result(stage, str(output), md5, environment, texts)
    _write(fingerprint.key, result)
    return result


def told(path: Path) -> dict[str, str]:
    """What a file of metrics tells of how its result was made: "fingerprint", "device", packages; {} if it tells nothing."""
    try:
        lines = read_json(path)[MADE] if path.exists() else []
        return dict(str(line).split(" ", 1) for line in lines)
    except (UserError, KeyError, TypeError, ValueError):
        return {}


def telling(fingerprint: Fingerprint) -> list[str]:
    """The inverse of `told`."""
    return [f"fingerprint {fingerprint.key}", *(f"{name} {value}" for name, value in sorted(fingerprint.environment.items()))]


def is_there(result: Result, stage: str, output: Path) -> bool:
    """Whether the bytes of a result can be had, to be put in the place of a stage's output."""
    return hashes.cached(stage, str(output), result.md5, Path()) or Path(result.path).exists()


def put(result: Result, stage: str, output: Path) -> bool:
    """Puts a known result in the place of a stage's output, texts included; False if its bytes are nowhere."""
    deadline = time.monotonic() + _PATIENCE
    while not (hashes.fetch(stage, str(output), result.md5, Path()) or _copied(result, stage, output)):
        if time.monotonic() > deadline or not Path(result.path).exists():
            return False
        time.sleep(0.2)
    for suffix, text in result.beside.items():
        replace(_beside(output, suffix), lambda temporary, text=text: temporary.write_bytes(text.encode()))  # type: ignore[misc]
    return True


def _copied(result: Result, stage: str, output: Path) -> bool:
    """Takes bytes that a stage has just made from where they lie, if they are what they should be: DVC may not have stored them yet."""
    source = Path(result.path)
    if source != output:
        with suppress(OSError):
            shutil.rmtree(output, ignore_errors=True)
            shutil.copytree(source, output)
    if hashes.outputs(stage, Path()).get(str(output)) == result.md5:
        return True
    if source != output:
        shutil.rmtree(output, ignore_errors=True)
    return False


def put_back(stage: str) -> None:
    """Brings back what DVC removed before a stage that then failed: its outputs as dvc.lock has them, as far as they can be had."""
    for path, md5 in hashes.locked(stage, Path()).items():
        if not (Path(path).exists() or hashes.fetch(stage, path, md5, Path()) or hashes.from_git(path, md5)):
            _from_notes(Path(path), md5)


def _from_notes(path: Path, md5: str) -> None:
    """Writes a text that lay beside a known result."""
    known = (find(file.stem) for file in FOLDER.glob("*.json"))
    texts = (text.encode() for result in known if result for text in result.beside.values())
    if (found := next((text for text in texts if _md5(text) == md5), None)) is not None:
        replace(path, lambda temporary: temporary.write_bytes(found))


def _md5(content: bytes) -> str:
    """As dvc.lock names a file's bytes."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@contextmanager
def alone(key: str) -> Iterator[None]:
    """Lets one process at a time make the result of a fingerprint; a second one waits, and then finds it."""
    with process.waiting_lock(FOLDER / f"{key}.lock"):
        yield


def _write(key: str, result: Result) -> None:
    replace(FOLDER / f"{key}.json", lambda temporary: temporary.write_bytes(_form().dump_json(result)))


def _beside(output: Path, suffix: str) -> Path:
    return output.with_name(output.name + suffix)
