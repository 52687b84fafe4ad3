"""Stimuli: random processes on a ring or torus, one class each."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from impray.spec.data.base import Blend, DataSpec


class Stimulus(DataSpec):
    """What the random processes on a ring or torus share: fresh samples in every step, classes that differ in length scale.

    Class 0 is the short length scale and class 1 the long one, by the papers' convention. Inputs have mean 0 and, where it is
    finite, variance 1; the theory of each is in `impray.theory.stimuli`.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"gaussian_blend", "draw"})

    shape: Annotated[tuple[int, ...], Field(description="[40] is a ring of 40 inputs, [12, 12] a torus")] = (40,)
    gaussian_blend: Blend = 0.0
    held_out: Annotated[int, Field(ge=2, description="held-out samples per class, fresh for each seed")] = 500
    draw: Annotated[
        int | None,
        Field(
            ge=0,
            description="a number: the stream of samples that all seeds share, so that they differ in their initial "
            "weights only; null: every seed has samples of its own",
        ),
    ] = None

    @field_validator("shape")
    @classmethod
    def _one_or_two_axes(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (1, 2) or any(side < 2 for side in shape):
            raise ValueError("must be [n] (a ring) or [rows, cols] (a torus), each side at least 2")
        return shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def variance_is_finite(self) -> bool:
        """Whether an input has a variance; without one there is no Gaussian clone."""
        return True

    def _no_clone_without_variance(self) -> None:
        if self.gaussian_blend > 0 and not self.variance_is_finite:
            raise ValueError("gaussian_blend: must be 0: these inputs have no finite variance, so no Gaussian clone")


class Correlated(Stimulus):
    """Stimuli made from a Gaussian field with C_ij = exp(-d_ij^2 / xi^2), d the circular distance in pixels."""

    packable: ClassVar[frozenset[str]] = Stimulus.packable | {"xi", "covariance"}

    xi: Annotated[tuple[float, ...], Field(min_length=2, description="length scale of each class, in pixels")] = (
        1.0,
        2.0,
    )
    covariance: Annotated[
        Literal["field", "matched"],
        Field(
            description="field: exp(-d^2/xi^2) is the correlation of the Gaussian field beneath (the papers'); matched: "
            "the inputs themselves have the covariance (2/pi) asin(exp(-d^2/xi^2)) whatever their marginals, so that "
            "stimuli of different kinds differ in higher moments only"
        ),
    ] = "field"

    @field_validator("xi")
    @classmethod
    def _positive_lengths(cls, xi: tuple[float, ...]) -> tuple[float, ...]:
        if any(length <= 0 for length in xi):
            raise ValueError("must be positive length scales in pixels, one per class")
        return xi

    @property
    def classes(self) -> int:
        return len(self.xi)


class Nlgp(Correlated):
    """Non-linear Gaussian process on a ring or torus: x = erf(gain z) / Z(gain), z ~ N(0, C), C_ij = exp(-d_ij^2 / xi^2).

    Lufkin et al. (2024), section 2; d is the circular distance and Z makes the variance 1. gain -> 0 is Gaussian, a large gain
    is binary. Class c has the length scale xi[c]: by the papers' convention class 0 is the short one.
    """

    packable: ClassVar[frozenset[str]] = Correlated.packable | {"gain"}

    kind: Literal["nlgp"] = "nlgp"
    gain: Annotated[
        float, Field(gt=0, description="slope of the error function, Lufkin's g (Goldt's divided by sqrt 2)")
    ] = 1.0


class Kur(Correlated):
    """Inputs of controllable kurtosis: x = q(Phi(z)) / scale, q(p) = (2p - 1) / (1 - |2p - 1|^k)^(1/k), z as for nlgp.

    Lufkin et al. (2024), eq. 4 and 7. Excess kurtosis is positive for k below about 5.9, infinite for k <= 4, and goes to that of
    uniform inputs, -1.2, for large k. For k <= 2 the variance is infinite too; the scale then gives the quartiles of a Gaussian.
    """

    packable: ClassVar[frozenset[str]] = Correlated.packable | {"k"}

    kind: Literal["kur"] = "kur"
    k: Annotated[float, Field(gt=0, description="exponent of the algebraic sigmoid; heavy tails for a small one")] = 5.0

    @model_validator(mode="after")
    def _clone(self) -> Self:
        self._no_clone_without_variance()
        if self.covariance == "matched" and not self.variance_is_finite:
            raise ValueError("covariance: must be field: for k <= 2 inputs have no finite variance")
        return self

    @property
    def variance_is_finite(self) -> bool:
        return self.k > 2


class Elliptical(Correlated):
    """x = r L u: u uniform on the sphere, L L^T the class's covariance, and a random radius r of its own law.

    Lufkin et al. (2024), section 3.3: student_t (the multivariate t distribution), shell (r = 1), extreme (r = 2 + atanh(U), U
    uniform on [0, 1]), or quantiles of your own. Preactivations can have any kurtosis, yet nothing localises.
    """

    packable: ClassVar[frozenset[str]] = Correlated.packable | {"radius", "degrees_of_freedom", "quantiles", "scale"}

    kind: Literal["elliptical"] = "elliptical"
    radius: Annotated[
        Literal["student_t", "shell", "extreme", "quantiles"], Field(description="the law of the radius r")
    ] = "student_t"
    degrees_of_freedom: Annotated[float, Field(gt=0, description="of student_t: small is heavy-tailed")] = 3.0
    quantiles: Annotated[
        tuple[Annotated[float, Field(ge=0)], ...] | None,
        Field(
            min_length=2,
            description="of the radius at equally spaced probabilities from 0 to 1, straight lines between them",
        ),
    ] = None
    scale: Annotated[
        Literal["variance", "radius"],
        Field(
            description="divide by the inputs' standard deviation, or leave them as the radius makes them (the paper)"
        ),
    ] = "variance"

    @model_validator(mode="after")
    def _law(self) -> Self:
        if (self.radius == "quantiles") != (self.quantiles is not None):
            raise ValueError("quantiles: go with radius: quantiles, and only with it")
        if self.quantiles is not None and (list(self.quantiles) != sorted(self.quantiles) or self.quantiles[-1] <= 0):
            raise ValueError("quantiles: must not fall, and end above 0")
        if not self.variance_is_finite and self.scale == "variance":
            raise ValueError("degrees_of_freedom: must be above 2 with scale: variance: these inputs have no variance")
        self._no_clone_without_variance()
        return self

    @property
    def variance_is_finite(self) -> bool:
        return self.radius != "student_t" or self.degrees_of_freedom > 2


class Ising(Stimulus):
    """The Ising model on a ring at zero field: spins of +1 and -1, P(x) ~ exp(J sum_i x_i x_i+1), J = coupling[c] for class c.

    Lufkin et al. (2024), eq. 2. Sampled exactly. covariance(d) = (a^d + a^(N-d)) / (1 + a^N), a = tanh J. A larger coupling is a
    longer length scale (a negative one alternates).
    """

    packable: ClassVar[frozenset[str]] = Stimulus.packable | {"coupling"}

    kind: Literal["ising"] = "ising"
    coupling: Annotated[
        tuple[float, ...], Field(min_length=2, description="interaction J of neighbours, one per class")
    ] = (0.3, 0.7)

    @field_validator("shape")
    @classmethod
    def _a_ring(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 1 or shape[0] < 3:
            raise ValueError("must be [n], a ring of 3 spins or more: in two dimensions there is no exact fast sampler")
        return shape

    @property
    def classes(self) -> int:
        return len(self.coupling)
