"""Files hashed again as they are on the disk, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse.record import stored

_THREADS = 4

Tell = Callable[[int, int], None]
"""Called with the bytes hashed so far and the bytes to be hashed as far as known."""


@dataclass(frozen=True)
class Damage:
    """One damaged file, what was found and done, and whether its bytes are right again."""

    path: str
    text: str
    mended: bool


@dataclass
class Report:
    """What was hashed, what was damaged, and what is named but lies in only one of its two places, or nowhere."""

    files: int = 0
    size: int = 0
    damages: list[Damage] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether all bytes that were found are right now."""
        return all(damage.mended for damage in self.damages)


class Hashes:
    """The MD5 of files as they are on the disk; one that has several names is read once."""

    def __init__(self, report: Report, tell: Tell) -> None:
        self._report, self._tell, self._total = report, tell, 0
        self._known: dict[tuple[int, int], str | None] = {}

    def take(self, paths: Iterable[Path]) -> None:
        """Reads what has not been read yet."""
        fresh: dict[tuple[int, int], tuple[Path, int]] = {}
        for path in paths:
            with suppress(OSError):
                status = path.stat()
                if (key := (status.st_dev, status.st_ino)) not in self._known:
                    fresh[key] = path, status.st_size
        self._total += sum(size for _, size in fresh.values())
        with ThreadPoolExecutor(_THREADS) as pool:
            read = pool.map(stored.md5, [path for path, _ in fresh.values()])
            for (key, (_, size)), md5 in zip(fresh.items(), read, strict=True):
                self._known[key] = md5
                self._report.files, self._report.size = self._report.files + 1, self._report.size + size
                self._tell(self._report.size, self._total)

    def of(self, path: Path) -> str | None:
        """None if nothing is there, "" if it cannot be read."""
        try:
            status = path.stat()
        except OSError:
            return None
        return self._known.get((status.st_dev, status.st_ino), "")
