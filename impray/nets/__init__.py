"""Networks with a leading `net` axis, one kind per file."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

from impray.nets.base import Layer, Network, Params
from impray.spec import families
from impray.spec.family import Implementations
from impray.spec.nets import NetSpec

__all__ = ["NETS", "Layer", "Network", "Params"]

NETS: MutableMapping[type[NetSpec], Callable[..., Network]] = Implementations(families.nets)
"""Kind of network -> function (spec, shape of one input, number of outputs) -> the form that the nets of a pack share."""
