"""Kinds of measures: parameters, what each reads, and the columns it fills. Each stands in a file of `impray.spec.measures`;
`impray.spec.families` lists them."""

from __future__ import annotations

from impray.spec.measures.base import Column, MeasureSpec, measure_name
from impray.spec.measures.inputs import Components, Inputs
from impray.spec.measures.moments import Cavity, Kurtosis
from impray.spec.measures.network import Accuracy, Course, Density, FanIn, Ipr, Loss, Masks
from impray.spec.measures.on_image import Clustering, Correlation, MaskOnImage, Pieces, RfWidth, Spread
from impray.spec.measures.pruned import Pruned
from impray.spec.measures.recovery import (
    Gates,
    LinearOmp,
    OptimalityGap,
    Psnr,
    Reconstruction,
    Solver,
    TrainingAccuracy,
    UnitsAlive,
)
from impray.spec.measures.ring import Flow, Sinusoid
from impray.spec.measures.sparse import Design, Estimation, Order, Removals, Support, Theorem5

__all__ = [
    "Accuracy",
    "Cavity",
    "Clustering",
    "Column",
    "Components",
    "Correlation",
    "Course",
    "Density",
    "Design",
    "Estimation",
    "FanIn",
    "Flow",
    "Gates",
    "Inputs",
    "Ipr",
    "Kurtosis",
    "LinearOmp",
    "Loss",
    "MaskOnImage",
    "Masks",
    "MeasureSpec",
    "OptimalityGap",
    "Order",
    "Pieces",
    "Pruned",
    "Psnr",
    "Reconstruction",
    "Removals",
    "RfWidth",
    "Sinusoid",
    "Solver",
    "Spread",
    "Support",
    "Theorem5",
    "TrainingAccuracy",
    "UnitsAlive",
    "measure_name",
]
