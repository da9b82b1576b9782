"""What a stage takes along to a node, packed on the head: the commit, what lies on top of it, dvc.lock and the list of packages."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.flows.dvc_command import dvc
from stillhouse.flows.graph import Node
from stillhouse.flows.nodes.job import Packed
from stillhouse.record import hashes, packages, revision, stored
from stillhouse.record.remote import Remote
from stillhouse.record.worktree import git

RAW = "data/raw"


class Packer:
    """Packs for all stages of one execution, and gives the remote each thing once."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError if the project has no commit, not its history, or no remote."""
        self.folder = folder
        self.commit = revision.head(folder)
        if not self.commit:
            raise UserError(f"{folder} - wanted a project with a commit that nodes can have - there is none: git commit")
        if git(folder, "rev-parse", "--is-shallow-repository").strip() == b"true":
            raise UserError(
                f"{folder} - wanted the history of its commit, which nodes get with it - got a shallow clone: git fetch --unshallow"
            )
        self.prefix = git(folder, "rev-parse", "--show-prefix").decode().strip()
        self.project = _project(folder, self.prefix)
        self.remote = Remote(folder, self.project)
        self._given: set[str] = set()
        self._packages = "\n".join(packages.needed()) + "\n"

    def has_raw(self, node: Node) -> bool:
        """Whether all raw data that a stage reads travel with the commit, its patch or the remote."""
        wanted = [path for path in hashes.reads(node.name, self.folder) if Path(path).is_relative_to(RAW)]
        return not wanted or any(name.endswith(".dvc") for name in node.after) or all(self._in_git(path) for path in wanted)

    def _in_git(self, path: str) -> bool:
        return bool(git(self.folder, "ls-files", "--cached", "--others", "--exclude-standard", "--", path))

    def pack(self, node: Node) -> Packed:
        """Gives the remote all that a stage takes along; returns what stands for it."""
        self._bundle()
        before = [name for name in node.after if name not in self._given]
        if before:
            dvc(self.folder, "push", *before)
            self._given.update(before)
        texts = {"patch": self._patch(), "lock": stored.lock_text(self.folder), "packages": self._packages}
        return Packed(self.commit, self.prefix, **{name: self._text(text) for name, text in texts.items()})

    def came(self, node: Node) -> None:
        """What a stage has made need not be given to the remote: it came from there."""
        self._given.add(node.name)

    def _bundle(self) -> None:
        """The history up to the commit, once for each commit."""
        name = f"commits/{self.commit}"
        if name in self._given or self.remote.has(name):
            return
        with tempfile.TemporaryDirectory() as scratch:
            bundle = Path(scratch) / "bundle"
            git(self.folder, "bundle", "create", "--quiet", str(bundle), "HEAD")
            self.remote.put(bundle, name)
        self._given.add(name)

    def _patch(self) -> str:
        """Raises UserError if it cannot be kept."""
        found = revision.take(self.folder, ["."])
        if found.omitted:
            raise UserError(f"{self.folder} - wanted changes that can be sent to a node - {found.omitted}: commit them")
        return found.patch

    def _text(self, text: str) -> str:
        """Its SHA-256, by which the remote has it then."""
        if not text:
            return ""
        name = hashlib.sha256(text.encode()).hexdigest()
        if name not in self._given and not self.remote.has(f"texts/{name}"):
            with tempfile.TemporaryDirectory() as scratch:
                (Path(scratch) / "text").write_bytes(text.encode())
                self.remote.put(Path(scratch) / "text", f"texts/{name}")
        self._given.add(name)
        return name


def _project(folder: Path, prefix: str) -> str:
    """The same for all clones, and another one for another project in the same repository."""
    first = git(folder, "rev-list", "--max-parents=0", "HEAD").decode().split()[-1]
    return hashlib.sha256(f"{first}/{prefix}".encode()).hexdigest()[:16]
