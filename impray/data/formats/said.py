"""Shape and number of classes of data that leave them out, read from headers and labels before anything is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from impray.data.formats import SIZES
from impray.spec.wording import tag_of


def sizes(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """`shape` and `class_count` of `trial.data`, as its YAML has it but for these two.

    Returns: nothing where the rest of the description is wrong, which is told by whoever validates it.
    Raises:  DataError: the files are missing or damaged, or do not say it.
    """
    kind = next((kind for kind in SIZES if tag_of(kind) == description.get("kind")), None)
    if kind is None:
        return {}
    try:
        spec = kind.model_validate(description)
    except ValidationError:
        return {}
    found = SIZES[kind](spec)
    return {"shape": list(found.shape), "class_count": found.class_count}
