"""The family diagrams: their counts, their rule, and that no relation is shared with the test."""

from __future__ import annotations

from stillhouse.workloads.graphs.knowledge.family_diagram import FamilyDiagram, Triples, generate

DIAGRAM = FamilyDiagram(generator="family_diagram_2")


def implied(observed: Triples) -> set[tuple[str, str, str]]:
    """x -any-> y -r-> z implies x -r-> z."""
    return {(first[0], second[1], second[2]) for first in observed for second in observed if first[2] == second[0]}


def test_counts_are_the_published_ones() -> None:
    assert {name: len(triples) for name, triples in generate(DIAGRAM).items()} == {
        "observed": 126,
        "train": 62,
        "valid": 62,
        "test_observed": 252,
        "test": 248,
    }


def test_queries_are_exactly_what_the_rule_implies() -> None:
    parts = generate(DIAGRAM)
    assert set(parts["train"]) | set(parts["valid"]) == implied(parts["observed"])
    assert set(parts["train"]).isdisjoint(parts["valid"])
    assert set(parts["test"]) == implied(parts["test_observed"])


def test_the_test_shares_no_relation_and_no_person() -> None:
    parts = generate(DIAGRAM)
    for columns, count in (((1,), 4), ((0, 2), 254)):
        train, test = ({triple[column] for triple in parts[name] for column in columns} for name in ("observed", "test_observed"))
        assert train.isdisjoint(test)
        assert len(test) == count


def test_the_seed_chooses_the_half_that_is_trained_on() -> None:
    other = generate(DIAGRAM.model_copy(update={"seed": 1}))
    assert other["train"] != generate(DIAGRAM)["train"] == generate(DIAGRAM)["train"]
    assert sorted(other["train"] + other["valid"]) == sorted(generate(DIAGRAM)["train"] + generate(DIAGRAM)["valid"])
