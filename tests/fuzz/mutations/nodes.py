"""Mutations of what a JSON or YAML file says: values that are lost, doubled, of another type, huge, no number, or nested without end."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML

_RAW = (
    "NaN",
    "-Infinity",
    "1e999",
    "-1e308",
    "1e-320",
    "9" * 5000,
    "9" * 25,
    "18446744073709551616",
    "-9223372036854775809",
    '"\\ud800"',
    '"a\\u0000b"',
    '"\\u202e\\u0301"',
    '{"a": 1, "a": 2}',
    "[" * 100_000,
    "[" * 990 + "]" * 990,
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 50_000 + "1" + "}" * 50_000,
    "[" + "0," * 200_000 + "0]",
    '"' + "x" * 300_000 + '"',
)
"""Values as text that no JSON library would write."""
_YAML = (
    "&a [*a]",
    "&a {b: *a}",
    "{<<: &a {b: 1}, <<: *a}",
    "!!python/object:os.system [true]",
    "!!binary '@@@'",
    "!!set {a, b}",
    "2001-01-01",
    "2001-99-99",
    "0x1F",
    "1_000",
    "{? [a, b] : c}",
    "{1: 2, null: 3, true: 4}",
    "*nowhere",
    "[&b [x, x, x, x], &c [*b, *b, *b, *b], &d [*c, *c, *c, *c], &e [*d, *d, *d, *d], &f [*e, *e, *e, *e], [*f, *f, *f, *f]]",
    "[&l0 [x], " + ", ".join(f"&l{level + 1} [*l{level}, *l{level}, *l{level}, *l{level}, *l{level}]" for level in range(15)) + "]",
    "[&m0 {a: x}, " + ", ".join(f"&m{level + 1} {{a: *m{level}, b: *m{level}, c: *m{level}}}" for level in range(25)) + "]",
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    0.5,
    2**31,
    2**62,
    10**9,
    10**12,
    -(2**70),
    1e38,
    1e-9,
    "",
    "x",
    "1",
    "nan",
    "../../etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    ".",
    "a\nb",
    "é" * 300,
    "\u2028",
    "y" * 5000,
    [],
    {},
    [[]],
    [None],
    [1.5, "a"],
    {"x": 1},
    {"": None},
    [{}, {}],
)


def json_mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three mutations of the tree of a JSON file; of JSON lines, of the last one."""
    *lines, last = data.strip().split(b"\n") if data.count(b"\n{") else [data]
    tree, raw = _mutated(json.loads(last), rng, _RAW)
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1)))
    mutated = _replaced(text, raw).encode(rng.choice(("utf-8",) * 12 + ("utf-16", "utf-8-sig")), errors="surrogatepass")
    return b"\n".join([*lines, mutated])


def yaml_mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three mutations of the tree of a YAML file."""
    tree, raw = _mutated(YAML(typ="safe", pure=True).load(data), rng, (*_RAW, *_YAML, *_YAML))
    return _replaced(json.dumps(tree, ensure_ascii=False, indent=1, default=str), raw).encode(errors="surrogatepass")


def _replaced(text: str, raw: dict[str, str]) -> str:
    for mark, value in raw.items():
        text = text.replace(f'"{mark}"', value)
    return text


def _mutated(tree: Any, rng: random.Random, texts: tuple[str, ...]) -> tuple[Any, dict[str, str]]:
    """The tree, and what stands for text in it."""
    raw: dict[str, str] = {}
    for number in range(rng.choice((1, 1, 1, 2, 3))):
        holder = {"root": copy.deepcopy(tree)}
        parent, key = rng.choice(list(_places(holder)))
        rng.choice(_CHANGES)(parent, key, rng)
        if rng.random() < 0.25 and (isinstance(parent, list) or key in parent) and not (isinstance(parent, list) and key >= len(parent)):
            parent[key] = f"@{number}@"
            raw[f"@{number}@"] = rng.choice(texts)
        tree = holder.get("root")
    return tree, raw


def _places(node: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value, at most some thousand of them."""
    found: list[tuple[Any, Any]] = []
    waiting = [node]
    while waiting and len(found) < 5000:
        container = waiting.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        found += [(container, key) for key in keys]
        waiting += [container[key] for key in keys if isinstance(container[key], dict | list)]
    return found


def _replace(parent: Any, key: Any, rng: random.Random) -> None:
    parent[key] = copy.deepcopy(rng.choice(_VALUES))


def _remove(parent: Any, key: Any, rng: random.Random) -> None:
    if isinstance(parent, list) or "root" not in parent:
        del parent[key]


def _double(parent: Any, key: Any, rng: random.Random) -> None:
    if isinstance(parent, list):
        parent[key:key] = [copy.deepcopy(parent[key])] * rng.choice((1, 1, 3, 2000))
    else:
        parent[rng.choice((f"{key}2", f"{key}".upper(), "", "é", "x" * 500, "a.b"))] = copy.deepcopy(parent[key])


def _rename(parent: Any, key: Any, rng: random.Random) -> None:
    if isinstance(parent, dict) and "root" not in parent:
        parent[rng.choice((f"{key} ", f"{key}".swapcase(), "", "-1", "9" * 30, "\u00b2", "x" * 3000))] = parent.pop(key)


def _retype(parent: Any, key: Any, rng: random.Random) -> None:
    value = parent[key]
    if isinstance(value, dict):
        parent[key] = list(value.values()) if rng.random() < 0.5 else [[name, item] for name, item in value.items()]
    elif isinstance(value, list):
        parent[key] = {str(index): item for index, item in enumerate(value)} if rng.random() < 0.7 else (value[0] if value else None)
    else:
        parent[key] = rng.choice((str(value), [value], {"value": value}, bool(value)))


def _nest(parent: Any, key: Any, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 90))):
        parent[key] = [parent[key]] if rng.random() < 0.5 else {"a": parent[key]}


def _scale(parent: Any, key: Any, rng: random.Random) -> None:
    value = parent[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        parent[key] = value * rng.choice((-1, 0, 10, 1000, 10**6, 10**9, 0.5, 1e30))
    elif isinstance(value, str):
        parent[key] = rng.choice((value * 1000, value[:-1], value + "\0", value + "\u0301", f" {value}", value.swapcase(), value[::-1]))
    else:
        _remove(parent, key, rng)


def _move(parent: Any, key: Any, rng: random.Random) -> None:
    other, place = rng.choice(_places(parent))
    parent[key] = copy.deepcopy(other[place])


_CHANGES: tuple[Callable[[Any, Any, random.Random], None], ...] = (
    _replace,
    _replace,
    _replace,
    _remove,
    _double,
    _rename,
    _retype,
    _nest,
    _scale,
    _scale,
    _move,
)
