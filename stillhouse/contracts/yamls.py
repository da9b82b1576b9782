"""Text in YAML that is neither nested so deeply nor so long that to read it breaks or takes for ever."""

from __future__ import annotations

from contextlib import suppress

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from stillhouse.contracts.errors import UserError

DEPTH = 50


def require_plain(text: str, place: str, most: int) -> None:
    """Raises UserError, beginning with `place`, at more than `most` values or keys, or where they are nested more than `DEPTH` deep.

    Looks at no values: what is no YAML is left to those who read it.
    """
    depth = 0
    with suppress(YAMLError):
        for number, event in enumerate(YAML(typ="safe").parse(text)):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > DEPTH:
                raise UserError(f"{place} - wanted YAML nested at most {DEPTH} deep - it is nested too deeply")
            if number > most:
                raise UserError(f"{place} - wanted at most {most} values and keys - got more")
