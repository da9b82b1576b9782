"""Texts made by chance from a small grammar: questions and answers about the people of some towns, one subject a text."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from stillhouse.contracts.settings import Settings
from stillhouse.training.packaged import read_pointer
from stillhouse.workloads.text._shared.document import Document

_NAMES = ("Ada", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Klara", "Leo", "Mia", "Noah", "Olga", "Paul")
_TOWNS = ("Aberdeen", "Bergen", "Cadiz", "Dresden", "Essen", "Ghent", "Haarlem", "Krakow", "Lyon", "Malmo", "Nantes", "Porto")
_TRADES = ("baker", "carpenter", "doctor", "farmer", "gardener", "painter", "sailor", "teacher", "weaver", "writer")
_THINGS = ("apples", "books", "candles", "chairs", "letters", "loaves", "maps", "ropes", "ships", "windows")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "March", "April", "June", "July", "September", "October", "December")

Sentence = Callable[[random.Random], str]


def _person(rng: random.Random) -> str:
    return f"Who is the {rng.choice(_TRADES)} of {rng.choice(_TOWNS)}? It is {rng.choice(_NAMES)}, and nobody else."


def _place(rng: random.Random) -> str:
    return f"Where does {rng.choice(_NAMES)} the {rng.choice(_TRADES)} live? In {rng.choice(_TOWNS)}, near the harbour."


def _number(rng: random.Random) -> str:
    return f"How many {rng.choice(_THINGS)} has {rng.choice(_NAMES)} sold? {rng.randint(2, 99)}, and all of them in {rng.choice(_TOWNS)}."


def _time(rng: random.Random) -> str:
    return f"When will {rng.choice(_NAMES)} bring the {rng.choice(_THINGS)}? On a {rng.choice(_DAYS)} in {rng.choice(_MONTHS)}."


_SUBJECTS: dict[str, Sentence] = {"person": _person, "place": _place, "number": _number, "time": _time}


class GeneratedTexts(Settings):
    """How many texts there are, and of how many sentences each; the subjects take turns and are the classes."""

    generator: Literal["questions"]
    texts: int = Field(gt=2, le=1_000_000)
    sentences: int = Field(gt=0, le=1_000)
    seed: int = 0


def read(raw: Path) -> list[Document]:
    """The texts that a JSON file asks for. Raises UserError at anything else in it."""
    return list(_texts(read_pointer(raw, GeneratedTexts, "generator `questions`, texts, sentences and seed")))


def _texts(settings: GeneratedTexts) -> Iterator[Document]:
    rng = random.Random(settings.seed)
    subjects = list(_SUBJECTS.items())
    for number in range(settings.texts):
        name, sentence = subjects[number % len(subjects)]
        text = " ".join(sentence(rng) for _ in range(settings.sentences))
        yield Document(f"text {number}", text, None, name)
