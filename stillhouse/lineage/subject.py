"""What the reader means: a teacher or student, a registered model, a run, a path or a hash."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import md5_of
from stillhouse.lineage import history
from stillhouse.lineage.links import Link, Links, Thing, is_raw

Subject = tuple[Thing, frozenset[Link]]
"""A thing, and the runs that it belongs together with."""


def resolve(folder: Path, links: Links, what: str) -> Subject:
    """The thing that `what` names.

    Raises:
        UserError: nothing does, or more than one thing.
    """
    if what.startswith("models:/"):
        return _version(folder, links, what)
    ways: tuple[Callable[[Path, Links, str], Subject | None], ...] = (_named, _path, _run, _hash)
    for way in ways:
        if found := way(folder, links, what):
            return found
    names = sorted({link.stage.partition("@")[2] for link in links.all if link.model})
    raise UserError(
        f"{what!r} is no teacher or student that has been made ({', '.join(names) or 'none'}), no finished run, no path and no hash here"
    )


def _version(folder: Path, links: Links, what: str) -> Subject:
    known = history.ask(folder, "version", what)
    thing = known["path"], known["md5"]
    link = links.by_run.get(known["run"] or "")
    return thing, links.together(link) | {link} if link else frozenset()


def _named(folder: Path, links: Links, what: str) -> Subject | None:
    places = [f"data/{what}/{kind}" for kind in ("student", "teacher")]
    for place in places:
        for link in links.here:
            if place in link.outputs:
                return (place, link.outputs[place]), links.here
    latest = history.newest(links.all, [f"distill@{what}", f"teach@{what}"])
    return _main(latest, links) if latest else None


def _path(folder: Path, links: Links, what: str) -> Subject | None:
    # From where the reader stands, or else from the project's folder.
    seen = [path for path in (Path(what).resolve(), (folder / what).resolve()) if path.is_relative_to(folder.resolve())]
    if not seen:
        return None
    path = next((each for each in seen if each.exists()), seen[0])
    name = path.relative_to(folder.resolve()).as_posix()
    if is_raw(name) and path.is_file():
        return (name, md5_of(path)), links.here
    # An input may be of another time: of a stage that has not run since what it needs was made anew.
    known = [link.inputs for link in links.here] + [link.outputs for link in links.here]
    found = {place: md5 for hashes in known for place, md5 in hashes.items()}
    for place in (name, *(parent.as_posix() for parent in Path(name).parents)):
        if place in found:
            return (place, found[place]), links.here
    if path.exists() and path != folder.resolve():
        raise UserError(f"{what} is nothing that dvc.lock knows: it was neither read nor written by a stage that has run")
    return None


def _run(folder: Path, links: Links, what: str) -> Subject | None:
    if not re.fullmatch(r"[0-9a-f]{6,32}", what):
        return None
    found = [run for run in {*links.by_run, *links.executions} if run.startswith(what)]
    if len(found) > 1:
        raise UserError(f"{what} is the beginning of {len(found)} runs: {', '.join(sorted(found)[:5])}; give more of it")
    if not found:
        return None
    if found[0] not in links.by_run:
        stages = [f"{links.by_run[run].stage} {run}" for run in links.executions[found[0]] if run in links.by_run]
        raise UserError(f"{found[0]} is an execution; name one of the runs that it was about: {', '.join(sorted(stages))}")
    return _main(links.by_run[found[0]], links)


def _hash(folder: Path, links: Links, what: str) -> Subject | None:
    if not re.fullmatch(r"[0-9a-f]{6,32}(\.dir)?", what):
        return None
    found = {thing for thing in links.things() if thing[1].startswith(what)}
    if len({md5 for _, md5 in found}) > 1:
        raise UserError(
            f"{what} is the beginning of {len(found)} hashes: {', '.join(sorted(md5 for _, md5 in found)[:5])}; give more of it"
        )
    return (min(found), frozenset()) if found else None


def _main(link: Link, links: Links) -> Subject:
    """The output of a run that is no metric."""
    if not link.made():
        raise UserError(f"run {link.run} of {link.stage} has written nothing that is known")
    return link.made()[0], links.together(link) | {link}
