"""generation: how fast teacher and student go on with a text, token by token, with the keys and values before it in a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import nn

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.runtimes.hugging_face import cache_argument, converted
from stillhouse.training.latency import Latency, interleaved

if TYPE_CHECKING:
    from jaxtyping import Int


class GenerationSettings(Settings):
    """How long a text is, how many there are at once, and when there are rounds enough, as for `latency`."""

    prompt: int = Field(64, gt=0)
    """Tokens of the prompt, whose values are drawn; at most half of those that a model sees at once."""
    tokens: int = Field(64, gt=0)
    """Tokens that follow the first one after the prompt, at most the rest of those that a model sees at once."""
    batches: tuple[Annotated[int, Field(gt=0)], ...] = Field((1, 16), min_length=1)
    """Numbers of texts that are gone on with at once."""
    rounds: int = Field(5, gt=0)
    spread: float = Field(0.05, gt=0)
    seconds: float = Field(5.0, ge=0)


class Writer:
    """A network with the cache of a prompt, from which it goes on as often as it is asked."""

    def __init__(self, network: Any, prompt: Int[torch.Tensor, "batch tokens"], wanted: int) -> None:
        self.network, self.prompt, self.wanted = network, prompt, wanted
        self.name = cache_argument(network)
        self.cache: Any = None
        self.first = self.begin()

    def begin(self) -> Int[torch.Tensor, "batch 1"]:
        """Reads the prompt anew, and gives the likeliest token after it."""
        self.cache = None
        self.first = self._next(self.prompt)
        return self.first

    def go_on(self) -> Int[torch.Tensor, "batch wanted"]:
        """The tokens after the first, each the likeliest one; the cache is that of the prompt again."""
        tokens = [self.first]
        for _ in range(self.wanted):
            tokens.append(self._next(tokens[-1]))
        self.cache.crop(-self.wanted)
        return torch.cat(tokens[1:], 1)

    @torch.no_grad()
    def _next(self, token: Int[torch.Tensor, "batch tokens"]) -> Int[torch.Tensor, "batch 1"]:
        returned = self.network(input_ids=token, use_cache=True, logits_to_keep=1, **{self.name: self.cache})
        self.cache = returned[self.name]
        last: torch.Tensor = returned.logits[:, -1]
        return last.argmax(-1, keepdim=True)


def run(pair: Pair[Any], settings: GenerationSettings, rng: torch.Generator) -> Metrics:
    """`first_token_ms` of one prompt, and for each batch, such as 16, the tokens a second of all its texts as `tokens_per_second_16`.

    Medians over the rounds, both models in turns; the prompt's own time is not in the tokens a second. `generation_noisy` is 1 if a spread
    stayed large. Of a model that cannot be asked so there is `generation_refused` alone, which is 1 then, and a remark that says why.
    """
    networks = dict(_networks(pair))
    found = {f"{who}_generation_refused": float(who not in networks) for who in pair.models}
    return found | (_measured(networks, pair.device, settings, rng) if networks else {})


def _networks(pair: Pair[Any]) -> Iterator[tuple[str, Any]]:
    for who, model in pair.models.items():
        try:
            yield who, converted(model).to(pair.device)
        except UserError as error:
            pair.remarks[f"{who}_generation"] = f"generation - {error}"
            print(f"not measured: generation of the {who} - {error}")


def _measured(networks: Mapping[str, nn.Module], device: torch.device, settings: GenerationSettings, rng: torch.Generator) -> Metrics:
    prompt, tokens = _lengths(networks, settings)
    calls, sizes = dict[str, Callable[[], object]](), dict[str, int]()
    for size in dict.fromkeys((1, *settings.batches)):
        drawn = _prompt(networks, size, prompt, rng).to(device)
        for who, network in networks.items():
            if size == 1:
                calls[f"{who}_first_token_ms"] = Writer(network, drawn, tokens).begin
            if size in settings.batches:
                name = f"{who}_tokens_per_second_{size}"
                calls[name], sizes[name] = Writer(network, drawn, tokens).go_on, size * tokens
    times = interleaved(calls, device, rounds=settings.rounds, spread=settings.spread, seconds=settings.seconds)
    return _named(times, sizes) | {
        "generation_noisy": float(any(time.relative > settings.spread for time in times.values())),
        "generation_prompt": float(prompt),
        "generation_tokens": float(tokens),
        "generation_threads": float(torch.get_num_threads()),
    }


def _named(times: Mapping[str, Latency], sizes: Mapping[str, int]) -> Metrics:
    return {name: 1000 * sizes[name] / time.median if name in sizes else time.median for name, time in times.items()}


def _lengths(networks: Mapping[str, Any], settings: GenerationSettings) -> tuple[int, int]:
    """Of the prompt, and of what follows it, for the model that sees less at once."""
    most = min(int(network.config.max_position_embeddings) for network in networks.values())
    prompt = min(settings.prompt, most // 2)
    return prompt, min(settings.tokens, most - prompt)


def _prompt(networks: Mapping[str, Any], size: int, length: int, rng: torch.Generator) -> Int[torch.Tensor, "batch tokens"]:
    known = min(int(network.config.vocab_size) for network in networks.values())
    return torch.randint(known, (size, length), generator=rng)


EVALUATION = Evaluation(GenerationSettings, run)
