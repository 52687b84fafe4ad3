"""Networks with a leading `net` axis, one kind per file."""

from __future__ import annotations

from types import ModuleType

from impray.nets import mlp
from impray.spec.net import Mlp

NETS: dict[type[Mlp], ModuleType] = {
    Mlp: mlp,
}
