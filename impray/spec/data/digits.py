"""The digits that come with scikit-learn."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.data.base import DataSpec, Draw


class Digits(DataSpec):
    """1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn (a part of the UCI set), scaled to [0, 1].

    A task makes classes of them: `all` ten; `zero_one`, `three_eight` of those two alone; `even_odd` of all, by parity. A share of each
    digit is held out at random, by `draw`.
    """

    packable: ClassVar[frozenset[str]] = frozenset()
    offers: ClassVar[frozenset[str]] = frozenset({"batches", "whole"})

    kind: Literal["digits"] = "digits"
    task: Annotated[
        Literal["all", "zero_one", "even_odd", "three_eight"], Field(description="which classes are made of the digits")
    ] = "all"
    held_out_fraction: Annotated[float, Field(gt=0, lt=1, description="share of each digit that is held out")] = 0.25
    draw: Draw = 0

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (8, 8)

    @property
    def classes(self) -> int:
        return 10 if self.task == "all" else 2
