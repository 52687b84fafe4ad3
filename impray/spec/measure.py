"""Kinds of measures: parameters, what each reads, and the columns it fills. Each stands in a file of `impray.spec.measures`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from impray.spec.measures.base import Column, MeasureSpec
from impray.spec.measures.inputs import Components, Inputs
from impray.spec.measures.moments import Cavity, Kurtosis
from impray.spec.measures.network import Accuracy, Course, Density, FanIn, Ipr, Loss, Masks
from impray.spec.measures.on_image import Clustering, Correlation, MaskOnImage, Pieces, RfWidth, Spread
from impray.spec.measures.ring import Flow, Sinusoid

__all__ = [
    "Accuracy",
    "Cavity",
    "Clustering",
    "Column",
    "Components",
    "Correlation",
    "Course",
    "Density",
    "FanIn",
    "Flow",
    "Inputs",
    "Ipr",
    "Kurtosis",
    "Loss",
    "MEASURE_KINDS",
    "MaskOnImage",
    "Masks",
    "Measure",
    "MeasureSpec",
    "Pieces",
    "RfWidth",
    "Sinusoid",
    "Spread",
]

Measure = Annotated[
    Accuracy
    | Loss
    | Density
    | FanIn
    | RfWidth
    | Clustering
    | Spread
    | Pieces
    | Correlation
    | Kurtosis
    | Cavity
    | Components
    | Inputs
    | Ipr
    | Sinusoid
    | Flow
    | Course
    | Masks,
    Field(discriminator="name"),
]
MEASURE_KINDS: tuple[type[MeasureSpec], ...] = (
    Accuracy,
    Loss,
    Density,
    FanIn,
    RfWidth,
    Clustering,
    Spread,
    Pieces,
    Correlation,
    Kurtosis,
    Cavity,
    Components,
    Inputs,
    Ipr,
    Sinusoid,
    Flow,
    Course,
    Masks,
)
