"""The readers that are fuzzed: a valid input of each form, and how it is read."""

from __future__ import annotations

from tests.fuzz import graphs, models, pictures, project, queues, static_graphs, static_nodes, texts
from tests.fuzz.reader import Reader

READERS: dict[str, Reader] = {
    **queues.READERS,
    **graphs.READERS,
    **static_nodes.READERS,
    **static_graphs.READERS,
    **project.READERS,
    **pictures.READERS,
    **texts.READERS,
    **models.READERS,
}
