"""Methods of sparse regression, for linear models trained in closed form. All keep the same numbers of weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from impray.spec.errors import Problem
from impray.spec.rules.base import RuleSpec

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class SolverRule(RuleSpec):
    """A method whose masks come from the whole problem: it has a solver and no rule that goes from round to round."""

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        if not all(self.solves(trial) for trial in trials):
            name = type(self).model_fields["name"].default
            right = f"must be gradient_flow or gradient_descent, on data of kind linear, for the method {name}"
            shown = getattr(trials[0].train, "optimizer", None) if trials else None
            yield Problem("train.optimizer", repr(shown), right)


class ReluRule(SolverRule):
    """A method that solves ReLU networks."""

    def solves(self, trial: Trial) -> bool:
        return trial.is_relu

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        name = type(self).model_fields["name"].default
        others = [trial for trial in trials if not self.solves(trial)]
        endless = [trial for trial in others if "whole" not in trial.data.offers]
        if endless:
            shown = repr(getattr(endless[0].data, "kind", None))
            yield Problem("data.kind", shown, f"must be data with a finite training set for the method {name}")
        if len(endless) < len(others):
            yield Problem("net", None, f"{RELU} for the method {name}")


RELU = (
    "must be one hidden layer of ReLUs without biases, {hidden: [m], activation: relu, bias: false}; either fused, {outputs: 1, "
    "readout: sum} (or signed) with prune.layers: hidden, or trained with prune: {layers: all, scope: global},"
)


class Backward(SolverRule):
    """Backward elimination: the weight whose removal raises the training loss least goes.

    Where there is one whose removal does not raise it (Sigma is singular), that which moves the rest least. With a finite time, the
    formula for infinite time is taken, with the weights that are trained.
    """

    source = "stepwise regression: w_i^2 / (Sigma^-1)_ii"
    name: Literal["backward"] = "backward"


class Alignment(SolverRule):
    """The alignment heuristic: the feature with the smallest |phi_i^T y| goes; the kept ones are trained anew."""

    source = "Elesedy et al. (2020), section 2"
    name: Literal["alignment"] = "alignment"


class HardThreshold(SolverRule):
    """The largest weights of round 0 are kept as they are, not trained anew; the masks are those of oneshot."""

    source = "Donoho and Johnstone (1994)"
    name: Literal["hard_threshold"] = "hard_threshold"


class Iht(ReluRule):
    """Iterative hard thresholding: gradient steps, each followed by keeping the largest weights; every count from scratch.

    Of linear models in the normalised form, until it has converged (time, learning rate and the start of the training do not matter); of
    ReLU networks with gates that follow the weights (`prune.iht`).
    """

    nests = False
    source = "Blumensath and Davies (2010); Fridovich-Keil and Pilanci (2025)"
    name: Literal["iht"] = "iht"

    def solves(self, trial: Trial) -> bool:
        return trial.solvable or trial.is_relu


class Pursuit(ReluRule):
    """A least-squares pursuit in ReLU networks whose gates follow its weights; every count from scratch. Of ours."""

    nests = False
    source = "impray"
    name: Literal["pursuit"] = "pursuit"

    def solves(self, trial: Trial) -> bool:
        return trial.is_relu and trial.outputs == 1 and trial.pruned_layers == (1,)


class Omp(SolverRule):
    """Orthogonal matching pursuit: the feature most correlated with the residual joins, all weights are fitted anew.

    By least squares; time, learning rate and the start of the training do not matter.
    """

    nests = False
    source = "Pati et al. (1993); scikit-learn"
    name: Literal["omp"] = "omp"


class Lasso(SolverRule):
    """The lasso path, where it first has so many weights: the largest of them, fitted anew.

    Where there is no noise, basis pursuit. By least squares; time, learning rate and the start of the training do not matter.
    """

    nests = False
    source = "Tibshirani (1996); scikit-learn"
    name: Literal["lasso"] = "lasso"
