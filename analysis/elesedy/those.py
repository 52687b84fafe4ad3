"""Which trials the figures of Elesedy, Kanade & Teh (2020) are of, and what their problems are; shared by the files beside this one."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
from polars import col

from impray.results.tidy import LAST, NotMeasured, Results
from impray.spec.data import Linear
from impray.spec.data.designs import DesignSpec, Identity, Toeplitz
from impray.spec.trial import Trial

SOURCE = "Elesedy et al. (2020)"
imp, oneshot, backward, alignment = (col("method") == name for name in ("imp", "oneshot", "backward", "alignment"))
LAWS = {"gaussian": "Gaussian", "signs": "+1 or -1", "at_least": "at least gamma"}  # of the true weights
NOISES = {"gaussian": "Gaussian", "uniform": "uniform", "rademacher": "Rademacher"}


def linear(results: Results, wanted: Callable[[Trial, Linear], bool], needs: str) -> Results:
    """The trials of linear models in closed form that are wanted.

    Raises:  NotMeasured: there is none; `needs` says what is wanted.
    """
    ids = [
        id
        for id, trial in results.trials.items()
        if isinstance(trial.data, Linear) and trial.solvable and wanted(trial, trial.data)
    ]
    if not ids:
        raise NotMeasured(f"needs {needs}")
    return results.where(col("trial").is_in(ids))


def rows(results: Results, *columns: str) -> pl.DataFrame:
    """Keys and these columns of the last round, with what each problem is: `samples`, `features`, `support`, `law`, `noise`, `design`.

    Raises:  NotMeasured: a column has no value.
    """
    last = results.at(LAST)
    absent = [name for name in columns if name not in last.columns or last[name].is_null().all()]
    if absent:
        raise NotMeasured(f"needs the column {absent[0]}")
    return beside(last.select("lineage", "trial", "method", "seed", "round", *columns), results)


def beside(frame: pl.DataFrame, results: Results) -> pl.DataFrame:
    """Adds what each problem is, by its trial."""
    described = [
        {"trial": id, "place": place, "samples": data.samples, "features": data.features, "support": data.support,
         "per_sample": data.nonzero_per_sample, "law": LAWS[data.law], "noise": NOISES[data.noise],
         "noise_scale": data.noise_scale, "design": words(data.design)}
        for place, (id, trial) in enumerate(results.trials.items()) if isinstance(data := trial.data, Linear)
    ]  # fmt: skip
    problems = pl.DataFrame(described, infer_schema_length=None)
    return frame.join(problems, on="trial", how="left", maintain_order="left").sort("place", maintain_order=True)


def words(design: DesignSpec) -> str:
    """A design as a facet's title has it."""
    if isinstance(design, Identity):
        return "orthonormal features" if design.exact else "independent features"
    if isinstance(design, Toeplitz):
        return f"Toeplitz features, {design.rho:g}"
    return str(getattr(design, "kind", ""))
