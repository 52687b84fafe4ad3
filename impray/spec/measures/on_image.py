"""Measures that read first-layer masks as images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impray.spec.measures.base import IMAGE_COLUMNS, Column, MeasureSpec


class MaskOnImage(MeasureSpec):
    """Base of the measures that read first-layer masks as images."""

    reads = frozenset({"mask"})
    needs_image = True
    min_fan_in: Annotated[int, Field(ge=1, description="units with fewer inputs left are NaN")] = 8
    most_connected: Annotated[
        int | None, Field(ge=1, description="only the n units with the most inputs left (ties: lower unit first)")
    ] = None
    colours: Annotated[
        Literal["same", "different", "all"],
        Field(description="pairs within a colour channel, between channels, or both"),
    ] = "same"
    centred: Annotated[
        bool,
        Field(
            description="where the inputs are a torus (nlgp, kur, elliptical), shift each mask so that its circular mean "
            "is in the middle: a field across the edge reads as two otherwise. Chance is then above 1: see clustering_chance"
        ),
    ] = False

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)

    def last_layer(self, layers: int) -> int:
        return max(layers - 1, 1)


class RfWidth(MaskOnImage):
    """Receptive-field width: the standard deviations of a Gaussian fitted to S_i(d), Redman et al. (2025), eq. 1 and Appendix A."""

    revision = 1  # rf_width_px
    first_number_since = 1
    unit_columns = (
        Column("rf_width_px", "float", "px", "mean of the unit's rf_width_x_px and rf_width_y_px; NaN where either is"),
        Column("rf_width_x_px", "float", "px", "standard deviation along columns of the Gaussian fitted to S_i(d)"),
        Column("rf_width_y_px", "float", "px", "standard deviation along rows of the Gaussian fitted to S_i(d)"),
        Column("rf_fit_mse", "float", "pairs^2", "mean squared residual of that fit"),
    )
    limits = (
        "It measures the grain of a mask, not its extent. Below about 25 inputs per unit the spike at d = 0 is fitted, and a "
        "random mask looks narrow: ask for min_fan_in, or include_zero: false. In later layers compare with random masks of the"
        " same density."
    )
    name: Literal["rf_width"] = "rf_width"
    include_zero: Annotated[
        bool, Field(description="whether S(0), the number of inputs, is fitted (eq. 1) or left out")
    ] = True
    offset: Annotated[bool, Field(description="whether a constant is fitted beside the Gaussian")] = False
    layers: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(
            min_length=1,
            description="a later hidden layer's masks are multiplied back to the input: an input counts by its paths to the unit",
        ),
    ] = (1,)

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return self.layers


class Clustering(MaskOnImage):
    """Pairs of kept inputs within `radius_px`, relative to chance at the same fan-in; and relative to the most that this fan-in
    allows, as raw ratios fall with fan-in."""

    revision = 1  # clustering_ceiling, clustering_chance and clustering_of_ceiling
    unit_columns = (
        Column(
            "clustering",
            "float",
            "ratio to chance",
            "kept pairs within the radius relative to chance at the same fan-in",
        ),
        Column(
            "clustering_ceiling",
            "float",
            "ratio to chance",
            "clustering of the most compact mask of this fan-in on this image; it falls with fan-in",
        ),
        Column(
            "clustering_chance",
            "float",
            "ratio to chance",
            "mean clustering of random masks of this fan-in: 1, or simulated where masks are centred first",
        ),
        Column(
            "clustering_of_ceiling",
            "float",
            "share",
            "(clustering - chance) / (ceiling - chance): 0 is chance, 1 the most compact mask; NaN where both are one",
        ),
    )
    limits = (
        "Nothing beyond the radius is seen: one large cluster and many small ones can read the same. The largest value there "
        "can be falls with fan-in; clustering_of_ceiling compares across fan-ins."
    )
    name: Literal["clustering"] = "clustering"
    radius_px: Annotated[float, Field(gt=0, description="pairs at this distance or less are counted, in pixels")] = 2.0


class Spread(MaskOnImage):
    """Fit-free width: per-axis root mean squared distance of kept inputs from their centroid."""

    unit_columns = (Column("spread_px", "float", "px", "per-axis rms distance of kept inputs from their centroid"),)
    limits = "Several fine clusters far from one another read as one wide field, and a few scattered inputs widen it."
    name: Literal["spread"] = "spread"


class Pieces(MaskOnImage):
    """Connected pieces of a unit's kept inputs: how many, and the share of inputs in the largest. Few large ones are a field,
    many small ones are fine-grained, whatever their width."""

    unit_columns = (
        Column("pieces", "int", "pieces", "connected pieces of the unit's kept inputs"),
        Column("largest_piece", "float", "share", "share of the unit's kept inputs in its largest connected piece"),
    )
    limits = (
        "The distance between pieces is not seen, and one input more or less can join two of them. Random masks of many inputs "
        "are one piece: read it at low density."
    )
    name: Literal["pieces"] = "pieces"
    neighbours: Annotated[
        Literal[4, 8], Field(description="pixels that touch: 8 with those at the corners, 4 without")
    ] = 8


class Correlation(MaskOnImage):
    """S(d) of eq. 1 as images: the mean over units of same-colour and different-colour pairs (Pellegrini & Biroli 2022), and S_i(d)
    with its fitted Gaussian for a few units (Redman et al. 2025, Fig. S1A)."""

    image_columns = IMAGE_COLUMNS
    limits = "As rf_width. A mean over units hides that they may differ in size and orientation."
    name: Literal["correlation"] = "correlation"
    examples: Annotated[int, Field(ge=0, description="units shown on their own, the most connected first")] = 3
    include_zero: Annotated[bool, Field(description="whether S(0) is fitted; see rf_width")] = True
    offset: Annotated[bool, Field(description="whether a constant is fitted beside the Gaussian")] = False
