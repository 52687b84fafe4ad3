"""Kinds of networks: one class each, with its parameters and what is meant by them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from impray.spec.nets.base import Kernel, NetSpec
from impray.spec.nets.mlp import Activation, Init, Mlp
from impray.spec.nets.module import LayerSize, Module

__all__ = ["Activation", "Init", "Kernel", "LayerSize", "Mlp", "Module", "Net", "NetSpec"]


def mlp_unless_said(value: object) -> object:
    """A description with its kind: an mlp's may leave it out."""
    return {"kind": "mlp", **value} if isinstance(value, dict) else value


Net = Annotated[Mlp | Module, Field(discriminator="kind"), BeforeValidator(mlp_unless_said)]
