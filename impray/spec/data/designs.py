"""Designs of linear models: where the features phi [sample, feature] come from.

Most have a covariance, and rows phi_n ~ N(0, covariance), independent. With `exact` the sample's own Sigma = phi^T phi / n is that
covariance, to rounding: needs no fewer samples than features. With `normalised` each column is scaled to Sigma_ii = 1 (a column of zeros
stays), as Elesedy et al. (2020), section 2, have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from impray.spec.base import Spec

if TYPE_CHECKING:
    from impray.spec.data.linear import Linear

_SAYS_ITS_KIND = ConfigDict(json_schema_extra={"required": ["kind"]})  # without a kind it is the identity
_PATH = "a .npy file, seen from the folder in which impray is started; at the same place on every machine"


class DesignSpec(Spec):
    """What every design has."""

    has_covariance: ClassVar[bool] = True

    exact: Annotated[
        bool, Field(description="the sample's covariance is exactly the design's; takes samples >= features")
    ] = False
    normalised: Annotated[bool, Field(description="scale each column to a mean square of 1")] = False

    def impossible(self, data: Linear) -> Iterator[tuple[str, str]]:
        """(path below `design`, what would be right) of what cannot be in these data."""
        if self.exact and data.samples < data.features:
            yield "exact", f"takes data.samples >= data.features = {data.features}"


class Identity(DesignSpec):
    """Independent features: covariance I. With `exact` they are orthogonal (Elesedy et al. 2020, Example 1)."""

    implied = True
    kind: Literal["identity"] = "identity"


class Uniform(DesignSpec):
    """All pairs correlated alike: covariance (1 - alpha) I + alpha 11^T (Example 2)."""

    model_config = _SAYS_ITS_KIND
    kind: Literal["uniform"] = "uniform"
    alpha: Annotated[float, Field(ge=0, lt=1, description="correlation of each pair")] = 0.1


class Toeplitz(DesignSpec):
    """Correlation falls with distance: covariance rho^|i - j|."""

    model_config = _SAYS_ITS_KIND
    kind: Literal["toeplitz"] = "toeplitz"
    rho: Annotated[float, Field(gt=-1, lt=1, description="correlation of neighbours")] = 0.5


class Incoherent(DesignSpec):
    """Pairs correlated by +coherence or -coherence, signs drawn: pairwise incoherent with that parameter (Example 3)."""

    model_config = _SAYS_ITS_KIND
    kind: Literal["incoherent"] = "incoherent"
    coherence: Annotated[
        float, Field(ge=0, lt=1, description="size of each pair's correlation, below 1 / (features - 1)")
    ] = 0.005
    exact: Annotated[
        bool, Field(description="the sample's covariance is exactly the design's; takes samples >= features")
    ] = True

    def impossible(self, data: Linear) -> Iterator[tuple[str, str]]:
        yield from super().impossible(data)
        if data.features > 1 and self.coherence * (data.features - 1) >= 1:
            yield (
                "coherence",
                f"must be below 1 / (data.features - 1) = {1 / (data.features - 1):.3g}, as the assumption has it",
            )


class Hub(DesignSpec):
    """One feature, the hub, correlated -rho with so many others (the spokes), which are uncorrelated among themselves.

    share = rho^2 spokes, the share of the hub that the spokes explain; the smallest eigenvalue is 1 - sqrt(share). The true weights are
    `amplitude` on the hub, `weak` times that on each spoke, and 0 elsewhere: many small components that bias the large one as they are
    pruned, which shows where Theorem 5 of Elesedy et al. (2020) ends.
    """

    model_config = _SAYS_ITS_KIND
    kind: Literal["hub"] = "hub"
    spokes: Annotated[int, Field(ge=1, description="features that are correlated with the hub")] = 1500
    share: Annotated[float, Field(ge=0, lt=1, description="rho^2 spokes")] = 0.9
    weak: Annotated[float, Field(description="a spoke's true weight, relative to the hub's")] = 0.05
    exact: Annotated[
        bool, Field(description="the sample's covariance is exactly the design's; takes samples >= features")
    ] = True

    def impossible(self, data: Linear) -> Iterator[tuple[str, str]]:
        yield from super().impossible(data)
        if self.spokes >= data.features:
            yield "spokes", f"must be below data.features = {data.features}: the hub is a feature too"
        if self.weak == 0:
            yield "weak", "must not be 0: the spokes are components of the truth"
        if data.nonzero != self.spokes + 1:
            yield "spokes", f"the hub and its spokes are the truth: data.nonzero must be {self.spokes + 1}"


class Covariance(DesignSpec):
    """A covariance of your own, [feature, feature]: symmetric, positive semi-definite."""

    model_config = _SAYS_ITS_KIND
    kind: Literal["covariance"] = "covariance"
    path: Annotated[str, Field(min_length=1, description=_PATH)]


class Matrix(DesignSpec):
    """Features of your own, [sample, feature]: the same for every seed; truth and noise are drawn."""

    model_config = _SAYS_ITS_KIND
    has_covariance = False
    kind: Literal["matrix"] = "matrix"
    path: Annotated[str, Field(min_length=1, description=_PATH)]

    def impossible(self, data: Linear) -> Iterator[tuple[str, str]]:
        if self.exact:
            yield "exact", "is for designs that are drawn; leave it out"


class ReluFeatures(DesignSpec):
    """Random ReLU features of an input: phi_j(x) = relu(v_j x + b_j), x ~ N(0, I), v_j ~ N(0, I / inputs), b_j ~ N(0, bias^2).

    One that is never active in the sample is a column of zeros: the design has not full rank then, and says so.
    """

    model_config = _SAYS_ITS_KIND
    has_covariance = False
    kind: Literal["relu_features"] = "relu_features"
    inputs: Annotated[int, Field(ge=1, description="length of x")] = 10
    bias: Annotated[float, Field(ge=0, description="standard deviation of the biases")] = 0.0

    def impossible(self, data: Linear) -> Iterator[tuple[str, str]]:
        if self.exact:
            yield "exact", "is for designs with a covariance of their own; leave it out"
