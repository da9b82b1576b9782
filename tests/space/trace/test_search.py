"""Searches and a distillation on a network that knows nothing of them."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.nn.functional import cross_entropy

import stillhouse
from stillhouse.space import cost
from tests.space.trace.handmade import Dense

FIT = {"epochs": 2, "learning_rate": 0.01}
SETTINGS = {
    "dms": {"fit": FIT, "structure_learning_rate": 0.05},
    "hesso": {"fit": FIT},
    "uniform": {},
    "random": {"draws": 2, "band": 0.4, "fit": FIT},
    "zico": {"candidates": 3, "batches": 2, "band": 0.4},
}


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    batches = [(torch.randn(10, 3, 8, 8), torch.randint(3, (10,))) for _ in range(4)]
    model = Dense()
    return stillhouse.Teacher(
        model,
        stillhouse.builder(Dense, (torch.rand(2, 3, 8, 8),)),
        batches,
        batches,
        lambda output, batch: cross_entropy(output.prediction, batch[1]),
        lambda outputs: {
            "accuracy": torch.cat([output.prediction.argmax(-1) == batch[1] for output, batch in outputs]).float().mean().item()
        },
    )


@pytest.mark.parametrize("method", SETTINGS)
def test_a_search_finds_a_smaller_network_of_the_same_class(teacher, method):
    before = {name: value.clone() for name, value in teacher.model.state_dict().items()}
    found = stillhouse.search(teacher, share=0.5, method=method, settings=SETTINGS[method])
    full = teacher.build(None).eval()
    batch = teacher.valid[0][0]
    ratio = cost.total(cost.macs(found.model, lambda: found.model(batch))) / cost.total(cost.macs(full, lambda: full(batch)))
    assert 0.2 < ratio <= 0.5
    assert type(found.model) is Dense
    assert found.model(batch).shape == (10, 3)
    assert all(torch.equal(value, teacher.model.state_dict()[name]) for name, value in before.items())
    assert not hasattr(teacher.model, "blueprint")


def test_a_student_learns_from_the_teacher_with_inherited_or_fresh_weights(teacher):
    found = stillhouse.search(teacher, share=0.5, method="uniform", settings={})
    for start in ("inherited", "fresh"):
        student = stillhouse.distill(teacher, found, losses=[{"loss": "logits"}], fit=FIT, start=start)
        assert student.model.state_dict().keys() == found.model.state_dict().keys()
        assert student.metrics["valid_accuracy"] >= 0.0
    fresh = teacher.build(found.architecture).state_dict()
    again = teacher.build(found.architecture).state_dict()
    assert not all(torch.equal(fresh[name], again[name]) for name in fresh), "each is initialised anew"


def test_heads_of_an_attention_are_searched_and_its_cost_is_no_secret():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.space.trace.libraries import LIBRARIES

    make, example, *_ = LIBRARIES["ViT"]
    torch.manual_seed(0)
    pictures = torch.randn(4, *example["pixel_values"].shape[1:])
    batches = [(pictures, torch.randint(2, (4,)))]
    vit = stillhouse.Teacher(
        make(),
        stillhouse.builder(make, (pictures,)),
        batches,
        batches,
        lambda output, batch: cross_entropy(output.prediction, batch[1]),
        lambda outputs: {"entropy": sum(float(cross_entropy(output.prediction, batch[1])) for output, batch in outputs)},
        higher_is_better=False,
        apply=lambda model, batch: model(batch[0]).logits,
    )
    found = stillhouse.search(vit, share=0.5, settings=SETTINGS["dms"])
    assert found.metrics["cost"] <= found.metrics["budget"]
    assert {name: kept for name, kept in found.architecture.counts().items() if "heads" in name}
