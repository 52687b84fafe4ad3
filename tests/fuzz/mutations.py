"""Sweeps that are nearly right: shipped ones with wrong types, numbers, keys, nesting, and damaged bytes."""

import random
import re
from copy import deepcopy

import yaml

NUMBERS = [
    0,
    -1,
    1,
    2,
    3,
    2**31,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
    1e-300,
    1e300,
    -0.5,
    float("nan"),
    float("inf"),
    -float("inf"),
]
TEXTS = [
    "",
    " ",
    "yes",
    "a" * 300,
    "b" * 5000,
    "\x00",
    "\U0001f4a5",
    "../../etc",
    "/dev/zero",
    "1e-3",
    "nan",
    "0x10",
    "{",
    "http://[::1",
]
SECRET = "5ecret"
SECRETS = [
    f"https://me:{SECRET}@h/x.npz",
    f"s3://key:{SECRET}@b/x",
    f"https://h/x?X-Amz-Signature={SECRET}",
    f"abfs://h/x?sv=1&sig={SECRET}",
]


def mutated(text: str, rng: random.Random) -> bytes:
    """A sweep file's text with one to three changes."""
    if rng.random() < 0.15:
        return damaged(text.encode(), rng)
    document = yaml.safe_load(text)
    for _ in range(rng.randint(1, 3)):
        _change(document, rng)
    written = yaml.safe_dump(
        document, sort_keys=False, allow_unicode=True, default_flow_style=rng.choice([None, True, False])
    )
    written = re.sub(r"nested(\d+)nested", lambda match: _deep(match, rng), written)
    if rng.random() < 0.1:
        lines = written.splitlines()
        place = rng.randrange(len(lines))
        written = "\n".join([*lines[: place + 1], *lines[place:]])  # a key twice
    return written.encode()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Cut, flipped, repeated or overwritten bytes."""
    content, kind = bytearray(content), rng.randrange(5)
    place = rng.randrange(len(content) or 1)
    if kind == 0:
        return bytes(content[:place])
    if kind == 1:
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        content[place:place] = rng.randbytes(rng.randint(1, 40))
    elif kind == 3:
        content[place:place] = content[max(0, place - 200) : place]
    else:
        content[place : place + 20] = rng.choice([b"\x00", b"\xff", b"[", b"{", b"&a [*a]", b"9"]) * rng.randint(1, 20)
    return bytes(content)


def _change(document: dict, rng: random.Random) -> None:
    places = list(_places(document))
    holder, key = rng.choice(places)
    kind = rng.randrange(9)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(["stepz", "x" * 200, "kind", "data", 7, None, True, 1.5, "a.b", ""])] = _value(rng)
    elif kind == 2 and isinstance(holder, dict):
        holder[f"{key}s"] = holder.pop(key)
    elif kind == 3:
        holder[key] = deepcopy(rng.choice(places)[0])  # a part of it, where another one belongs
    elif kind == 4 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] = holder[key] * rng.choice([-1, 0, 10, 1000, 10**6, 10**12, 10**18, 0.5, 1e-9])
    elif kind == 5:
        holder[key] = [holder[key]] * rng.choice([1, 2, 500])
    else:
        holder[key] = _value(rng)


def _places(value):
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for place in range(len(value)):
            yield value, place
            yield from _places(value[place])


def _value(rng: random.Random):
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind == 3:
        return rng.choice(SECRETS)
    if kind == 4:
        return rng.choice([None, True, False, [], {}, [[]], {"kind": []}, [None], {"low": 1, "high": 1e308}])
    if kind == 5:
        return _nested(rng.choice([3, 40, 80, 400, 3000]))
    return rng.choice(TEXTS)


def _nested(depth: int) -> str:
    """Stands for so many lists and mappings in each other, which PyYAML cannot write: `_deep` puts them in."""
    return f"nested{depth}nested"


def _deep(match: re.Match, rng: random.Random) -> str:
    kinds = [rng.random() < 0.5 for _ in range(int(match[1]))]
    return (
        "".join("{a: " if kind else "[" for kind in kinds)
        + "1"
        + "".join("}" if kind else "]" for kind in reversed(kinds))
    )
