"""Kinds of networks: one class each, with its parameters and what is meant by them."""

from __future__ import annotations

from impray.spec.nets.base import Kernel, NetSpec
from impray.spec.nets.linear import LinearInit, LinearNet
from impray.spec.nets.mlp import Activation, Init, Mlp
from impray.spec.nets.module import LayerSize, Module

__all__ = ["Activation", "Init", "Kernel", "LayerSize", "LinearInit", "LinearNet", "Mlp", "Module", "NetSpec"]
