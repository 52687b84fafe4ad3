"""Shape and number of classes of data that leave them out, read from headers and labels before anything is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from impray.data.formats import SIZES
from impray.spec.wording import tag_of

_ANY = {"shape": [1, 1], "class_count": 2}  # a spec must have some; what is read does not depend on them


def sizes(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """`shape` and `class_count` of `trial.data`, as its YAML has it; these two need not be in it.

    Only what says which files these are is looked at, so that they are read also where other fields are wrong.

    Returns: nothing where those fields are wrong, which is told by whoever validates them.
    Raises:  DataError: the files are missing or damaged, or do not say it.
    """
    kind = next((kind for kind in SIZES if tag_of(kind) == description.get("kind")), None)
    if kind is None:
        return {}
    named = {name: value for name, value in description.items() if name in kind.sources}
    try:
        spec = kind.model_validate({**named, **_ANY})
    except ValidationError:
        return {}
    of_files = SIZES[kind](spec)
    return {"shape": list(of_files.shape), "class_count": of_files.class_count}
