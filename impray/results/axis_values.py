"""Values on an axis: in words, and as places along it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


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
