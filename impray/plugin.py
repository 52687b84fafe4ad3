"""What a plugin is written with: one Python file, or a package, with members of impray's families; see docs/plugins.md.

    class Sparsity(MeasureSpec):
        "Share of a unit's inputs that the mask removes."
        reads = frozenset({"mask"})
        unit_columns = (Column("sparsity", "float", "share", "share of the unit's inputs that are removed"),)

    def sparsity(asked, state): ...

    PLUGIN = Plugin(version="1", measures={"sparsity": Member(Sparsity, sparsity)})

Free of torch. What members return (`impray.measures.Readings`, say) is in the packages that run them.
"""

from impray.spec.base import Spec
from impray.spec.data import DataSpec
from impray.spec.errors import Problem
from impray.spec.family import Member
from impray.spec.measure import Column, MeasureSpec
from impray.spec.nets import Init, Kernel, Mlp, NetSpec
from impray.spec.plugins.declared import Plugin
from impray.spec.rules import RuleSpec
from impray.spec.training import Sgd, StepsSpec, TrainingSpec

__all__ = [
    "Column",
    "DataSpec",
    "Init",
    "Kernel",
    "MeasureSpec",
    "Member",
    "Mlp",
    "NetSpec",
    "Plugin",
    "Problem",
    "RuleSpec",
    "Sgd",
    "Spec",
    "StepsSpec",
    "TrainingSpec",
]
