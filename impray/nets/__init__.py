"""Networks with a leading `net` axis, one kind per file."""

from __future__ import annotations

from collections.abc import Callable

from impray.nets import mlp, module
from impray.nets.base import Layer, Network, Params
from impray.spec.nets import Mlp, Module, NetSpec

__all__ = ["NETS", "Layer", "Network", "Params"]

NETS: dict[type[NetSpec], Callable[..., Network]] = {
    Mlp: mlp.architecture,
    Module: module.architecture,
}
"""Kind of network -> function (spec, shape of one input, number of outputs) -> the form that the nets of a pack share."""
