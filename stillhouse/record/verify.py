"""Every byte that DVC keeps for a project, hashed again, and what has rotted put right: from the cache, the workspace or the remote.

DVC believes a file whose time stamps are as they were, and an object of its cache that is read-only; a disk changes bytes and neither.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from stillhouse.contracts import sums
from stillhouse.contracts.errors import UserError
from stillhouse.record import hashes, stored
from stillhouse.record.rehashed import Damage, Hashes, Report, Tell
from stillhouse.record.stored import Output, Store

ASIDE = Path(".work/rotten")
"""Where rotten objects go that nothing makes again: most of their bytes may still be right."""
_AGAIN = "; it is removed, and `stillhouse run` makes it again"
_NOWHERE = "and no sound copy is in the workspace, the cache or the remote"


def verify(folder: Path, names: Collection[str] | None, *, mend: bool, tell: Tell) -> Report:
    """Hashes what the stages of some names have (None: everything, with all of the cache), and mends it.

    The working folder is `folder`, and nobody may be writing there. Raises UserError if what DVC wrote down cannot be read.
    """
    with stored.opened(folder) as store:
        outputs = [output for output in store.outputs() if names is None or output.stage in names]
        check = _Check(store, outputs, mend=mend, tell=tell)
        check.outputs(store.objects() if names is None else [])
        if names is None:
            check.sources(store.sources())
        return check.report


class _Check:
    """One verification: folders' lists first, since they name the files; then every object, and the files that should be it."""

    def __init__(self, store: Store, outputs: list[Output], *, mend: bool, tell: Tell) -> None:
        self._store, self._outputs, self._mend = store, outputs, mend
        self.report = Report()
        self._hashes = Hashes(self.report, tell)
        self._places: dict[str, list[tuple[Path, Output]]] = defaultdict(list)
        self._sound: set[str] = set()
        self._lost: dict[Output, None] = {}

    def outputs(self, objects: list[str]) -> None:
        """Checks the outputs with their objects, and further objects of the cache."""
        files = {output: self._store.files(output.path) for output in self._outputs}
        lists = {output.oid for output in self._outputs if output.is_folder}
        places = [self._store.place(oid) for oid in {*objects, *lists}]
        self._hashes.take([*(path for found in files.values() for path in found), *places])
        found = {output: self._states(output, files[output]) for output in self._outputs}
        self._objects(sorted(lists), lambda oid: self._list_copy(oid, found), lambda oid: self._list_is_needed(oid, found))
        for output in self._outputs:
            self._spread(output, found[output])
        kept = {oid for oid, places in self._places.items() if any(output.cached for _, output in places)}
        single = kept | set(objects) - lists
        self._hashes.take(self._store.place(oid) for oid in single)
        self._objects(sorted(single), self._copy, self._is_needed)
        for output in self._outputs:
            self._output(output, found[output])
        for output in self._lost:
            _remove(output.path)

    def sources(self, paths: list[Path]) -> None:
        """Checks files of the project that DVC has hashed and does not keep: their hash is the one that DVC would go on believing."""
        self._hashes.take(paths)
        for path in paths:
            believed = self._store.believed(path)
            if believed and self._hashes.of(path) not in (believed, None):
                self._from_git(path, believed)

    def _states(self, output: Output, files: list[Path]) -> dict[str, str]:
        """Path in the output's folder ("." for a file) -> MD5 as it is now."""
        return {path.relative_to(output.path).as_posix(): self._hashes.of(path) or "" for path in files}

    def _spread(self, output: Output, found: dict[str, str]) -> None:
        """Tells where the objects of an output should lie as files."""
        for name, oid in self._names(output, found).items():
            self._places[oid].append((output.path / name, output))

    def _names(self, output: Output, found: dict[str, str]) -> dict[str, str]:
        """What should lie in the output's place, {} if that is not known any more."""
        if not output.is_folder:
            return {".": output.oid}
        if output.oid in self._sound:
            return self._store.listing(output.oid)
        return found if found and stored.listing_name(found) == output.oid else {}

    def _objects(self, oids: Iterable[str], copy: Callable[[str], Callable[[], None] | None], needed: Callable[[str], bool]) -> None:
        """Checks objects of the cache; `copy` writes one again from the workspace if that has it; `needed`: files there have rotted."""
        rotten: list[str] = []
        wanted: list[str] = []
        for oid in oids:
            found = self._hashes.of(self._store.place(oid))
            if found == _bare(oid):
                self._sound.add(oid)
            elif found is not None:
                rotten.append(oid)
                self._rewrite(oid, copy(oid), wanted)
            elif needed(oid):
                wanted.append(oid)
        if wanted and self._mend:
            self._fetch(wanted, set(rotten))

    def _rewrite(self, oid: str, write: Callable[[], None] | None, wanted: list[str]) -> None:
        if not self._mend:
            self._tell_object(oid, "has rotted in the cache", mended=False)
        elif write:
            write()
            self._sound.add(oid)
            self._tell_object(oid, "had rotted in the cache: written again from the workspace", mended=True)
        else:
            self._drop(oid)
            wanted.append(oid)

    def _drop(self, oid: str) -> None:
        """Takes a rotten object out of the cache, so that nothing is ever made of it."""
        if oid in self._places and all(output.made for _, output in self._places[oid]):
            self._store.place(oid).unlink()
        else:
            ASIDE.mkdir(parents=True, exist_ok=True)
            shutil.move(self._store.place(oid), ASIDE / oid)

    def _fetch(self, oids: list[str], rotten: set[str]) -> None:
        why = self._store.pull(oids)
        for oid in oids:
            if stored.md5(self._store.place(oid)) == _bare(oid):
                self._sound.add(oid)
                (ASIDE / oid).unlink(missing_ok=True)
            else:
                self._store.place(oid).unlink(missing_ok=True)  # the remote's has rotted too
            if oid in self._sound and oid in rotten:
                self._tell_object(oid, "had rotted in the cache: fetched from the remote", mended=True)
            elif oid in rotten:
                self._tell_object(oid, f"had rotted in the cache, {_NOWHERE}{f' ({why})' if why else ''}{_kept(oid)}", mended=False)

    def _list_copy(self, oid: str, found: dict[Output, dict[str, str]]) -> Callable[[], None] | None:
        good = [files for output, files in found.items() if output.oid == oid and files and stored.listing_name(files) == oid]
        return (lambda: self._store.keep_listing(good[0], oid)) if good else None

    def _copy(self, oid: str) -> Callable[[], None] | None:
        good = [path for path, _ in self._places[oid] if self._hashes.of(path) == oid] if oid in self._places else []
        return (lambda: self._store.keep(good[0], oid)) if good else None

    def _is_needed(self, oid: str) -> bool:
        return any(self._has_rotted(path, oid, output, self._hashes.of(path)) for path, output in self._places.get(oid, []))

    def _list_is_needed(self, oid: str, found: dict[Output, dict[str, str]]) -> bool:
        """Whether a folder whose list is missing has other files than the list named."""
        return any(output.oid == oid and output.made and files and stored.listing_name(files) != oid for output, files in found.items())

    def _has_rotted(self, path: Path, oid: str, output: Output, found: str | None) -> bool:
        """Whether a file is not what it should be. Data of the user's own that DVC sees to be others have been edited instead."""
        return found not in (oid, None) and (output.made or self._store.believed(path) == oid)

    def _output(self, output: Output, found: dict[str, str]) -> None:
        """Checks an output's files in the workspace, mends them, and compares its folder with the hashes in it."""
        if not found:
            self.report.missing.append(
                f"{_shown(output.path)} is not in the workspace: `dvc checkout` or `dvc pull` brings it, or a run makes it"
            )
            return
        names = self._names(output, found)
        if not names:
            self._give_up(output, output.path, f"the list of its files had rotted, {_NOWHERE}")
        for name, oid in names.items():
            if self._has_rotted(output.path / name, oid, output, found.get(name)):
                self._file(output.path / name, oid, output)
        if absent := names.keys() - found.keys():
            self.report.missing.append(f"{_shown(output.path)} lacks {len(absent)} files: `dvc checkout` brings them, or a run makes them")
        if output.cached and (absent := {oid for oid in {*names.values(), output.oid} if not self._store.place(oid).exists()}):
            self.report.missing.append(
                f"the cache lacks {len(absent)} objects of {_shown(output.path)}: `dvc fetch` or `dvc commit` brings them"
            )
        if output not in self._lost and output.made and names.keys() == found.keys():
            self._own_hashes(output)

    def _file(self, path: Path, oid: str, output: Output) -> None:
        if not self._mend:
            self._tell(path, "has rotted in the workspace", mended=False)
        elif output.cached and oid in self._sound:
            self._store.put(oid, path)
            self._tell(path, "had rotted in the workspace: put back from the cache", mended=True)
        elif output.cached or not self._from_git(path, oid, output):
            self._give_up(output, path, f"had rotted in the workspace, {_NOWHERE}")

    def _from_git(self, path: Path, oid: str, output: Output | None = None) -> bool:
        done = self._mend and hashes.from_git(_shown(path), oid)
        if done:
            self._tell(path, "had rotted in the workspace: put back from git's last commit", mended=True)
        elif output is None:
            self._tell(path, "has rotted: its time stamps are old and its bytes are not", mended=False)
        return done

    def _own_hashes(self, output: Output) -> None:
        """Bytes that rotted before DVC saw them have a hash of DVC's that fits."""
        try:
            sums.check(output.path)
        except UserError:
            self._give_up(output, output.path, f"differs from its {sums.NAME}: it rotted before DVC hashed it")
            if self._mend:
                self._store.place(output.oid).unlink(missing_ok=True)

    def _give_up(self, output: Output, path: Path, text: str) -> None:
        if output.made and self._mend:
            self._lost[output] = None
            text += _AGAIN
        self._tell(path, text if output.made else f"{text}: put it there again from where it came", mended=False)

    def _tell_object(self, oid: str, text: str, *, mended: bool) -> None:
        used = [_shown(path) for path, _ in self._places.get(oid, [])] or [_shown(each.path) for each in self._outputs if each.oid == oid]
        self._tell(self._store.place(oid), f"({used[0]}) {text}" if used else text, mended=mended)

    def _tell(self, path: Path, text: str, *, mended: bool) -> None:
        self.report.damages.append(Damage(_shown(path), text, mended))


def _bare(oid: str) -> str:
    return oid.removesuffix(".dir")


def _kept(oid: str) -> str:
    return f"; its bytes are in {ASIDE / oid}" if (ASIDE / oid).exists() else ""


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _remove(path: Path) -> None:
    """Whole or not at all: a folder that is half there would be a changed output."""
    if path.is_dir():
        gone = Path(".work", f"removed.{os.getpid()}")
        gone.parent.mkdir(exist_ok=True)
        shutil.move(path, gone)
        shutil.rmtree(gone)
    else:
        path.unlink(missing_ok=True)
