"""In which order the stages of dvc.yaml can run, and what each of them needs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from dvc.dependency import DatasetDependency

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


def needs(repo: Repo) -> dict[Stage, list[Stage]]:
    """Each stage with those that make what it reads, predecessors first and otherwise as they are written.

    The edges are those of DVC's own graph, without networkx, whose import takes a tenth of a run in which nothing is due.
    """
    made = repo.index.outs_trie
    needed = {stage: list(dict.fromkeys(_makers(stage, made))) for stage in repo.index.stages}
    rank = {stage: index for index, stage in enumerate(needed)}
    sorter = TopologicalSorter(needed)
    try:
        sorter.prepare()
    except CycleError:
        repo.index.check_graph()  # raises DVC's sentence
        raise
    ready: list[tuple[int, Stage]] = []
    order: list[Stage] = []
    while sorter.is_active():
        for stage in sorter.get_ready():
            heapq.heappush(ready, (rank[stage], stage))
        order.append(heapq.heappop(ready)[1])
        sorter.done(order[-1])
    return {stage: needed[stage] for stage in order}


def _makers(stage: Stage, made: Any) -> Iterator[Stage]:
    """`made`: path -> output, as DVC's prefix tree. A part, the whole, or a folder around an output may be what is read."""
    for dep in stage.deps:
        if not (stage.is_repo_import or stage.is_db_import or isinstance(dep, DatasetDependency)):
            place = dep.fs.parts(dep.fs_path)
            yield from (step.value.stage for step in made.prefixes(place))
            if made.has_subtrie(place):
                yield from (out.stage for out in made.values(prefix=place))
