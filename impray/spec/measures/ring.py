"""Measures that hold a neuron against the theory of localization, on a ring or torus."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impray.spec.measures.base import Column, MeasureSpec


class Sinusoid(MeasureSpec):
    """Distance of each first-layer unit's trained weights from the best-fitting sinusoid, Lufkin et al. (2024), section 4.3:
    0 is a wave over all inputs, near 1 is localised (or noise)."""

    reads = frozenset({"end"})
    unit_columns = (
        Column("sinusoid_distance", "float", "share", "|w - best single Fourier mode| / |w| of the trained weights"),
        Column("sinusoid_row_cycles", "int", "", "cycles of that mode along the rows of a torus (0 on a ring)"),
        Column(
            "sinusoid_col_cycles", "int", "", "cycles of that mode along the columns, or around the ring; 0: constant"
        ),
    )
    name: Literal["sinusoid"] = "sinusoid"

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)


class Flow(MeasureSpec):
    """A single ReLU neuron against Lufkin et al. (2024), eq. 5, integrated from the same initial weights over the same time: where
    the peak is, and how far the weights are apart. Round 0 only; the theory has no masks."""

    reads = frozenset({"start", "end"})
    unit_columns = (
        Column("peak", "int", "", "input with the largest |weight| after training, from 0"),
        Column("peak_flow", "int", "", "the same by eq. 5"),
        Column("peak_agrees", "float", "share", "1 where both peaks are the same input, else 0"),
        Column("ipr_flow", "float", "1", "IPR of the weights by eq. 5"),
        Column("flow_distance", "float", "share", "|w - w by eq. 5| / |w| after training"),
    )
    name: Literal["flow"] = "flow"
    form: Annotated[
        Literal["exact", "taylor"],
        Field(description="the amplifier of eq. 6, or its third-order Taylor polynomial (Lemma B.1)"),
    ] = "exact"

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)
