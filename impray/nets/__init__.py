"""Networks with a leading `net` axis, one kind per file."""

from __future__ import annotations

from collections.abc import Callable

from impray.nets.base import Layer, Network, Params
from impray.spec import families
from impray.spec.errors import MemberError
from impray.spec.family import BUILT_IN, Implementations
from impray.spec.nets import Kernel, NetSpec

__all__ = ["NETS", "Layer", "Network", "Params", "network_of"]

NETS: Implementations[Callable[..., Network]] = Implementations(families.nets)
"""Kind of network -> function (spec, shape of one input, number of outputs) -> the form that the nets of a pack share."""


def network_of(spec: NetSpec, input_shape: tuple[int, ...], outputs: int) -> Network:
    """The form that nets like `spec` share, on inputs of that shape.

    Raises:  MemberError: its layers are not those that the spec tells of.
    """
    network = NETS.call(type(spec), spec, input_shape, outputs)
    member = families.nets.member(type(spec))
    if member.source == BUILT_IN:
        return network
    tag = families.nets.tag_of(member.spec)
    if not isinstance(network, Network):
        raise MemberError(tag, member.source, f"must give an impray.nets.Network, not {type(network).__name__}")
    told = spec.kernels(input_shape, outputs)
    made = tuple(Kernel(layer.units, layer.inputs, layer.bias is not None) for layer in network.layers)
    if told != made:
        why = f"its `kernels` tells of {_sizes(told)}, and its network has {_sizes(made)}"
        raise MemberError(tag, member.source, why)
    return network


def _sizes(kernels: tuple[Kernel, ...]) -> str:
    return ", ".join(f"{k.inputs} x {k.units}{'' if k.bias else ' without bias'}" for k in kernels) or "no layers"
