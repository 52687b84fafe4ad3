"""Kinds of measures: parameters, what each reads, and the columns it fills. Each stands in a file of `impray.spec.measures`;
`impray.spec.families` lists them."""

from __future__ import annotations

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
    "MaskOnImage",
    "Masks",
    "MeasureSpec",
    "Pieces",
    "RfWidth",
    "Sinusoid",
    "Spread",
]
