"""What DVC keeps for a project, without trust in its table of known hashes: what is named, what lies where, and how it is put there.

None of what it calls is documented API; tests/cli/test_verify.py holds it to the pinned version in a real repository.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc_data.hashfile.hash import file_md5
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.fs import localfs
from dvc_objects.fs.generic import transfer

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import replace
from stillhouse.record.hashes import sentence

_FOLDER = ".dir"
_NAME = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True)
class Output:
    """Something that dvc.lock or a .dvc file names, with its MD5.

    `cached`: DVC's cache keeps it, else git does. `made`: a stage makes it, so that it can be had again without any copy.
    """

    stage: str
    path: Path
    oid: str
    cached: bool
    made: bool

    @property
    def is_folder(self) -> bool:
        """Whether its object in the cache is the list of a folder's files."""
        return self.oid.endswith(_FOLDER)


def md5(path: Path) -> str | None:
    """The MD5 of a file's bytes as they can be read now: "" if the disk refuses to read it, None if there is no file."""
    try:
        return str(file_md5(str(path), localfs))
    except FileNotFoundError:
        return None
    except OSError:
        return ""


class Store:
    """The repository in a folder."""

    def __init__(self, repo: Repo) -> None:
        self._repo, self._cache = repo, repo.cache.local

    def outputs(self) -> list[Output]:
        """All outputs on this machine with a known hash, those of .dvc files too."""
        found = [out for out in self._repo.index.outs if out.fs.protocol == "local" and out.hash_info.name == "md5" and out.hash_info.value]
        return [
            Output(out.stage.addressing, Path(out.fs_path), out.hash_info.value, bool(out.use_cache), bool(out.stage.cmd)) for out in found
        ]

    def sources(self) -> list[Path]:
        """The files that stages read and nothing in the repository makes: code and raw data that git keeps."""
        deps = [dep for stage in self._repo.index.stages for dep in stage.deps if not isinstance(dep, ParamsDependency)]
        places = {Path(dep.fs_path) for dep in deps if dep.fs.protocol == "local"}
        made = [output.path for output in self.outputs()]
        files = {file for place in places for file in self.files(place)}
        return sorted(file for file in files if not any(file.is_relative_to(path) for path in made))

    def files(self, path: Path) -> list[Path]:
        """The file at a path, or the files in the folder there, without what .dvcignore hides."""
        if path.is_dir():
            return [Path(name) for name in self._repo.dvcignore.find(localfs, str(path))]
        return [path] if path.exists() else []

    def objects(self) -> list[str]:
        """The names of all objects in the cache."""
        root = Path(self._cache.path)
        return [name for path in sorted(root.glob("??/*")) if _NAME.fullmatch(name := path.parent.name + path.name)]

    def place(self, oid: str) -> Path:
        """Where the cache has, or would have, an object."""
        return Path(self._cache.oid_to_path(oid))

    def listing(self, oid: str) -> dict[str, str]:
        """Path -> MD5 of the files in a folder, from the cache's object, whose bytes are known to be right."""
        return {"/".join(key): info.value for key, _, info in Tree.load(self._cache, HashInfo("md5", oid))}

    def believed(self, path: Path) -> str | None:
        """The MD5 that DVC takes a file to have without reading it, None if it would read it."""
        _, known = self._repo.state.get(str(path), localfs)
        return known.value if known else None

    def keep(self, path: Path, oid: str) -> None:
        """Writes an object of the cache from a file with the right bytes."""
        replace(self.place(oid), lambda temporary: shutil.copyfile(path, temporary))
        self._cache.protect(str(self.place(oid)))

    def keep_listing(self, files: Mapping[str, str], oid: str) -> None:
        """Writes a folder's object of the cache from the hashes of its files."""
        replace(self.place(oid), lambda temporary: temporary.write_bytes(_tree(files).as_bytes()))
        self._cache.protect(str(self.place(oid)))

    def put(self, oid: str, path: Path) -> None:
        """Puts an object of the cache in the place of a file, linked or copied as the cache is configured."""
        links = list(self._cache.cache_types)
        replace(path, lambda temporary: transfer(localfs, str(self.place(oid)), localfs, str(temporary), links=links))
        self._repo.state.save(str(path), localfs, HashInfo("md5", oid))

    def pull(self, oids: list[str]) -> str:
        """Fetches objects from the default remote into the cache; returns why it could not, "" if nothing went wrong."""
        try:
            self._repo.cloud.pull([HashInfo("md5", oid) for oid in oids])
        except Exception as error:  # every kind of remote has its own errors
            return " ".join(str(error).split())
        return ""


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """The repository in a folder. Raises UserError if dvc.yaml, dvc.lock or a .dvc file cannot be read."""
    try:
        with Repo(str(folder)) as repo:
            yield Store(repo)
    except DvcException as error:
        raise UserError(sentence(error)) from error


def listing_name(files: Mapping[str, str]) -> str:
    """The name of the object that lists a folder's files; `files`: path in the folder -> MD5."""
    return str(_tree(files).oid)


def _tree(files: Mapping[str, str]) -> Tree:
    tree = Tree.from_list([{"md5": md5, "relpath": path} for path, md5 in files.items()])
    tree.digest()
    return tree


def lock_text(root: Path) -> str:
    """What the dvc.lock of a repository says, empty where there is none; waits for commands of DVC, which empty it before they write."""
    path = root / "dvc.lock"
    with Repo(str(root)) as repo:
        while True:
            with suppress(LockError), lock_repo(repo):
                return path.read_text(encoding="utf-8") if path.exists() else ""
