"""Measures of the held-out inputs, alone or beside the masks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impray.spec.measures.base import IMAGE_COLUMNS, Column, MeasureSpec


class Components(MeasureSpec):
    """PCA and FastICA components of the held-out inputs, and each mask's largest cosine similarity with them (Redman et al. 2025,
    Appendix B, Fig. 2 and S2). The sign of a component is arbitrary, so the magnitude of the cosine counts."""

    compares_with_inputs = True
    reads = frozenset({"mask", "held_out"})
    lineage_columns = (
        Column("ica_steps", "int", "steps", "steps that FastICA took on the inputs; 500: it did not converge"),
    )
    unit_columns = (
        Column("cosine_pca", "float", "1", "largest |cosine| of the unit's mask with a PCA component of the inputs"),
        Column(
            "cosine_ica", "float", "1", "largest |cosine| of the unit's mask with a FastICA component of the inputs"
        ),
        Column("ica_component", "int", "", "number of that FastICA component in the table `images`, round 0"),
    )
    image_columns = IMAGE_COLUMNS
    limits = (
        "In few samples Gaussian inputs look non-Gaussian. The cosine rises with fan-in and with the number of components by "
        "chance: compare with random masks. A shifted copy of a component does not count."
    )
    name: Literal["components"] = "components"
    count: Annotated[
        int, Field(ge=1, description="components of each kind; fewer where there are fewer inputs or samples - 1")
    ] = 64
    samples: Annotated[int | None, Field(ge=2, description="held-out inputs per class; all by default")] = None
    min_fan_in: Annotated[int, Field(ge=1, description="units with fewer inputs left are NaN")] = 1

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)


class Inputs(MeasureSpec):
    """How the held-out data fill the input: mean |x|, variance and kurtosis, the first two also as images, and a few samples;
    kurtosis within classes too, as mixtures of classes of different variance have another."""

    reads_classes = True
    revision = 1  # input_kurtosis_by_class and its median
    reads = frozenset({"held_out"})
    lineage_columns = (
        Column("input_abs_mean", "float", "1", "mean |x| over held-out samples and inputs"),
        Column("input_variance", "float", "1", "variance of an input over held-out samples, averaged over inputs"),
        Column(
            "input_kurtosis",
            "float",
            "1",
            "kurtosis of an input over held-out samples, averaged over those not constant",
        ),
        Column(
            "input_kurtosis_class_median",
            "float",
            "1",
            "median over classes of input_kurtosis_by_class",
        ),
        Column(
            "input_kurtosis_by_class",
            "list[float]",
            "1",
            "kurtosis of an input over each class's samples, label 0 first, averaged over inputs; NaN: too few different "
            "samples",
        ),
    )
    image_columns = IMAGE_COLUMNS
    limits = (
        "Inputs one at a time: a Gaussian clone agrees with its images in mean and variance, and a kurtosis of 3 does not make "
        "inputs jointly Gaussian."
    )
    name: Literal["inputs"] = "inputs"
    examples: Annotated[int, Field(ge=0, description="held-out samples kept as images, classes in turn")] = 8
