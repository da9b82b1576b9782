"""What nodes hand to each other through the project's DVC remote: files beside DVC's own, and objects by their hash.

Nothing that it calls of DVC is documented API; tests/record/test_remote.py holds it to the pinned version with a real remote.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dvc.config import RemoteConfigError
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import has_password, hide

FOLDER, FOLDER_OBJECT = "stillhouse", ".dir"


class Unreachable(UserError):
    """The remote cannot be used, perhaps not for long."""


class Remote:
    """The default remote of a DVC repository, and the folder in it for one project of that name."""

    def __init__(self, folder: Path, project: str) -> None:
        """Raises UserError if the project has no default remote, or none that this machine can use."""
        self._repo = Repo(str(folder))
        try:
            remote = self._repo.cloud.get_remote()
            self._fs: Any = remote.fs
        except (DvcException, RemoteConfigError) as error:
            raise UserError(f"{folder} - wanted a remote that nodes share - {_short(error)} - dvc remote add -d NAME ADDRESS") from None
        except ImportError as error:
            raise UserError(f"{folder} - wanted a remote that this machine can use - {_short(error)}: pip install it") from None
        self._top = str(remote.fs.join(remote.path, FOLDER, project))
        self.settings = _settings(self._repo, str(remote.name), str(remote.path) if remote.fs.protocol == "local" else "")
        """What DVC must be told of it on another machine: "name", "url" and options, without secrets."""

    def has(self, name: str) -> bool:
        """Whether a file is there. Raises Unreachable if the remote cannot be reached, as all of these do."""
        return bool(self._ask(lambda: self._fs.exists(self._path(name))))

    def put(self, source: Path, name: str) -> None:
        """Gives it a file; a reader sees all of it or nothing."""
        place, partial = self._path(name), self._path(f"{name}.{uuid.uuid4().hex[:8]}")

        def write() -> None:
            self._fs.makedirs(self._fs.parent(place), exist_ok=True)
            self._fs.put_file(str(source), partial)
            self._fs.move(partial, place)

        self._ask(write)

    def get(self, name: str, place: Path) -> None:
        """Takes a file from it."""
        place.parent.mkdir(parents=True, exist_ok=True)
        self._ask(lambda: self._fs.get_file(self._path(name), str(place)))

    def names(self, folder: str) -> list[str]:
        """The names of all files in one of its folders and those within it, as seen from there, sorted."""

        def look() -> list[str]:
            place = self._path(folder)
            found = self._fs.find(place) if self._fs.exists(place) else []
            return sorted("/".join(self._fs.relparts(path, place)) for path in found)

        return list(self._ask(look))

    def remove(self, name: str) -> None:
        """Removes a file or folder, if it is there."""

        def remove() -> None:
            if self._fs.exists(self._path(name)):
                self._fs.remove(list(self._fs.find(self._path(name))) or [self._path(name)])

        self._ask(remove)

    def fetch(self, hashes: Mapping[str, str]) -> None:
        """Brings objects to DVC's cache by their MD5, folders with all their files. `hashes`: path -> MD5; the paths are for messages.

        Raises UserError if the remote lacks one.
        """
        for path, md5 in hashes.items():
            self._pull(path, [HashInfo("md5", md5)])
            if md5.endswith(FOLDER_OBJECT):
                tree = Tree.load(self._repo.cache.local, HashInfo("md5", md5))
                self._pull(path, [found for _, _, found in tree if found])

    def _pull(self, path: str, objects: Sequence[HashInfo]) -> None:
        self._ask(lambda: self._repo.cloud.pull(objects))
        if not all(self._repo.cache.local.exists(found.value) for found in objects):
            raise UserError(f"the remote {self.settings['name']} lacks bytes of {path}, which a node should have pushed")

    def _path(self, name: str) -> str:
        return str(self._fs.join(self._top, *name.split("/")))

    def _ask(self, question: Any) -> Any:
        try:
            return question()
        except Exception as error:  # each kind of remote has a library with errors of its own
            raise Unreachable(f"the remote {self.settings['name']} cannot be used: {_short(error)}: `dvc push` says more") from None


def configure(folder: Path, settings: Mapping[str, str], cache: Path | None = None) -> None:
    """Gives the repository in a folder, made if there is none, a default remote and a place for its cache, in its local settings."""
    repo = Repo(str(folder)) if (folder / ".dvc").exists() else Repo.init(str(folder), no_scm=True)
    options = {name: value for name, value in settings.items() if name != "name"}
    with repo, repo.config.edit("local") as config:
        config["remote"][settings["name"]] = options
        config["core"]["remote"] = settings["name"]
        if cache:
            config["cache"]["dir"] = str(cache)


def moved(folder: Path, way: Literal["push", "pull"], stages: Sequence[str]) -> bool:
    """Whether DVC has brought the outputs of stages to the default remote of the repository in a folder, or from there to their places.

    Stages of its dvc.yaml by their names, .dvc files by their paths in it.
    """
    place = folder.resolve()  # DVC would look for them from the working folder of this process
    targets = [str(place / name) if name.endswith(".dvc") else f"{place / 'dvc.yaml'}:{name}" for name in stages]
    try:
        with Repo(str(place)) as repo:
            getattr(repo, way)(targets=targets)
    except Exception:  # of DVC, or of the library for that kind of remote: its own command has words for each
        return False
    return True


def _settings(repo: Repo, name: str, local: str) -> dict[str, str]:
    """Raises UserError if the address holds a password: nodes have their own."""
    written = dict(repo.config.load_one("repo").get("remote", {}).get(name, {}))
    address = local or str(written.get("url") or repo.config["remote"][name]["url"])
    if has_password(address):
        raise UserError(f".dvc/config - wanted the remote's address without a password - got {hide(address)} - set it on each machine")
    return {"name": name, **{key: str(value) for key, value in written.items()}, "url": address}


def _short(error: Exception) -> str:
    return hide(" ".join(str(error).split()))[:300]
