"""How a sweep that leaves out what its files and factories say gets it: what loading is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sizes_in_files(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """See `impray.data.formats.said`, which is imported when a sweep needs it: torch, which comes with it, takes seconds."""
    from impray.data.formats.said import sizes

    return sizes(description)


def layers_of_factory(
    factory: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int
) -> list[dict[str, Any]]:
    """See `impray.nets.factory.sizes`. The factory is code that the user chose by naming it in the sweep; it is imported here."""
    from impray.nets.factory import sizes

    return sizes(factory, arguments, input_shape, outputs)
