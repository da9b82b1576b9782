"""Models asked by tables: prompts are continued, texts classified."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from torch import nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.training import table
from stillhouse.workloads.text import language, text_classes
from stillhouse.workloads.text._shared import tokenizer
from tests.workloads.text.models import BERT, LANGUAGE, build
from tests.workloads.text.raws import prepared, questions, split_folder


class Next(nn.Module):
    """Each token is followed by the one of the next number, and more than four tokens are never seen."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.weight, self.longest = nn.Parameter(torch.eye(vocabulary)), 0
        self.config = nn.Module()
        self.config.max_position_embeddings = 4  # type: ignore[assignment]

    def forward(self, input_ids: torch.Tensor) -> Output:
        self.longest = max(self.longest, input_ids.shape[1])
        return Output(self.weight[(input_ids + 1) % len(self.weight)], "classes")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    prepared(split_folder(tmp_path / "raw"), tmp_path / "p")
    (tmp_path / "context").mkdir()
    language.TABLE.keep(tmp_path / "p", tmp_path / "context")
    return tmp_path / "context"


def asked(context: Path, network: nn.Module, rows: pa.Table) -> list[str]:
    parts = table.predictions(language.TABLE, language.WORKLOAD, network, context, rows)
    return pa.concat_tables(parts)["continuation"].to_pylist()


def test_a_prompt_is_continued_with_the_likeliest_tokens(context: Path) -> None:
    known = tokenizer.opened(context / "tokenizer.json")
    network = Next(tokenizer.size(known))
    first = known.encode("the cat", add_special_tokens=False).ids[-1]
    wanted = [known.decode([first + step for step in range(1, count + 1)]) for count in (7, 2)]
    assert asked(context, network, pa.table({"text": ["the cat", "the cat"], "tokens": [7, 2]})) == wanted
    assert network.longest == 4
    with pytest.raises(UserError, match=r"^row 1 - wanted 1 to 4096 as tokens - got 0$"):
        asked(context, network, pa.table({"text": ["a", "a"], "tokens": [1, 0]}))


def test_what_is_generated_is_what_hugging_face_generates(context: Path) -> None:
    known = tokenizer.opened(context / "tokenizer.json")
    model = build(LANGUAGE["llama"], vocabulary=tokenizer.size(known), context=64).eval()
    prompt = torch.tensor([[0, *known.encode("The dog").ids]])
    found = language.apply(model, language.generate.Prompt(prompt, 12)).prediction.argmax(-1)
    plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict())
    wanted = plain.eval().generate(prompt, max_new_tokens=12, min_new_tokens=12, do_sample=False, use_cache=True)
    assert torch.equal(found, wanted[:, prompt.shape[1] :])


def test_windows_that_a_model_is_not_made_for_are_refused() -> None:
    token = torch.zeros(1, 5, dtype=torch.int64)
    with pytest.raises(UserError, match=r"data.context - wanted at most 4, the tokens that this model is made for - got 5"):
        language.apply(Next(8), language.sample.Batch(token, token, torch.zeros(3, dtype=torch.int64)))


def test_rows_of_texts_are_classified_whatever_stands_beside_them(tmp_path: Path) -> None:
    place = questions(tmp_path)
    (tmp_path / "context").mkdir()
    text_classes.TABLE.keep(place, tmp_path / "context")
    sizes = text_classes.load(text_classes.DataSettings(), place).sizes
    model = build(BERT, vocabulary=sizes["vocabulary"], context=sizes["length"])

    def found(*texts: str) -> list[dict[str, object]]:
        parts = table.predictions(text_classes.TABLE, text_classes.WORKLOAD, model, tmp_path / "context", pa.table({"text": texts}))
        return pa.concat_tables(parts).to_pylist()

    alone, beside = found("Who is it 3?"), found("Who is it 3?", "When is it? " * 9)
    assert alone[0]["class"] == beside[0]["class"] in ("Who", "Where", "When")
    assert alone[0]["probability"] == pytest.approx(beside[0]["probability"], abs=1e-6)
    assert sum(alone[0]["probabilities"]) == pytest.approx(1.0)  # type: ignore[arg-type]
