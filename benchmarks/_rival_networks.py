"""Small networks of Hugging Face with their data: two residual ones and a transformer of pictures, and one of questions."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from stillhouse.contracts.data import Batches, Data, Metrics
from stillhouse.contracts.output import Output
from stillhouse.training.files import read_parquet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Batch = dict[str, Tensor]
Split = dict[str, Tensor]
"""Names of a network's arguments, and `labels`: (rows, ...)"""
TEST_BATCH = 500


@dataclass(frozen=True)
class Loader:
    """The batches of a split, the same list each time or shuffled by torch's own generator, whole batches alone."""

    split: Split
    size: int
    shuffled: bool = False

    def __len__(self) -> int:
        rows = len(self.split["labels"])
        return rows // self.size if self.shuffled else -(-rows // self.size)

    def __iter__(self) -> Iterator[Batch]:
        rows = len(self.split["labels"])
        order = torch.randperm(rows) if self.shuffled else torch.arange(rows)
        for index in order.split(self.size)[: len(self)]:
            yield {name: values[index] for name, values in self.split.items()}

    def batches(self) -> Batches[Batch]:
        """The same in the form that a training takes."""

        def draw(rng: torch.Generator) -> Iterator[Batch]:
            with torch.random.fork_rng([]):
                torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
                found = list(self)
            yield from found

        return Batches(draw, len(self))


@dataclass(frozen=True)
class Subject:
    """A network to be pruned, with its splits; it is the task of its own training."""

    factory: Callable[[], nn.Module]
    train: Loader
    valid: Loader
    test: Loader
    higher_is_better: bool = True
    split: None = None
    """One device trains it."""

    @property
    def data(self) -> Data[Batch]:
        """Training and validation."""
        return Data(self.train.batches(), self.valid.batches())

    @property
    def example(self) -> Batch:
        """What a network is called with: two rows."""
        return {name: values[:2] for name, values in self.valid.split.items() if name != "labels"}

    @staticmethod
    def apply(model: nn.Module, batch: Batch) -> Output:
        """The logits of a batch."""
        return Output(model(**{name: values for name, values in batch.items() if name != "labels"}).logits, "classes")

    @staticmethod
    def loss(output: Output, batch: Batch) -> Tensor:
        """Cross-entropy."""
        return cross_entropy(output.prediction, batch["labels"])

    @staticmethod
    def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
        """Accuracy."""
        right = torch.cat([output.prediction.argmax(-1) == batch["labels"] for output, batch in outputs])
        return {"accuracy": float(right.float().mean())}


def subject(name: str, data: Path, counts: dict[str, int], batch_size: int) -> Subject:
    """One of `NETWORKS`; `counts` are how many rows of `train` and of `valid` are used, the test split is whole."""
    read, make = NETWORKS[name]
    splits = read(data, counts)
    train = Loader(splits["train"], batch_size, shuffled=True)
    return Subject(make, train, Loader(splits["valid"], TEST_BATCH), Loader(splits["test"], TEST_BATCH))


def _pictures(file: str, shrink: int) -> Callable[[Path, dict[str, int]], dict[str, Split]]:
    def read(data: Path, counts: dict[str, int]) -> dict[str, Split]:
        columns = read_parquet(data / file)
        own, label = np.asarray(columns["split"]), torch.as_tensor(np.asarray(columns["label"]), dtype=torch.long)
        splits = {}
        for title, key in (("train", "train"), ("valid", "val"), ("test", "test")):
            rows = np.flatnonzero(own == key)[: counts.get(title)]
            pixels = torch.stack([_pixels(columns["image"][row]) for row in rows])
            splits[title] = {"pixel_values": avg_pool2d(pixels, shrink) if shrink > 1 else pixels, "labels": label[rows]}
        return splits

    return read


def _pixels(image: bytes) -> Tensor:
    """(channels, height, width), about of mean 0 and deviation 1."""
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(image)), dtype=np.float32))
    pixels = pixels.permute(2, 0, 1) if pixels.dim() == 3 else pixels[None]
    return (pixels - 100) / 80


def _questions(data: Path, counts: dict[str, int]) -> dict[str, Split]:
    columns = read_parquet(data / "text-classes" / "text-classes.parquet")
    own, name = np.asarray(columns["split"]), np.asarray(columns["set"])
    rows = {title: np.flatnonzero((own == title) & (name == "trec"))[: counts.get(title)] for title in ("train", "valid", "test")}
    tokenizer = _tokenizer([columns["text"][row] for row in rows["train"]])
    label = torch.as_tensor(np.asarray(columns["label"]), dtype=torch.long)
    splits = {}
    for title, chosen in rows.items():
        encoded = tokenizer.encode_batch([columns["text"][row] for row in chosen])
        ids, mask = (torch.tensor([getattr(text, kind) for text in encoded]) for kind in ("ids", "attention_mask"))
        splits[title] = {"input_ids": ids, "attention_mask": mask, "labels": label[chosen]}
    return splits


def _tokenizer(texts: list[str]) -> Tokenizer:
    """Pieces of words in lower case, learnt from the training texts; every text becomes 16 of them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=WORDS, special_tokens=["[PAD]", "[UNK]"], show_progress=False)
    )
    tokenizer.enable_padding(length=TOKENS)
    tokenizer.enable_truncation(TOKENS)
    return tokenizer


WORDS, TOKENS = 1000, 16


def _resnet(channels: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import transformers as hf

        sizes: dict[str, Any] = {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [2, 2], "layer_type": "basic"}
        return hf.ResNetForImageClassification(hf.ResNetConfig(num_channels=channels, num_labels=10, **sizes))

    return make


def _vit() -> nn.Module:
    import transformers as hf

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64, "patch_size": 7}
    return hf.ViTForImageClassification(hf.ViTConfig(image_size=28, num_channels=1, num_labels=10, **sizes))


def _bert() -> nn.Module:
    import transformers as hf

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    return hf.BertForSequenceClassification(hf.BertConfig(vocab_size=WORDS, max_position_embeddings=TOKENS, num_labels=6, **sizes))


_FASHION, _CIFAR = "fashion-mnist/fashion-mnist.parquet", "cifar10-jpeg/cifar10-jpeg.parquet"
NETWORKS: dict[str, tuple[Callable[[Path, dict[str, int]], dict[str, Split]], Callable[[], nn.Module]]] = {
    "ResNet, fashion-mnist": (_pictures(_FASHION, 2), _resnet(1)),
    "ViT, fashion-mnist": (_pictures(_FASHION, 1), _vit),
    "BERT, trec": (_questions, _bert),
    "ResNet, cifar10-jpeg": (_pictures(_CIFAR, 2), _resnet(3)),
}
"""Name -> how its data are read, and a new network."""
