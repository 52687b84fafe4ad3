"""Networks with a leading `net` axis, one kind per file."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from impray.nets.base import Layer, Network, Params
from impray.spec import families
from impray.spec.errors import MemberError
from impray.spec.family import BUILT_IN, Implementations
from impray.spec.nets import NetSpec

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
    told = _sizes((kernel.inputs, kernel.units, kernel.bias) for kernel in spec.kernels(input_shape, outputs))
    made = _sizes((layer.inputs, layer.units, layer.bias is not None) for layer in network.layers)
    if told != made:
        why = f"its `kernels` tells of {told}, and its network has {made}"
        raise MemberError(tag, member.source, why)
    return network


def _sizes(layers: Iterable[tuple[int, int, bool]]) -> str:
    return (
        ", ".join(f"{inputs} x {units}{'' if bias else ' without bias'}" for inputs, units, bias in layers)
        or "no layers"
    )
