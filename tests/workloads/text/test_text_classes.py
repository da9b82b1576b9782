"""Texts with classes: prepared, batched and scored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.training.files import read_parquet
from stillhouse.training.labels import HIDDEN
from stillhouse.workloads.text import language, text_classes
from stillhouse.workloads.text._shared import tokenizer
from stillhouse.workloads.text._shared.document import Document, known_tests
from stillhouse.workloads.text.text_classes.scoring import macro_f1
from tests.workloads.text.raws import QUESTIONS, folder, jsonl, prepared, questions

WORKLOAD = text_classes.WORKLOAD


def test_every_text_is_in_one_batch_with_its_class_and_its_mask(tmp_path: Path) -> None:
    place = questions(tmp_path)
    facts, known = read_json(place / "facts.json"), tokenizer.opened(place / "tokenizer.json")
    assert facts["names"] == ["When", "Where", "Who"]
    data = WORKLOAD.load(WORKLOAD.data_settings(batch_size=5), place, test=True)
    assert data.test is not None
    seen = []
    for batches in (data.train, data.valid, data.test):
        for batch in batches.draw(torch.Generator().manual_seed(0)):
            assert (batch.token[batch.mask == 0] == facts["pad"]).all()
            for token, mask, label in zip(batch.token, batch.mask, batch.label, strict=True):
                ids = token[: int(mask.sum())].tolist()
                assert ids[0] == known.token_to_id("<|endoftext|>")
                seen.append({"text": known.decode(ids), "kind": facts["names"][int(label)]})
    assert sorted(map(str, seen)) == sorted(map(str, QUESTIONS))


def test_some_labels_are_known_and_other_texts_ride_along_without_theirs(tmp_path: Path) -> None:
    place = questions(tmp_path)
    every = next(iter(WORKLOAD.load(WORKLOAD.data_settings(batch_size=50), place).train.draw(torch.Generator())))
    counts = every.label.bincount()
    settings = WORKLOAD.data_settings(train_limit=0.5, batch_size=2, unlabelled=3)
    batches = list(WORKLOAD.load(settings, place).train.draw(torch.Generator().manual_seed(0)))
    assert all((batch.label[:-3] != HIDDEN).all() and (batch.label[-3:] == HIDDEN).all() for batch in batches)
    alone = list(WORKLOAD.load(WORKLOAD.data_settings(train_limit=0.5), place).train.draw(torch.Generator()))
    assert torch.cat([batch.label for batch in alone]).bincount().tolist() == [max(1, round(0.5 * int(count))) for count in counts]
    first = batches[0]
    logits = torch.randn(len(first.label), 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(WORKLOAD.loss(Output(logits, "classes"), first), logits)
    assert gradient.any(1).tolist() == (first.label != HIDDEN).tolist() == WORKLOAD.shown(first).known.tolist()
    assert WORKLOAD.split is not None
    assert sum(part.counted for part in WORKLOAD.split(first, 2)) == len(first.label) - 3


def test_long_texts_lose_their_end_and_are_counted(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", {"q.jsonl": jsonl([row | {"text": row["text"] * 9} for row in QUESTIONS])})
    (tmp_path / "p").mkdir()
    settings = WORKLOAD.prepare_settings.model_validate({"length": 7, "read": {"label": "kind"}, "tokenizer": {"vocabulary": 300}})
    facts = WORKLOAD.prepare(settings, raw, tmp_path / "p", torch.Generator().manual_seed(0))
    assert facts["shortened_texts"] == len(QUESTIONS)
    assert set(torch.as_tensor(read_parquet(tmp_path / "p/train.parquet")["tokens"]).tolist()) == {7}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"text": "a"}], "q.jsonl:1 - wanted the class of each text"),
        ([{"text": "a", "kind": "x", "split": name} for name in ("train", "valid", "test")], "wanted two classes at least"),
        (
            [{"text": "a", "kind": kind, "split": name} for kind, name in ((1, "train"), ("x", "valid"), (1, "test"))],
            "all names or all whole numbers",
        ),
        (
            [{"text": "a", "kind": kind, "split": name} for kind, name in (("x", "train"), ("y", "train"), ("x", "valid"), ("z", "test"))],
            "wanted training texts of each class - there is none of {'z'}",
        ),
        (
            [{"text": "a", "kind": kind, "split": name} for name in ("train", "valid", "test") for kind in ("x", "x ")],
            "wanted classes whose names can be told apart - got 'x' and 'x '",
        ),
    ],
)
def test_classes_that_cannot_be_learned_are_told(tmp_path: Path, rows: list[dict[str, object]], told: str) -> None:
    with pytest.raises(UserError) as error:
        prepared(folder(tmp_path / "raw", {"q.jsonl": jsonl(rows)}), tmp_path / "p", text_classes, read={"label": "kind"})
    assert told in str(error.value)


def test_minus_one_among_classes_is_told(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": "a b", "label": label, "split": name} for name in ("train", "valid", "test") for label in (-1, 0, 1)
    ]
    with pytest.warns(UserWarning, match="raw: -1 is taken for a class"):
        prepared(folder(tmp_path / "raw", {"q.jsonl": jsonl(rows)}), tmp_path / "p", text_classes)


def test_test_texts_that_are_trained_on_are_counted(tmp_path: Path) -> None:
    rows = [{"text": f"{split == 'valid'} {kind}", "label": kind, "split": split} for split in ("train", "valid", "test") for kind in "xyz"]
    raw = folder(tmp_path / "raw", {"q.jsonl": jsonl(rows)})
    for part in (text_classes, language):
        settings = part.WORKLOAD.prepare_settings.model_validate({"tokenizer": {"vocabulary": 300}})
        counts = part.WORKLOAD.prepare(settings, raw, tmp_path / part.__name__, torch.Generator().manual_seed(0))
        assert counts["known_test_texts"] == 3
    assert not known_tests({"train": [Document("", "a")], "valid": [], "test": [Document("", "b")]})


def test_scores_of_known_predictions() -> None:
    """F1 of the classes is 2/3, 1 and 0 (predicted once, never true); class 3 does not occur."""
    wanted, found = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    assert macro_f1(found, wanted) == pytest.approx((2 / 3 + 1 + 0) / 3)
    logits = torch.nn.functional.one_hot(found, 4).double()
    batch = text_classes.Batch(torch.zeros(4, 1, dtype=torch.int64), torch.ones(4, 1, dtype=torch.int64), wanted)
    scores = WORKLOAD.score([(Output(logits, "classes"), batch)])
    assert list(scores) == ["accuracy", "macro_f1", "cross_entropy"]
    assert scores["accuracy"] == 0.75
    assert WORKLOAD.higher_is_better
