"""From a model back to its bytes, and from any bytes forward to the models made of them.

Three witnesses are heard: MLflow has every run with the hashes it read and wrote, `dvc.lock` has what is in place now, and where
both are silent, the `dvc.lock` of some commit may name the bytes. A result that DVC took from its cache, or left as it was, belongs
to the run that first made it.
"""

from __future__ import annotations

from pathlib import Path

from stillhouse.lineage import history, locks, subject
from stillhouse.lineage.links import Link, Links, earliest
from stillhouse.lineage.walk import Backward, Forward, Tree
from stillhouse.record import revision

__all__ = ["Backward", "Tree", "backward", "forward", "read"]


def backward(folder: Path, what: str) -> Tree:
    """What a thing was made of: {"path", "hash", "stage", "run", "commit", "dirty", "time", "parameters", "inputs": [...], ...}.

    `folder` is the project's; `what` a teacher or student, `models:/name/version`, a run, a path or a hash. `inputs` are such
    dictionaries again, without those that come by way of another input; `reads` has all of them. `parameters` differ from
    their defaults (None if nobody wrote them down), `also` are further runs with the same bytes, `missing` says what is not known.

    Raises:
        UserError: `what` names nothing.
    """
    links = read(folder)
    thing, context = subject.resolve(folder, links, what)
    return Backward(folder, links).tree(thing, context)


def forward(folder: Path, what: str) -> Tree:
    """What was made of a thing, in all branches and executions: as `backward`, with `outputs` for `inputs`.

    `models` lists the trained ones; `here` says which are those in the folder now.

    Raises:
        UserError: `what` names nothing.
    """
    links = read(folder)
    thing, _ = subject.resolve(folder, links, what)
    return Forward(links).tree(thing)


def _is_of(run: Link, stage: Link) -> bool:
    """Whether a run made what dvc.lock has for a stage: of the same inputs, or of the same data and with the same metrics beside it.

    A result that was kept after an edit is locked with the code of now. The metrics name the fingerprint of a result. Files that
    settings name, such as given weights, are in the record of a run alone.
    """
    kept = run.stage == stage.stage and run.outputs == stage.outputs and set(stage.read()) <= set(run.read())
    return set(stage.made()) <= set(run.made()) and (kept or run.fingerprint == stage.fingerprint)


def read(folder: Path) -> Links:
    """All that is known in a project's folder.

    Raises:
        UserError: the tracker does not answer, dvc.lock cannot be read, or git refuses the folder because it is another user's.
    """
    revision.head(folder)  # where git refuses, its history would seem empty
    told, executions = history.read(folder)
    here, unknown = set[Link](), list[Link]()
    for stage in locks.here(folder):
        first = earliest(link for link in told if _is_of(link, stage))
        here.add(first or stage)
        if not first:
            unknown.append(stage)
    return Links(told + unknown, frozenset(here), executions)
