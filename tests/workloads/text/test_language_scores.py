"""Bits per byte and perplexities, in closed form and against a computation token by token."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from stillhouse.contracts.output import Output
from stillhouse.training.files import read_parquet
from stillhouse.training.score import score
from stillhouse.workloads.text.language import WORKLOAD
from stillhouse.workloads.text.language.scoring import bits_per_byte, perplexity
from tests.workloads.text.models import LANGUAGE, build
from tests.workloads.text.raws import prepared, split_folder

WIKITEXT_BYTES, WIKITEXT_TOKENS, WIKITEXT_WORDS = 1_121_681, 217_646, 213_886


def test_conversions_of_known_sums() -> None:
    total = 3.25 * 271_828
    assert perplexity(total, 271_828) == pytest.approx(25.7903399172, rel=1e-10)
    assert bits_per_byte(total, 1_019_997) == pytest.approx(1.2495487238, rel=1e-10)
    assert perplexity(1e6, WIKITEXT_TOKENS) == pytest.approx(98.9502250854, rel=1e-10)
    assert perplexity(1e6, WIKITEXT_WORDS) == pytest.approx(107.2741624583, rel=1e-10)
    nats = 1.5 * math.log(2) * WIKITEXT_BYTES
    assert bits_per_byte(nats, WIKITEXT_BYTES) == pytest.approx(1.5)
    assert perplexity(nats, WIKITEXT_TOKENS) == pytest.approx(212.3855491319, rel=1e-10)
    assert perplexity(nats, WIKITEXT_WORDS) == pytest.approx(233.3643758786, rel=1e-10)
    assert bits_per_byte(math.log(965.1) * WIKITEXT_TOKENS, WIKITEXT_BYTES) == pytest.approx(1.9237722698, rel=1e-10)


class Uniform(nn.Module):
    """Every token is as likely as any other."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, input_ids: torch.Tensor) -> Output:
        return Output(self.weight.expand(*input_ids.shape, -1).clone(), "classes")


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_vocabulary(tmp_path: Path) -> None:
    facts = prepared(split_folder(tmp_path / "raw"), tmp_path / "p")
    data = WORKLOAD.load(WORKLOAD.data_settings(context=16, stride=8), tmp_path / "p")
    found, said = score(WORKLOAD, Uniform(facts["vocabulary"]), data.valid), facts["splits"]["valid"]
    assert next(iter(found)) == "bits_per_byte"
    assert not WORKLOAD.higher_is_better
    assert found["bits_per_byte"] == pytest.approx(said["tokens"] * math.log2(facts["vocabulary"]) / said["bytes"], rel=1e-6)
    assert found["perplexity"] == pytest.approx(facts["vocabulary"], rel=1e-6)
    assert found["word_perplexity"] == pytest.approx(facts["vocabulary"] ** (said["tokens"] / (said["words"] + said["lines"])), rel=1e-5)
    batch = next(iter(data.valid.draw(torch.Generator())))
    loss = WORKLOAD.loss(WORKLOAD.apply(Uniform(facts["vocabulary"]), batch), batch).detach()
    assert float(loss) == pytest.approx(math.log(facts["vocabulary"]))


@pytest.mark.parametrize(("context", "stride"), [(12, 12), (12, 5), (12, 1)])
def test_scores_with_a_stride_are_those_of_one_token_after_another(tmp_path: Path, context: int, stride: int) -> None:
    facts = prepared(split_folder(tmp_path / "raw"), tmp_path / "p")
    data = WORKLOAD.load(WORKLOAD.data_settings(context=context, stride=stride, evaluation_batch_size=3), tmp_path / "p")
    model = build(LANGUAGE["llama"], vocabulary=facts["vocabulary"], context=context).double().eval()
    token = torch.as_tensor(read_parquet(tmp_path / "p/valid.parquet")["token"]).long()
    last = len(token) - 1 - context
    total = 0.0
    for place in range(1, len(token)):
        if token[place] != facts["end"]:
            start = min(max(0, -(-(place - context) // stride) * stride), last)
            with torch.no_grad():
                logits = model(input_ids=token[None, start:place]).prediction[0, -1]
            total += float(cross_entropy(logits, token[place]))
    found, said = score(WORKLOAD, model, data.valid), facts["splits"]["valid"]
    assert found["bits_per_byte"] == pytest.approx(bits_per_byte(total, said["bytes"]), rel=1e-6)
    assert found["perplexity"] == pytest.approx(perplexity(total, said["tokens"]), rel=1e-6)
