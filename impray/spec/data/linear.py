"""Linear models with a sparse truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from impray.spec.counts import share
from impray.spec.data.base import DataSpec
from impray.spec.data.designs import (
    Covariance,
    Hub,
    Identity,
    Incoherent,
    Matrix,
    ReluFeatures,
    Toeplitz,
    Uniform,
)


def _identity_unless_said(value: Any) -> Any:
    return {"kind": "identity", **value} if isinstance(value, dict) else value


Design = Annotated[
    Identity | Uniform | Toeplitz | Incoherent | Hub | Covariance | Matrix | ReluFeatures,
    Field(discriminator="kind"),
    BeforeValidator(_identity_unless_said),
]


class Linear(DataSpec):
    """A linear model with a sparse truth: y = phi s + noise; s has `nonzero` components, the others are 0.

    A seed draws its own features, truth and noise (streams `data`, `truth`, `noise`); `law` says how the components are drawn, at
    `nonzero` places chosen evenly: `gaussian`, N(0, amplitude^2); `signs`, +amplitude or -amplitude; `at_least`, signs of
    amplitude (1 + |N(0, 1)|). The noise has mean 0 and standard deviation `noise_scale`, whatever its law: each is sub-Gaussian with that
    variance proxy.
    """

    packable: ClassVar[frozenset[str]] = frozenset(
        {"samples", "nonzero", "nonzero_per_sample", "design", "law", "amplitude", "noise", "noise_scale"}
    )
    offers: ClassVar[frozenset[str]] = frozenset({"batches", "whole", "truth"})
    targets: ClassVar[Literal["classes", "real"]] = "real"

    kind: Literal["linear"] = "linear"
    samples: Annotated[int, Field(ge=1, description="n, rows of phi")]
    features: Annotated[int, Field(ge=1, description="p, columns of phi")]
    nonzero: Annotated[int | None, Field(ge=1, description="k, components of the truth that are not 0")] = None
    nonzero_per_sample: Annotated[
        float | None,
        Field(gt=0, le=1, description="instead of nonzero, k / n: k is the nearest whole number, at least 1"),
    ] = None
    design: Annotated[Design, Field(description="where the features come from")] = Identity()
    law: Annotated[
        Literal["gaussian", "signs", "at_least"], Field(description="how the components of the truth are drawn")
    ] = "gaussian"
    amplitude: Annotated[float, Field(gt=0, description="gamma, the size of the components")] = 1.0
    noise: Annotated[Literal["gaussian", "uniform", "rademacher"], Field(description="the law of the noise")] = (
        "gaussian"
    )
    noise_scale: Annotated[float, Field(ge=0, description="sigma, the noise's standard deviation")] = 0.0
    held_out: Annotated[int, Field(ge=1, description="new rows, with noise, that no training sees")] = 1000

    @model_validator(mode="before")
    @classmethod
    def _nonzero_said_once(cls, values: Any) -> Any:
        if isinstance(values, dict):
            given = [name for name in ("nonzero", "nonzero_per_sample") if values.get(name) is not None]
            if len(given) != 1:
                raise ValueError("nonzero: say either nonzero (k) or nonzero_per_sample (k / n), one of the two")
        return values

    def impossible(self) -> Iterator[tuple[str, str]]:
        if self.support > self.features:
            name = "nonzero" if self.nonzero is not None else "nonzero_per_sample"
            yield name, f"gives {self.support} components; at most data.features = {self.features}"
        for path, right in self.design.impossible(self):
            yield f"design.{path}", right

    @property
    def support(self) -> int:
        """As `DataSpec.support`: k."""
        if self.nonzero is not None:
            return self.nonzero
        assert self.nonzero_per_sample is not None, "one of the two is said"
        return max(1, share(self.nonzero_per_sample, self.samples))

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    @property
    def classes(self) -> int:
        return 1
