"""Training whose end is known in closed form: full-batch descent of a linear model's squared error |phi w - y|^2 / (2 n).

    Sigma = phi^T phi / n        c = phi^T y / n        Y = Sigma of the kept features = V L V^T
    gradient flow, time T        w(T) = V [exp(-L T) V^T w(0) + f(L) V^T c],  f(l) = (1 - exp(-l T)) / l, T where l = 0
    T infinite                   w = Y^+ c + (I - Y^+ Y) w(0)
    gradient descent, K steps    as the flow with (1 - lr l)^K for exp(-l T)

Elesedy et al. (2020), section 2, are the flow for infinite T.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.training.base import TrainingSpec

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class ClosedForm(TrainingSpec):
    """What these have in common: the whole training set, the squared error, float64, one layer without bias."""

    needs: ClassVar[frozenset[str]] = frozenset({"whole"})

    loss: Annotated[Literal["mse"], Field(description="the squared error: a closed form has no other")] = "mse"  # type: ignore[assignment]
    dtype: Annotated[Literal["float64"], Field(description="closed forms are computed in double precision")] = "float64"  # type: ignore[assignment]

    def impossible(self, trial: Trial) -> Iterator[tuple[str, str]]:
        kernels = trial.kernels
        if len(kernels) != 1 or any(kernel.bias or not kernel.dense for kernel in kernels):
            yield "net", "closed forms are of linear models: net.kind must be linear"


class GradientFlow(ClosedForm):
    """Gradient flow of a linear model, for a time or until it has converged (`time` left out), in closed form."""

    packable: ClassVar[frozenset[str]] = frozenset()

    optimizer: Literal["gradient_flow"] = "gradient_flow"
    time: Annotated[float | None, Field(gt=0, description="T; left out: infinite, until it has converged")] = None

    @property
    def length(self) -> float:
        return math.inf if self.time is None else self.time

    def words(self) -> str:
        return "gradient flow" + ("" if self.time is None else f" for time {self.time:g}")


class GradientDescent(ClosedForm):
    """Full-batch gradient descent of a linear model, in closed form.

    It goes to the flow of time lr steps as lr falls, and to that of infinite time as steps grow, where lr is below 2 over the largest
    eigenvalue of Sigma; beyond it grows without bound, and a lineage counts as diverged once its numbers overflow.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"lr"})

    optimizer: Literal["gradient_descent"] = "gradient_descent"
    lr: Annotated[
        float, Field(gt=0, description="learning rate; it diverges above 2 over the largest eigenvalue of Sigma")
    ] = 0.1
    steps: Annotated[int, Field(ge=1, description="full-batch updates in each round")] = 1000

    @property
    def length(self) -> float:
        return self.steps

    def words(self) -> str:
        return f"gradient descent, learning rate {self.lr:g}, {self.steps:,} steps"
