"""How fast models write: what is asked, what is told, and what does not depend on a machine's speed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches
from stillhouse.contracts.parts import Pair
from stillhouse.evaluations import generation
from stillhouse.runtimes.hugging_face import converted
from stillhouse.space.blueprint import Architecture, full, groups_of
from stillhouse.training.latency import Latency
from stillhouse.workloads.text.language import WORKLOAD
from stillhouse.workloads.text.language.generate import Prompt, apply
from tests.workloads.text import models

CPU = torch.device("cpu")


def student() -> nn.Module:
    """Without the first of three layers, at which the library's cache looks for its length."""
    kept = dict(full(groups_of(models.build(models.LANGUAGE["llama"]))).kept)
    return models.build(models.LANGUAGE["llama"], Architecture(kept | {"model.layers.blocks": (1, 2)})).eval()


def run(teacher: nn.Module, **settings: Any) -> tuple[dict[str, float], dict[str, str]]:
    none: Any = Batches(lambda rng: iter([]), 0)
    pair = Pair(WORKLOAD, teacher, student(), none, None, CPU, none, none)
    return generation.run(pair, generation.GenerationSettings(**settings), torch.Generator().manual_seed(0)), pair.remarks


def test_a_writer_goes_on_from_its_prompt_as_often_as_it_is_asked() -> None:
    small, prompt = student(), torch.randint(60, (2, 5), generator=torch.Generator().manual_seed(0))
    wanted = torch.cat([apply(small, Prompt(row[None], 7)).prediction.argmax(-1) for row in prompt])
    writer = generation.Writer(converted(small), prompt, 6)
    for _ in range(2):
        assert torch.equal(torch.cat([writer.first, writer.go_on()], 1), wanted)
    assert torch.equal(writer.begin(), wanted[:, :1])
    assert writer.cache.get_seq_length() == 5


def test_tokens_a_second_are_those_of_all_texts_that_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, tuple[int, ...]] = {}

    def timed(calls: dict[str, Any], device: torch.device, **how: Any) -> dict[str, Latency]:
        found: dict[str, Tensor] = {name: call() for name, call in calls.items()}
        asked.update({name: tuple(tokens.shape) for name, tokens in found.items()})
        return {name: Latency(50.0, 1.0, how["rounds"]) for name in calls}

    monkeypatch.setattr(generation, "interleaved", timed)
    found, remarks = run(models.build(models.LANGUAGE["llama"]), prompt=6, batches=(1, 4))
    sizes = {"first_token_ms": (1, 1), "tokens_per_second_1": (1, 10), "tokens_per_second_4": (4, 10)}
    assert asked == {f"{who}_{name}": size for who in ("teacher", "student") for name, size in sizes.items()}
    assert [found[f"student_{name}"] for name in sizes] == [50, 10 / 0.05, 4 * 10 / 0.05]
    assert (found["generation_prompt"], found["generation_tokens"], found["generation_noisy"]) == (6, 10, 0)
    assert not remarks


def test_a_model_that_writes_with_no_cache_is_left_out_with_the_reason() -> None:
    found, remarks = run(nn.Linear(1, 1), rounds=1, seconds=0, batches=(2,), tokens=2)
    assert (found["teacher_generation_refused"], found["student_generation_refused"]) == (1, 0)
    assert found["student_tokens_per_second_2"] > 0
    assert "teacher_tokens_per_second_2" not in found
    assert remarks["teacher_generation"].startswith("generation - wanted a language model of ")
