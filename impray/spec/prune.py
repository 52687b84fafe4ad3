"""How masks come about: what is ranked with what, how much goes each round, where weights rewind to."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.base import Spec

Method = Literal["imp", "oneshot", "random", "cavity", "cavity_lowest"]


class CavityRule(Spec):
    """What the methods `cavity` and `cavity_lowest` rank: cavity scores (Redman et al. 2025, eq. 5) on training inputs."""

    at: Annotated[
        Literal["start", "end"],
        Field(description="scores of theta(rewind) * m(n-1), as the paper's; or of the weights after training them"),
    ] = "start"
    within: Annotated[
        Literal["layer", "unit"],
        Field(description="rank the scope's scores together (as imp ranks weights), or take equal shares of each unit"),
    ] = "layer"
    rescore: Annotated[
        int, Field(ge=1, description="prune a round's share in so many equal parts, with new scores before each")
    ] = 1
    samples: Annotated[int, Field(ge=16, description="training inputs, drawn as batches are, in each round anew")] = (
        4000
    )


class Prune(Spec):
    """One round removes round(fraction * kept) of each scope's kept weights, the smallest magnitudes first, ties by position.

    The method `cavity` removes the highest cavity scores first instead, `cavity_lowest` the lowest; what has no score (a bias, a
    unit's last weight) goes last.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"fraction", "rewind_step"})

    fraction: Annotated[
        float, Field(gt=0, lt=1, description="share of the remaining weights removed each round (20 % is 0.2)")
    ] = 0.2
    rewind_step: Annotated[
        int, Field(ge=0, description="weights go back to where they were after this many updates of round 0")
    ] = 0
    after_rewind: Annotated[
        Literal["full", "remaining"],
        Field(description="updates after a rewind: all of train.steps again, or steps - rewind_step"),
    ] = "full"
    scope: Annotated[
        Literal["layer", "global"], Field(description="rank within each layer, or over all pruned layers together")
    ] = "layer"
    layers: Annotated[
        Literal["hidden", "all"] | tuple[Annotated[int, Field(ge=1)], ...],
        Field(description="hidden: all but the output layer; or a list, 1 is the first"),
    ] = "hidden"
    biases: Annotated[
        Literal["kept", "ranked"], Field(description="leave biases alone, or rank them with their layer's weights")
    ] = "kept"
    cavity: CavityRule = CavityRule()

    def pruned_layers(self, layers: int) -> tuple[int, ...]:
        """Layer numbers (from 1) that are pruned in a network of `layers` weight matrices."""
        if self.layers == "all":
            return tuple(range(1, layers + 1))
        if self.layers == "hidden":
            return tuple(range(1, layers))
        return tuple(sorted(set(self.layers)))
