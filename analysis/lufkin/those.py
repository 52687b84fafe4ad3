"""Which trials the figures of Lufkin, Saxe & Grant (2024) are of, and their weights; shared by fig3.py to fig8.py.

The paper prunes nothing: figures are of round 0, which methods share, so that each net counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from polars import col

from impray.results.tidy import NotMeasured, Results, Round
from impray.spec.data import Correlated, Ising, Stimulus
from impray.spec.nets import Mlp
from impray.spec.training import Sgd
from impray.spec.trial import Trial
from impray.theory.amplifier import Form
from impray.theory.localization import euler_at, peak
from impray.theory.naming import short
from impray.theory.ring import NOT_LOCAL, apart, ipr, local_ipr, noise_ipr
from impray.theory.stimuli import theory_moments

DENSE = Round(0)
SIMULATED = "simulated"
COURSE = "measure course with weights_every"
MOST_LINES = 41  # of a field over time


def is_ring(trial: Trial) -> bool:
    """Inputs on a ring, as in all of the paper's figures but the first."""
    return isinstance(trial.data, (Correlated, Ising)) and len(trial.data.input_shape) == 1


def is_neuron(trial: Trial) -> bool:
    """A single ReLU neuron without bias on two classes (M2)."""
    net = trial.net
    same = isinstance(net, Mlp) and (net.hidden, net.activation, net.bias, net.readout) == ((1,), "relu", False, "mean")
    return same and trial.data.classes == 2 and is_ring(trial)


def sgd(trial: Trial) -> Sgd:
    """Its training: gradient descent, whose time is the steps times the learning rate.

    Raises:  NotMeasured: it is another.
    """
    if not isinstance(trial.train, Sgd):
        raise NotMeasured("needs train.optimizer: sgd, whose time is the steps times the learning rate")
    return trial.train


def those(results: Results, wanted: Callable[[Any], bool], needs: str) -> Results:
    """The nets of the trials that are wanted; of lineages that share their dense round the first.

    Raises:  NotMeasured: none is wanted (`needs` says what is), or all of them diverged.
    """
    ids = [id for id, trial in results.trials.items() if wanted(trial)]
    if not ids:
        raise NotMeasured(f"needs {needs}")
    nets = results.rounds.filter(col("round") == 0).sort("method", "lineage").unique("trunk", keep="first")
    part = results.where(col("trial").is_in(ids) & col("lineage").is_in(nets["lineage"].to_list()))
    if (part.lineages["status"] == "diverged").all():
        raise NotMeasured(f"all lineages of {', '.join(part.lineages['name'].unique(maintain_order=True))} diverged")
    return part


def first_of_each(results: Results, key: Callable[[Any], Any] = lambda _: 0) -> Results:
    """The first trial of each stimulus and activation, in the order of `key`: what a figure shows where a sweep varies more.

    `missing` says that there are others.
    """
    alive = set(results.lineages.filter(col("status") != "diverged")["trial"])
    seen: dict[tuple, str] = {}
    for id, trial in results.trials.items():
        if id in alive:
            seen.setdefault((short(trial.data), getattr(trial.net, "activation", "")), id)
    left = len(alive) - len(seen)
    return chosen(
        results,
        sorted(seen.values(), key=lambda id: key(results.trials[id])),
        [f"{left} further trials of the same stimuli not shown"] * bool(left),
    )


def chosen(results: Results, ids: Sequence[str], held: Sequence[str] = ()) -> Results:
    """These trials, in this order."""
    part = results.where(col("trial").is_in(list(ids)))
    return replace(part, trials={id: results.trials[id] for id in ids}, held=(*results.held, *held))


def data_of(results: Results) -> dict[str, Any]:
    """Trial -> its data, of whatever kind a figure asked for."""
    return {id: trial.data for id, trial in results.trials.items()}


def weights(results: Results) -> pl.DataFrame:
    """The recorded weights: rows of the table `steps` with their keys, `unit`, `step` and `weights` (a list).

    Raises:  NotMeasured: this sweep recorded none.
    """
    try:
        rows = results.rows("steps", ["step", "unit", "weights"], round=0).filter(col("weights").is_not_null())
    except NotMeasured:
        rows = pl.DataFrame()
    if rows.is_empty():
        raise NotMeasured(f"needs {COURSE}")
    return rows.sort("number", "seed", "unit", "step")


@dataclass(frozen=True)
class Course:
    """Weights of a trial's single neurons over training: one per seed, at the recorded steps, the first and the last among them."""

    trial: Trial
    name: str
    seeds: list[int]
    steps: list[int]
    w: Float[np.ndarray, "step seed input"]

    @property
    def data(self) -> Any:
        """A stimulus, of whatever kind a figure asked for."""
        return self.trial.data

    def thinned(self, most: int | None = MOST_LINES) -> Course:
        """At most so many of the steps, the first and the last among them."""
        if most is None or len(self.steps) <= most:
            return self
        kept = [round(place) for place in np.linspace(0, len(self.steps) - 1, most)]
        return replace(self, steps=[self.steps[place] for place in kept], w=self.w[kept])

    def rows(self, field: str, w: Float[np.ndarray, "step seed input"]) -> pl.DataFrame:
        """A row per seed and step: what the trial is, share of the time, and the weights with their peak and IPR."""
        time = np.array(self.steps) * sgd(self.trial).lr
        own = {"trial": self.trial.id, "name": self.name, "kind": self.data.kind, "inputs": w.shape[-1]}
        own |= {"quiet": NOT_LOCAL * noise_ipr(w.shape[-1]), "local": local_ipr(w.shape[-1]), "field": field}
        own |= {"step": self.steps, "time": time, "share": time / (time[-1] or 1)}
        return pl.concat(
            pl.DataFrame(
                {**own, "seed": seed, "peak": peak(w_of_seed), "ipr": ipr(w_of_seed), "weights": w_of_seed.tolist()}
            )
            for seed, w_of_seed in zip(self.seeds, w.swapaxes(0, 1), strict=True)
        )


def courses(results: Results) -> list[Course]:
    """Of every trial of single neurons, in the order of the trials.

    Raises:  NotMeasured: this sweep recorded no weights.
    """
    parts = weights(results).partition_by("trial", as_dict=True)
    return [_course(results.trials[id], parts[id,]) for id in results.trials if (id,) in parts]


def _course(trial: Trial, part: pl.DataFrame) -> Course:
    seeds, steps = (part[name].unique().sort().to_list() for name in ("seed", "step"))
    w = stacked(part.sort("step", "seed")["weights"]).reshape(len(steps), len(seeds), -1)
    return Course(trial, part["name"][0], seeds, steps, w)


def with_theory(results: Results, forms: Mapping[str, Form], most: int | None = MOST_LINES) -> pl.DataFrame:
    """Rows of `Course.rows`: of every net the simulated field, and that of eq. 5 from the same weights in each form it has there.

    most: at most so many of the recorded steps; None: all.
    """
    parts = []
    for course in (course.thinned(most) for course in courses(results)):
        parts.append(course.rows(SIMULATED, course.w))
        for field, form in forms.items():
            if has_theory(course.data, form):
                w = euler_at(course.data, course.w[0], sgd(course.trial).lr, course.steps, form=form)
                parts.append(course.rows(field, w))
    return pl.concat(parts)


def has_theory(data: Stimulus, form: Form) -> bool:
    """Whether there is an eq. 5 of these inputs: it needs a finite variance, the Taylor form of the amplifier a finite kurtosis too."""
    return data.variance_is_finite and (form == "exact" or np.isfinite(theory_moments(data, 1).kurtosis))


def held_against(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of eq. 5, each with the simulated field's numbers, how many inputs the peaks are apart, and the distance |w - w by eq. 5|.

    relative: the distance over the simulated field's length.
    """
    kept = ["trial", "seed", "step"]
    simulated = rows.filter(col("field") == SIMULATED).select(
        *kept, col("peak", "ipr", "weights").name.suffix("_simulated")
    )
    paired = rows.filter(col("field") != SIMULATED).join(simulated, on=kept, maintain_order="left")
    length = [
        (np.linalg.norm(np.subtract(w, theory)), np.linalg.norm(w))
        for w, theory in paired.select("weights_simulated", "weights").iter_rows()
    ]
    far = apart(paired["peak"].to_numpy(), paired["peak_simulated"].to_numpy(), paired["inputs"].to_numpy())
    columns = [pl.Series("apart", far), pl.Series("distance", [float(far) for far, _ in length])]
    return paired.with_columns(*columns, pl.Series("relative", [float(far / whole) for far, whole in length]))


def stacked(column: pl.Series) -> Float[np.ndarray, "row input"]:
    """A column of lists of one length."""
    return np.array(column.to_list(), dtype=np.float64)


def gaps(rows: Callable[[Results], pl.DataFrame], gap: pl.Expr) -> Callable[[Results], pl.DataFrame]:
    """Rows with a column `gap`, for the claim `Gaps`."""
    return lambda results: rows(results).with_columns(gap.alias("gap"))
