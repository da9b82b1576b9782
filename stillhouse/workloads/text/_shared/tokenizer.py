"""How a text becomes numbers: a tokenizer of a local folder, or one that is trained on the training texts; JSON in the prepared data."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import replace
from stillhouse.contracts.raw import content
from stillhouse.contracts.settings import Settings

FILE = "tokenizer.json"
END = "<|endoftext|>"
PAD = "<|pad|>"
_LETTERS = 256
_WITHOUT_SPACE = 1000
"""Characters without a space that are learned from as one word."""
MOST = 1_000_000
"""Tokens that a tokenizer may have."""


class TokenizerSettings(Settings):
    """A byte-level byte-pair encoding of so many tokens that is trained on the training texts, or the one of `path`.

    `path` is a `tokenizer.json`, or a folder that has one, and `sha256` the hash of this file: another tokenizer makes other data.
    """

    vocabulary: int = Field(default=4096, gt=_LETTERS + 2, le=MOST)
    """The number of tokens, special ones included; fewer are learned where the text has no more."""
    path: str | None = None
    sha256: str = ""
    end: str = END
    """The token that stands before each text."""

    @model_validator(mode="after")
    def _held(self) -> TokenizerSettings:
        if self.path is None:
            return self
        try:
            found = hashlib.sha256(content(self.file)).hexdigest()
        except UserError as error:
            remedy = "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)` writes it"
            raise ValueError(f"path should be a {FILE}, or a folder with one - {error}: {remedy}") from None
        if found != self.sha256:
            raise ValueError(f"should name the hash of the tokenizer that is meant: {{path: {self.path}, sha256: {found}}}")
        return self

    @property
    def file(self) -> Path:
        """The file of a tokenizer that is there already."""
        path = Path(str(self.path))
        return path / FILE if path.is_dir() else path


def prepared(settings: TokenizerSettings, texts: Iterable[str], special: tuple[str, ...], folder: Path) -> Any:
    """The tokenizer of the settings, which is put into the folder of prepared data; `texts` are those to train one on."""
    tokenizer = _trained(settings.vocabulary, texts, special) if settings.path is None else opened(settings.file)
    replace(folder / FILE, lambda temporary: temporary.write_text(tokenizer.to_str(pretty=True), encoding="utf-8"))
    return opened(folder / FILE)


def opened(file: Path) -> Any:
    """The tokenizer of a file, for which special tokens in a text are text. Raises UserError if it holds none."""
    library = _library()
    try:
        tokenizer = library.Tokenizer.from_str(content(file).decode())
        tokenizer.encode("a")  # some faults of a file are met here at the earliest
    except (UserError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises nothing more special, and its panics are no Exception
        raise UserError(f"{file} - wanted a tokenizer as JSON - {' '.join(str(error).split())[:200]}") from None
    _require_few(tokenizer, file)
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _require_few(tokenizer: Any, file: Path) -> None:
    """A model has a row of weights for each number up to the highest."""
    known = tokenizer.get_vocab(with_added_tokens=True)
    highest = max(known, key=lambda token: known[token], default="")
    if not known or known[highest] >= MOST:
        got = f"{known[highest]:,} for {highest!r:.60}" if known else "none"
        raise UserError(f"{file} - wanted tokens with numbers below {MOST:,} - got {got}: number them one after the other")


def digest(folder: Path) -> str:
    """The SHA-256 of the tokenizer of prepared data."""
    return hashlib.sha256(content(folder / FILE)).hexdigest()


def size(tokenizer: Any) -> int:
    """How many numbers a model must know: one more than the highest."""
    return 1 + int(max(tokenizer.get_vocab(with_added_tokens=True).values()))


def number(tokenizer: Any, token: str, place: str, setting: str) -> int:
    """The number of a token. Raises UserError, naming the setting that names the token, if there is none."""
    found = tokenizer.token_to_id(token)
    if found is None:
        raise UserError(f"{place} - wanted a tokenizer with the token {token!r} (`{setting}` names another one) - it has none")
    return int(found)


def _trained(vocabulary: int, texts: Iterable[str], special: tuple[str, ...]) -> Any:
    library = _library()
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    tokenizer = library.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(special), initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator((piece for text in texts for piece in _pieces(text)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, tokenizer.token_to_id(END))])
    return tokenizer


def _pieces(text: str) -> Iterator[str]:
    """The text, cut within what has no space for long: each merge of two tokens would look at all of it, which takes hours for a book."""
    start = 0
    for run in re.finditer(rf"\S{{{_WITHOUT_SPACE + 1},}}", text):
        for cut in range(run.start() + _WITHOUT_SPACE, run.end(), _WITHOUT_SPACE):
            yield text[start:cut]
            start = cut
    yield text[start:]


def _library() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
    except ImportError:
        missing = "wanted the package tokenizers, which is not installed"
        raise UserError(f"a workload of texts - {missing}: pip install 'stillhouse[transformers]'") from None
    return tokenizers
