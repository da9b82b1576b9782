"""FD-2, the family diagrams: a rule that holds for relations never seen, x -any-> y -r-> z implies x -r-> z.

A complete binary tree of ancestors: each person but those of the last generation has a father and a mother. Queries ask
for the grandparents, with the relation of the second hop (arXiv 2302.01313, section 5).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from stillhouse.contracts.settings import Settings

Triples = list[tuple[str, str, str]]


class FamilyDiagram(Settings):
    """Depth 6 gives trees of 127 persons, 126 observed triples and 124 queries."""

    generator: Literal["family_diagram_2"]
    depth: int = Field(6, gt=1, le=16)
    seed: int = Field(42, ge=0)
    """Says which half of the queries is trained on; the other half validates."""


def generate(settings: FamilyDiagram) -> dict[str, Triples]:
    """One tree to train on, and two trees with relations of their own to test on, by the names of the splits."""
    observed, queries = _tree(settings.depth, "", ("1", "2"))
    order = torch.randperm(len(queries), generator=torch.Generator().manual_seed(settings.seed)).tolist()
    first, second = _tree(settings.depth, "a", ("a", "b")), _tree(settings.depth, "x", ("x", "y"))
    return {
        "observed": observed,
        "train": [queries[index] for index in sorted(order[: len(order) // 2])],
        "valid": [queries[index] for index in sorted(order[len(order) // 2 :])],
        "test_observed": first[0] + second[0],
        "test": first[1] + second[1],
    }


def _tree(depth: int, prefix: str, relations: tuple[str, str]) -> tuple[Triples, Triples]:
    """Observed triples and queries; the parents of person i are 2i + 1 and 2i + 2."""
    observed, queries = [], []
    for person in range(2**depth - 1):
        for parent, relation in zip((2 * person + 1, 2 * person + 2), relations, strict=True):
            observed.append((f"{prefix}{person}", relation, f"{prefix}{parent}"))
            if person:
                queries.append((f"{prefix}{(person - 1) // 2}", relation, f"{prefix}{parent}"))
    return observed, queries
