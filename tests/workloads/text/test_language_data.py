"""From raw texts to windows of tokens: no byte is lost, none is counted twice, and only training text is learned from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.training.files import read_parquet
from stillhouse.workloads.text._shared import tokenizer
from stillhouse.workloads.text.language import WORKLOAD
from stillhouse.workloads.text.language.cover import cover
from stillhouse.workloads.text.language.sample import UNSCORED, windows
from tests.workloads.text.raws import TEXTS, folder, prepared, split_folder


def test_bytes_words_and_lines_of_a_text_are_covered_once() -> None:
    text = "ab  é\n\u2003x\U0001f600 y"
    every = cover(text, range(1, len(text) + 1))
    assert every.sum(1).tolist() == [len(text.encode()), len(text.split()), text.count("\n")]
    assert every[0].tolist() == [1, 1, 1, 1, 2, 1, 3, 1, 4, 1, 1]
    assert every[1].tolist() == [0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1]
    # Two tokens of one character, and letters after the last token.
    assert cover(text, [4, 5, 5, 8]).tolist() == [[4, 2, 0, 11], [1, 1, 0, 2], [0, 0, 0, 1]]


def test_prepared_streams_are_the_texts_again(tmp_path: Path) -> None:
    facts = prepared(split_folder(tmp_path / "raw"), tmp_path / "p")
    known = tokenizer.opened(tmp_path / "p/tokenizer.json")
    columns = read_parquet(tmp_path / "p/train.parquet")
    token = torch.as_tensor(columns["token"])
    starts = (token == facts["end"]).nonzero().flatten().tolist()
    pieces = [token[first + 1 : last].tolist() for first, last in zip(starts, [*starts[1:], len(token)], strict=True)]
    assert [known.decode(piece, skip_special_tokens=False) for piece in pieces] == TEXTS
    joined = "".join(TEXTS)
    assert facts["splits"]["train"] == {
        "texts": 4,
        "tokens": sum(map(len, pieces)),
        "bytes": len(joined.encode()),
        "words": sum(len(text.split()) for text in TEXTS),
        "lines": joined.count("\n"),
    }
    assert facts["tokenizer"] == hashlib.sha256((tmp_path / "p/tokenizer.json").read_bytes()).hexdigest()


def test_words_that_only_other_splits_have_change_no_token(tmp_path: Path) -> None:
    one = prepared(split_folder(tmp_path / "one"), tmp_path / "a")
    planted = ["xylophone " * 50]
    two = prepared(split_folder(tmp_path / "two", valid=planted, test=planted), tmp_path / "b")
    three = prepared(split_folder(tmp_path / "three", train=[*TEXTS, *planted]), tmp_path / "c")
    assert (tmp_path / "a/train.parquet").read_bytes() == (tmp_path / "b/train.parquet").read_bytes()
    assert one["tokenizer"] == two["tokenizer"] != three["tokenizer"]


def test_a_tokenizer_of_ones_own_is_held_to_its_hash_and_must_lose_nothing(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    raw = split_folder(tmp_path / "raw")
    prepared(raw, tmp_path / "a")
    file = tmp_path / "a/tokenizer.json"
    with pytest.raises(ValueError, match=r"should name the hash of the tokenizer that is meant: \{path: .*, sha256: "):
        tokenizer.TokenizerSettings(path=str(file))
    given = {"path": str(tmp_path / "a"), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert prepared(raw, tmp_path / "b", tokenizer=given)["tokenizer"] == given["sha256"]
    with pytest.raises(UserError, match=r"wanted a tokenizer with the token '</s>' \(`prepare.tokenizer.end` names another one\)"):
        prepared(raw, tmp_path / "c", tokenizer=given | {"end": "</s>"})
    words = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "words.json"))
    lossy = {"path": str(tmp_path / "words.json"), "sha256": hashlib.sha256((tmp_path / "words.json").read_bytes()).hexdigest()}
    with pytest.raises(UserError, match=r"0.txt - wanted a tokenizer from whose tokens a text can be read again"):
        prepared(raw, tmp_path / "d", tokenizer=lossy)
    file.write_text("{}")
    with pytest.raises(UserError, match="wanted a tokenizer as JSON"):
        tokenizer.opened(file)


def test_a_split_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wanted some text in the split valid"):
        prepared(split_folder(tmp_path / "raw", valid=[""]), tmp_path / "p")


@pytest.mark.parametrize(("targets", "context", "stride"), [(10, 10, 10), (11, 4, 4), (23, 8, 3), (7, 7, 2), (9, 4, 1)])
def test_windows_score_each_target_once_and_lie_within_the_text(targets: int, context: int, stride: int) -> None:
    first, fresh = windows(targets, context, stride)
    scored = [place for start, new in zip(first.tolist(), fresh.tolist(), strict=True) for place in range(start + new, start + context)]
    assert scored == list(range(targets))
    assert int(first[-1]) + context == targets
    assert first[1:-1].tolist() == [stride * number for number in range(1, len(first) - 1)]


@pytest.mark.parametrize("context", [5, 8, 1000])
def test_packing_loses_no_token_and_scores_count_each_byte_once(tmp_path: Path, context: int) -> None:
    facts = prepared(split_folder(tmp_path / "raw"), tmp_path / "p")
    data = WORKLOAD.load(WORKLOAD.data_settings(context=context, stride=2, batch_size=3), tmp_path / "p", test=True)
    token = torch.as_tensor(read_parquet(tmp_path / "p/train.parquet")["token"]).long()
    learned = torch.cat([batch.target.flatten() for batch in data.train.draw(torch.Generator().manual_seed(0))])
    assert torch.equal(learned[learned != UNSCORED].sort().values, token[1:].sort().values)
    batches = list(data.valid.draw(torch.Generator()))
    said = facts["splits"]["valid"]
    assert sum(batch.covered for batch in batches).tolist() == [said["bytes"], said["words"], said["lines"]]
    target = torch.cat([batch.target.flatten() for batch in batches])
    assert int((target != UNSCORED).sum()) == said["tokens"]
    assert facts["end"] not in target


def test_no_stride_leaves_a_gap() -> None:
    with pytest.raises(ValueError, match="stride should be at most context"):
        WORKLOAD.data_settings(context=8, stride=9)


def test_a_text_of_several_megabytes_is_prepared_in_seconds(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", {f"{split}.txt": "word " * 200_000 for split in ("train", "valid", "test")})
    assert prepared(raw, tmp_path / "p")["splits"]["train"]["bytes"] == 1_000_000
