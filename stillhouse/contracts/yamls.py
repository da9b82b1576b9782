"""Text in YAML that is neither nested so deeply nor so long that to read it breaks or takes for ever."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from stillhouse.contracts.errors import UserError

DEPTH = 50


def require_plain(text: str, place: str, most: int, *, expanded: bool = False) -> None:
    """Raises UserError, beginning with `place`, at more than `most` values or keys, or where they are nested more than `DEPTH` deep.

    With `expanded`, what is repeated by its name (`*`) counts as often as it is repeated, and nothing may repeat what it lies in. Looks at
    no values: what is no YAML is left to those who read it.
    """
    seen = _Seen(place, expanded)
    with suppress(YAMLError):
        for event in YAML(typ="safe").parse(text):
            seen.add(event)
            if len(seen.open) + seen.height > DEPTH:
                raise UserError(f"{place} - wanted YAML nested at most {DEPTH} deep - it is nested too deeply")
            if seen.values > most:
                raise UserError(f"{place} - wanted at most {most} values and keys - got more")


@dataclass
class _Seen:
    """What has been read so far: `open` has (name, values before, height) of each collection that has not ended, `known` of named parts
    (values, height); `height` is how deep what was just repeated is nested."""

    place: str
    expanded: bool
    values: int = 0
    height: int = 0
    open: list[tuple[str | None, int, int]] = field(default_factory=list)
    known: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, event: object) -> None:
        """Raises UserError where a part repeats what it lies in."""
        self.height = 0
        if isinstance(event, CollectionStartEvent):
            self.open.append((event.anchor, self.values, 0))
            self.values += 1
        elif isinstance(event, CollectionEndEvent):
            name, before, height = self.open.pop()
            self._ended(name, self.values - before, height + 1)
        elif isinstance(event, ScalarEvent):
            self.values += 1
            self._ended(event.anchor, 1, 0)
        elif isinstance(event, AliasEvent) and self.expanded:
            if event.anchor not in self.known:
                raise UserError(f"{self.place} - wanted no part that repeats what it lies in - got *{event.anchor}")
            values, self.height = self.known[event.anchor]
            self.values += values
            self._ended(None, values, self.height)

    def _ended(self, name: str | None, values: int, height: int) -> None:
        if name is not None:
            self.known[name] = values, height
        if self.open:
            around, before, highest = self.open[-1]
            self.open[-1] = around, before, max(highest, height)
