"""Measures: a round's state -> numbers per lineage and per unit, one measure per file.

To add one: a class in `impray/spec/measures/` (parameters, what it reads, its columns), a file here, a line in MEASURES.
"""

from collections.abc import Callable

from impray.measures import (
    accuracy,
    components,
    correlation,
    course,
    density,
    flow,
    inputs,
    ipr,
    kurtosis,
    on_image,
    on_weights,
    sinusoid,
)
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec

MEASURES: dict[type[spec.MeasureSpec], Callable[..., Readings]] = {
    spec.Accuracy: accuracy.accuracy,
    spec.Loss: accuracy.loss,
    spec.Density: density.density,
    spec.FanIn: density.fan_in,
    spec.RfWidth: on_image.measure_rf_width,
    spec.Clustering: on_image.measure_clustering,
    spec.Spread: on_image.measure_spread,
    spec.Pieces: on_image.measure_pieces,
    spec.Correlation: correlation.measure,
    spec.Kurtosis: kurtosis.measure,
    spec.Cavity: on_weights.measure_cavity,
    spec.Components: components.measure,
    spec.Inputs: inputs.measure,
    spec.Ipr: ipr.measure,
    spec.Sinusoid: sinusoid.measure,
    spec.Flow: flow.measure,
    spec.Course: course.measure,
    spec.Masks: on_image.measure_masks,
}

__all__ = ["MEASURES", "Readings", "RoundState"]
