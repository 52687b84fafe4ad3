"""Measures of linear models with a sparse truth: is the support found, in which order do weights go, what does theory allow?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.data.designs import Hub
from impray.spec.data.linear import Linear
from impray.spec.data.planted import Planted
from impray.spec.errors import Problem
from impray.spec.measures.base import Column, MeasureSpec, measure_name
from impray.spec.nets.linear import LinearNet
from impray.spec.training.closed_form import GradientFlow

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class OfTruth(MeasureSpec):
    """Of linear models on data whose targets were made by weights that are known."""

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        name = measure_name(self)
        if not all("truth" in trial.data.offers for trial in trials):
            yield Problem("", repr(name), f"needs the weights that made the targets: {name} takes data.kind: linear")
        elif not all(isinstance(trial.net, LinearNet) for trial in trials):
            yield Problem(
                "", repr(name), f"compares weights with those that made the targets: {name} takes net.kind: linear"
            )


class OfPaths(OfTruth):
    """Of linear models that are solved: which weight goes when is known."""

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all(trial.solvable for trial in trials):
            name = measure_name(self)
            right = f"{name} takes train.optimizer: gradient_flow or gradient_descent, and net.kind: linear"
            yield Problem("", repr(name), right)


class Support(MeasureSpec):
    """The kept weights against the truth's support: the weights that are not 0 in what made the targets.

    Of networks the first layer's, up to a permutation of the units: the one with the largest overlap (of a signed readout, among units of
    one sign). Parallel units, of the truth and of what was found, count as the one that they are: with the sum of their weights. As many
    kept weights of 0 as the truth's own parallel units have in excess are not counted.
    """

    reads = frozenset({"mask", "end", "truth"})
    revision = 1  # parallel units are merged
    first_number_since = 1
    lineage_columns = (
        Column("exact_recovery", "float", "share", "1 where the kept weights are exactly the truth's support, else 0"),
        Column("support_precision", "float", "share", "share of the kept weights that are in the truth's support"),
        Column("support_recall", "float", "share", "share of the truth's support that is kept"),
        Column(
            "false_exclusions",
            "int",
            "weights",
            "features of true size amplitude or more that are not kept (Theorem 5 (ii) of Elesedy et al. 2020); null of networks",
        ),
        Column("kept", "int", "weights", "kept weights that are not 0: the actual support size"),
    )
    limits = "exact_recovery is all or nothing: a component of the truth near 0 decides it as a large one does."
    name: Literal["support"] = "support"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all("truth" in trial.data.offers for trial in trials):
            yield Problem("", repr(self.name), "needs the weights that made the targets: data.kind: linear, or planted")
        elif not all(_comparable(trial) for trial in trials):
            right = "compares layers of one shape: net.kind: linear on linear data, one hidden layer on planted data of two layers"
            yield Problem("", repr(self.name), right)


def _comparable(trial: Trial) -> bool:
    """Whether a trial's weights can be held against those that made its targets."""
    if isinstance(trial.net, LinearNet):
        return isinstance(trial.data, Linear)
    return isinstance(trial.data, Planted) and trial.data.layers == 2 and trial.layers == 2


class Estimation(OfTruth):
    """How far the trained weights are from the truth."""

    reads = frozenset({"end", "truth", "whole"})
    lineage_columns = (
        Column("estimation_error", "float", "1", "|w - s| / |s|, Euclidean, of the trained weights w and the truth s"),
        Column("prediction_error", "float", "1", "mean over the training samples of (phi (w - s))^2"),
    )
    limits = "Of correlated features the prediction can be right where the weights are wrong; so there are two numbers."
    name: Literal["estimation"] = "estimation"


class Order(OfPaths):
    """The order in which weights have gone so far, against those of the alignment heuristic and of oneshot.

    Of methods whose masks do not nest (iht, omp, lasso) there is no order: null. Rank correlations are Kendall's tau-b over all
    features; those that are left are tied in the last place.
    """

    reads = frozenset({"order", "whole"})
    lineage_columns = (
        Column(
            "alignment_agreement",
            "float",
            "share",
            "share of removals that took the smallest |phi_j^T y| of what was left: what the alignment heuristic takes",
        ),
        Column("order_tau", "float", "1", "Kendall's tau of the order of removal with |phi_j^T y|"),
        Column(
            "order_tau_oneshot", "float", "1", "Kendall's tau of the order of removal with |w_j| of the dense round"
        ),
    )
    limits = (
        "Agreement with the alignment heuristic is no merit in itself. Among features that are left there is no order: they are"
        " tied."
    )
    name: Literal["order"] = "order"


class Design(OfTruth):
    """The training sample's covariance Sigma = phi^T phi / n."""

    reads = frozenset({"whole"})
    lineage_columns = (
        Column("rank", "int", "features", "eigenvalues of Sigma above 1e-12 times the largest"),
        Column("lambda_min", "float", "1", "smallest eigenvalue of Sigma; 0 where it has not full rank"),
        Column("condition", "float", "1", "largest over smallest eigenvalue; infinite where Sigma has not full rank"),
        Column("coherence", "float", "1", "largest |correlation| of two features, not centred"),
    )
    limits = "A number of the sample, not of the law it was drawn from."
    name: Literal["design"] = "design"


class Theorem5(OfTruth):
    """Theorem 5 of Elesedy et al. (2020): a bound on the probability that imp excludes a feature of the truth.

    A feature of true size amplitude or more. It holds where every component of the truth is at least that large. Smaller ones bias the
    rest as they go, and the theorem is false there: `as_stated` gives the number all the same, as the paper would have it, to hold a
    simulation against. It is a number of the problem, the same for all methods; of the others it holds for oneshot alone, and there
    whatever the small components. NaN: the sample's rank is not full, or the round keeps fewer weights than the truth has components.
    """

    reads = frozenset({"whole"})
    lineage_columns = (
        Column(
            "bound_theorem5",
            "float",
            "probability",
            "min(1, 2 p exp(-n gamma^2 lambda_min / (8 sigma^2))), at the sample's lambda_min",
        ),
        Column(
            "bound_safe",
            "float",
            "probability",
            "the same with 2^(p - k) p in place of p: a union over all sets of features that may have gone before",
        ),
    )
    limits = (
        "A bound, often far above what happens, and 1 (nothing said) where samples are few. It is false where the truth has "
        "smaller components."
    )
    name: Literal["theorem5"] = "theorem5"
    as_stated: Annotated[
        bool,
        Field(
            description="give the paper's number also where some components are smaller than amplitude, and it is false"
        ),
    ] = False

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        reasons = {reason: None for trial in trials for reason in self._unmet(trial)}
        yield from (Problem("", repr(self.name), f"Theorem 5 needs {reason}") for reason in reasons)

    def _unmet(self, trial: Trial) -> Iterator[str]:
        """Conditions of the theorem that this trial does not meet, with what would and why; those that only a draw knows are NaN."""
        data = trial.data
        if not isinstance(data, Linear):
            if "truth" in data.offers:  # else it has been said
                yield "data.kind: linear, because its bound is made of their amplitude and noise"
            return
        if data.samples < data.features:
            yield (
                f"data.samples >= data.features = {data.features}, not {data.samples}, because Sigma must have full rank: else other "
                "weights fit as well as the true ones"
            )
        yield from self._unmet_by_training(trial)
        if not self.as_stated:
            yield from _small_components(data)

    def _unmet_by_training(self, trial: Trial) -> Iterator[str]:
        if not isinstance(trial.train, GradientFlow) or trial.train.time is not None:
            yield "train.optimizer: gradient_flow without a time, because rounds must end at the least squares (T infinite)"
        if isinstance(trial.net, LinearNet) and trial.net.init.scale > 0:
            yield f"net.init.scale: 0, not {trial.net.init.scale:g}, because its proof trains from w_init = 0"


def _small_components(data: Linear) -> Iterator[str]:
    """Why some component of the truth that is not 0 may be smaller than amplitude."""
    why = (
        "because smaller components that go bias those that stay, and the bound is false then; or as_stated: true, for "
        "the paper's number"
    )
    if isinstance(data.design, Hub):
        if abs(data.design.weak) < 1 and data.design.weak != 0:
            yield f"data.design.weak of size 1 or more, not {data.design.weak:g}, {why}"
    elif data.law == "gaussian":
        yield f"data.law: signs or at_least, not gaussian, {why}"


class Removals(OfPaths):
    """Which weight goes when, and what it was: the table `removals`."""

    reads = frozenset({"order", "truth", "whole"})
    removal_columns: ClassVar[tuple[Column, ...]] = (
        Column("feature", "int", "", "the feature that goes, from 0"),
        Column("weight", "float", "1", "its weight at the end of the round before"),
        Column("abs_weight", "float", "1", "its size"),
        Column("alignment", "float", "1", "|phi_j^T y| / n of the feature"),
        Column("in_truth", "bool", "", "whether its true weight is not 0"),
        Column("true_weight", "float", "1", "its weight in the truth"),
        Column("agrees", "bool", "", "whether the alignment heuristic takes the same feature of those left"),
    )
    limits = "A row per weight and lineage: many rows for many features. Methods whose masks do not nest have none."
    name: Literal["removals"] = "removals"
