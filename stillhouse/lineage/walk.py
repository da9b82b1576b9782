"""From a thing back to everything it was made of, and forward to everything made of it, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stillhouse.lineage import locks
from stillhouse.lineage.links import Link, Links, Thing, earliest, is_data, is_raw

Tree = dict[str, Any]
UNKNOWN = "no recorded run made these bytes, and no dvc.lock in git names them"
UNTRACKED = "no run is recorded (deleted for good, made elsewhere, or kept from another name); what it read is known from dvc.lock"
DELETED = "its run was deleted in MLflow"


class Backward:
    """`context` are the runs to prefer where several made the same bytes."""

    def __init__(self, folder: Path, links: Links) -> None:
        self._folder, self._links = folder, links
        self._known: dict[tuple[Thing, frozenset[Link]], Tree] = {}

    def tree(self, thing: Thing, context: frozenset[Link]) -> Tree:
        """The thing with the run that made it, and the same for each of its inputs."""
        if (thing, context) not in self._known:
            link = self.origin(thing, context)
            inner = context if link is None or link in context else self._links.together(link)
            inputs = self._links.direct(link) if link else list(self._parts(thing, context))
            tree = describe(thing, link, self._links.makers.get(thing, []))
            if inputs and not link:
                tree["missing"] = None
            self._known[thing, context] = tree | {"inputs": [self.tree(each, inner) for each in inputs]}
        return self._known[thing, context]

    def origin(self, thing: Thing, context: frozenset[Link]) -> Link | None:
        """The first run that made these bytes: of the context if one of it did; as a last resort, what git has in some dvc.lock."""
        makers = self._links.makers.get(thing, [])
        found = earliest(link for link in makers if link in context) or earliest(makers)
        if not found and not is_raw(thing[0]) and not any(self._parts(thing, context)):
            found = locks.committed(self._folder, thing)
            if found:
                self._links.add(found)
        return found

    def _parts(self, thing: Thing, context: frozenset[Link]) -> Iterator[Thing]:
        """What stages have put into a folder that is read as a whole, such as data/reports."""
        for link in sorted(context, key=lambda link: link.stage):
            yield from (made for made in link.made() if made != thing and made[0].startswith(f"{thing[0]}/"))


class Forward:
    """Over all that was ever recorded, in whatever branch or execution."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._known: dict[Thing, Tree] = {}
        self._direct = {link: frozenset(links.direct(link)) for link in links.all}

    def tree(self, thing: Thing) -> Tree:
        """The thing with the run that made it, and the same for everything made of it; `models` lists the trained ones."""
        makers = self._links.makers.get(thing, [])
        tree = self._tree(thing, makers, ())
        if not tree["stage"] and is_raw(thing[0]) and not tree["outputs"]:
            tree["missing"] = self._unread(thing)
        return tree | {"models": list(self._models(tree, set()))}

    def _tree(self, thing: Thing, makers: list[Link], above: tuple[Thing, ...]) -> Tree:
        if thing not in self._known:
            made: dict[Thing, list[Link]] = {}
            for link in self._links.readers.get(thing, ()):
                # Of code a result is always a direct one; of data only if it does not come by way of another input.
                if not is_data(thing[0]) or thing in self._direct[link]:
                    for each in link.made():
                        made.setdefault(each, []).append(link)
            here = any(link in self._links.here for link in makers)
            tree = describe(thing, earliest(makers), makers) | {"here": here}
            outputs = [self._tree(each, by, (*above, thing)) for each, by in made.items() if each not in (*above, thing)]
            self._known[thing] = tree | {"outputs": outputs}
        return self._known[thing]

    def _models(self, tree: Tree, seen: set[Thing]) -> Iterator[Tree]:
        for each in tree["outputs"]:
            thing = each["path"], each["hash"]
            if thing not in seen:
                seen.add(thing)
                if any(link.model for link in self._links.makers[thing]):
                    yield {name: each[name] for name in ("path", "hash", "stage", "run", "commit", "dirty", "here")}
                yield from self._models(each, seen)

    def _unread(self, thing: Thing) -> str:
        others = sorted({md5 for path, md5 in self._links.readers if path == thing[0]})
        return "no recorded run has read these bytes" + (f"; of this path they read {', '.join(others)}" if others else "")


def describe(thing: Thing, link: Link | None, makers: list[Link]) -> Tree:
    """What is known of one thing; `link` is the run that made it, `makers` are all that did."""
    path, md5 = thing
    facts: Tree = {"path": path, "hash": md5, "stage": None, "run": None, "commit": None, "dirty": None, "time": None}
    facts |= {"parameters": None, "code": {}, "reads": {}, "machine": {}, "also": [], "missing": None if link or is_raw(path) else UNKNOWN}
    if not link:
        return facts
    return facts | {
        "stage": link.stage,
        "run": link.run,
        "commit": link.commit,
        "dirty": link.dirty if link.run else None,
        "time": datetime.fromtimestamp(link.started / 1000, UTC).isoformat(timespec="seconds") if link.run else None,
        "parameters": link.parameters,
        "code": {name: value for name, value in link.inputs.items() if not is_data(name)},
        "reads": dict(link.read()),
        "machine": dict(link.machine),
        "also": [other.run for other in makers if other.run and other is not link],
        "missing": UNTRACKED if not link.run else DELETED if link.deleted else None,
    }
