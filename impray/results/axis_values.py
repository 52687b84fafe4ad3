"""Values on an axis: in words, and as places along it. Trials in words: by number and axis values, as every view names them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_MOST = 5  # values of an axis, and numbers that do not follow one another, in words
_WIDEST = 60  # characters of a value


def label(value: object) -> str:
    """An axis value in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def flat(value: object) -> object:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def canonical(text: str) -> str:
    """0.20 as the label of 0.2."""
    try:
        return label(float(text))
    except ValueError:
        return text


def positions(values: Sequence[Any], log: bool = False) -> tuple[list[str], list[float], str]:
    """Labels, places and scale (`linear`, `log`, or `names`: one after the other) of values on an axis."""
    labels = [label(value) for value in values]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        positive = [float(value) for value in values if value > 0]
        wide = bool(positive) and len(positive) == len(values) and max(positive) >= 30 * min(positive)
        return labels, [float(value) for value in values], "log" if log or wide else "linear"
    order = {name: float(place) for place, name in enumerate(dict.fromkeys(labels))}
    return labels, [order[name] for name in labels], "names"


# -- trials -----------------------------------------------------------------------------------------------------------


def trials_in_words(trials: Iterable[tuple[int, Mapping[str, object]]]) -> str:
    """`trial 3 (data.gain=3, prune.fraction=0.2)`; of several, `trials 0-3, 8 (data.gain=0.1, 1, 3; prune.fraction=0.2)`.

    Args:    trials: number, and axis -> value.
    """
    each = sorted(trials, key=lambda trial: trial[0])
    values: dict[str, dict[str, None]] = {}
    for _, of_trial in each:
        for path, value in of_trial.items():
            values.setdefault(path, {})[_short(value)] = None
    told = ("; " if len(each) > 1 else ", ").join(f"{path}={_listed(list(found))}" for path, found in values.items())
    noun = "trial" if len(each) == 1 else "trials"
    return f"{noun} {numbers_in_words([number for number, _ in each])}{f' ({told})' if told else ''}"


def numbers_in_words(numbers: Sequence[int]) -> str:
    """`0-3, 8`: rising numbers, those that follow one another as a range."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return _listed([f"{a}" if a == b else f"{a}, {b}" if b == a + 1 else f"{a}-{b}" for a, b in ranges])


def _listed(words: Sequence[str]) -> str:
    return (
        ", ".join(words)
        if len(words) <= _MOST
        else f"{', '.join(words[: _MOST - 1])} and {len(words) - _MOST + 1} more"
    )


def _short(value: object) -> str:
    """An axis value on one line. Tables hold lists and mappings as JSON, which are written alike."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple, dict)) else label(value)
    text = text.replace('"', "")
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
