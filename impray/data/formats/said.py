"""Shape and number of classes of data that leave them out, read from headers and labels before anything is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from impray.data.formats import SIZES
from impray.spec.wording import tag_of


def sizes(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """`shape` and `class_count` of `trial.data`, as its YAML has it but for these two.

    Only what says which files these are is looked at, so that they are read also where other fields are wrong.

    Returns: nothing where those fields are wrong, which is told by whoever validates them.
    Raises:  DataError: the files are missing or damaged, or do not say it.
    """
    kind = next((kind for kind in SIZES if tag_of(kind) == description.get("kind")), None)
    if kind is None:
        return {}
    wanted = {"kind"} | kind.sources | kind.said_by_files
    try:
        spec = kind.model_validate({name: value for name, value in description.items() if name in wanted})
    except ValidationError:
        return {}
    found = SIZES[kind](spec)
    return {"shape": list(found.shape), "class_count": found.class_count}
