"""full_ranking: where true triples stand among all nodes and all relations of a graph, and not among some that were drawn.

A model that hides what it is asked about sees another graph with each list of candidates. So the rivals of a query come in lists of the
length that the test has, the true triple at the head of each, and what stands before it is added up over the lists: every comparison
is made within one view, as in the test itself. Each query has an order of its own: rivals that all queries of a batch had in common
would lose their edges to all of these, and the true answer would be known by those that it has left. Rivals that are known to be true
are left out ("filtered").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.training.score import EVALUATION_SEED, passes

if TYPE_CHECKING:
    from jaxtyping import Float, Int

HITS = (1, 3, 10)
COLUMNS = {"relation": 1, "node": 2}
"""Which part of a triple each task asks about."""


class Triples(Protocol):
    """An observed graph: three vectors of one length, over `nodes` and `relations`."""

    head: Tensor
    relation: Tensor
    tail: Tensor
    nodes: int
    relations: int


@runtime_checkable
class Asked(Protocol):
    """Lists of candidates, (queries, candidates, 3) with the true triple in column 0, of `node` or `relation`, about one graph."""

    graph: Any
    triples: Tensor
    task: str


def run(pair: Pair[Any], settings: Settings, rng: torch.Generator) -> Metrics:
    """For `node` and `relation`, as far as the test asks about them, and for both models `full_TASK_mrr` and `full_TASK_hits@1`, 3 and 10.

    `full_TASK_rivals` is the mean number of rivals. Nodes are those with an edge in the observed graph of the test. Known to be true are
    its edges, the triples of the test, and those of the validation where that asks about the same graph. Raises UserError where the test
    has no such lists.
    """
    asked = [batch for batch in _drawn(pair.test) if isinstance(batch, Asked) and batch.task in COLUMNS]
    if not asked:
        raise UserError("full_ranking wants a test that asks about nodes or relations of a graph, as `knowledge` does - got another one")
    known = _known(asked, [batch for batch in _drawn(pair.valid) if isinstance(batch, Asked)])
    found: Metrics = {}
    for task in COLUMNS:
        own = [batch for batch in asked if batch.task == task]
        lists = [_lists(batch, _pool(batch.graph, task), known, rng) for batch in own]
        for who, model in pair.models.items() if own else ():
            found |= {f"{who}_full_{task}_{name}": value for name, value in _told(_ranks(pair, model, lists)).items()}
        if own:
            rivals = torch.cat([sum((_rivals(each.triples).sum(1) for each in of_batch), start=torch.tensor(0)) for of_batch in lists])
            found[f"full_{task}_rivals"] = float(rivals.double().mean())
    return found


def _drawn(batches: Batches[Any]) -> Iterator[Any]:
    return batches.draw(torch.Generator().manual_seed(EVALUATION_SEED))


def _pool(graph: Triples, task: str) -> Int[Tensor, " answers"]:
    return torch.arange(graph.relations) if task == "relation" else torch.cat((graph.head, graph.tail)).unique()


def _known(asked: list[Any], valid: list[Any]) -> Int[Tensor, " codes"]:
    """The sorted codes of all that is known to be true of the graph that the test asks about, in both directions."""
    graph = asked[0].graph
    same = [batch for batch in valid if all(torch.equal(_column(batch.graph, name), _column(graph, name)) for name in _PARTS)]
    triples = torch.cat([torch.stack([_column(graph, name) for name in _PARTS], 1), *(batch.triples[:, 0] for batch in asked + same)])
    head, relation, tail = triples.unbind(1)
    inverse = torch.stack((tail, (relation + graph.relations) % (2 * graph.relations), head), 1)
    return _codes(torch.cat((triples, inverse)), graph).unique()


_PARTS = ("head", "relation", "tail")


def _column(graph: Triples, name: str) -> Tensor:
    value: Tensor = getattr(graph, name)
    return value


def _codes(triples: Int[Tensor, "*lists 3"], graph: Triples) -> Int[Tensor, "*lists"]:
    """One number a triple."""
    head, relation, tail = triples.unbind(-1)
    return (head * (2 * graph.relations) + relation) * graph.nodes + tail


def _lists(batch: Any, pool: Int[Tensor, " answers"], known: Int[Tensor, " codes"], rng: torch.Generator) -> list[Any]:
    """Batches of the same queries, each with a part of the pool, drawn anew; the true triple stands in for what is known to be true."""
    true, column = batch.triples[:, :1], COLUMNS[batch.task]
    order = torch.rand(len(true), len(pool), generator=rng).argsort(1)
    lists = []
    for part in pool[order].split(max(1, batch.triples.shape[1] - 1), 1):
        rivals = true.repeat(1, part.shape[1], 1)
        rivals[..., column] = part
        rivals = torch.where(torch.isin(_codes(rivals, batch.graph), known).unsqueeze(-1), true, rivals)
        lists.append(replace(batch, triples=torch.cat((true, rivals), 1)))
    return lists


def _rivals(triples: Int[Tensor, "queries candidates 3"]) -> Tensor:
    """(queries, candidates - 1), bool: what does not stand in for something."""
    return (triples[:, 1:] != triples[:, :1]).any(-1)


def _ranks(pair: Pair[Any], model: nn.Module, lists: list[list[Any]]) -> Float[Tensor, " queries"]:
    """Of each query 1, and one for each rival with a higher score, half of one for each with the same; NaN is the least score."""
    ranks = []
    for of_batch in lists:
        batches = Batches(lambda rng, each=of_batch: iter(each), len(of_batch))  # type: ignore[misc]
        above = [_above(output.prediction, batch.triples) for output, batch in passes(pair.workload, model, batches)]
        ranks.append(1 + torch.stack(above).sum(0).cpu())
    return torch.cat(ranks)


def _above(scores: Float[Tensor, "queries candidates"], triples: Int[Tensor, "queries candidates 3"]) -> Float[Tensor, " queries"]:
    scores = scores.double().nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    true, false = scores[:, :1], scores[:, 1:]
    return (((false > true) + 0.5 * (false == true)) * _rivals(triples)).sum(1)


def _told(rank: Float[Tensor, " queries"]) -> Metrics:
    return {"mrr": float(rank.reciprocal().mean())} | {f"hits@{most}": float((rank <= most).double().mean()) for most in HITS}


EVALUATION = Evaluation(Settings, run)
