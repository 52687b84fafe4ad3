"""The fields of networks of many units at the end of training: how local each is, and rows of small panels.

"Localised" is judged by the arc here, not by the IPR: at the length scales of these networks a field is several inputs
wide, and its IPR is no larger than that of white noise (see fields.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import common
import numpy as np
import polars as pl
from matplotlib.figure import Figure, SubFigure
from paper import parts
from paper.claims import Claim, counted

from impray.spec.data import DataSpec, Stimulus
from impray.theory.localization import sinusoid
from impray.theory.stimuli import theory_moments
from lufkin import fields
from lufkin.folder import Folder, scales, stimulus

COURSE = "measure course with weights_every"


def of_nets(of: Folder, trials: Sequence[str]) -> pl.DataFrame:
    """A row per unit of layer 1 after training; see `described`.

    Raises:  NotMeasured: no weights were recorded.
    """
    weights = of.weights(trials, COURSE)
    weights = weights.filter(pl.col("step") == pl.col("step").max().over("trial")).sort("trial", "seed", "unit")
    found = []
    for id in trials:
        part = weights.filter(pl.col("trial") == id)
        net = of.trials[id].net
        model = f"{net.hidden[0]} {net.activation} units"
        found.append(described(of.trials[id].data, model, part["seed"], part["unit"], fields.stacked(part["weights"])))
    return pl.concat(found)


def described(data: DataSpec, model: str, seeds: pl.Series, units: pl.Series, w: np.ndarray) -> pl.DataFrame:
    """Stimulus, excess (exact excess kurtosis), model, seed, unit, ipr, arc, local, distance and cycles, weights."""
    assert isinstance(data, Stimulus)
    fit = sinusoid(w, data.input_shape)
    columns = {
        "stimulus": stimulus(data),
        "scales": scales(data),
        "excess": theory_moments(data, 1).excess_kurtosis,
        "model": model,
        "seed": seeds,
        "unit": units,
        "ipr": fields.ipr(w),
        "arc": fields.arc(w),
        "distance": fit.relative_distance,
        "cycles": fit.frequency[:, 1],
        "weights": w.tolist(),
    }
    return pl.DataFrame(columns).with_columns((pl.col("arc") < fields.LOCAL_ARC).alias("local"))


def localised(
    says: str, part: pl.DataFrame, want: bool, what: str = "unit", lacking: str = "not in this sweep"
) -> Claim:
    """That every unit is localised, or that none is."""
    shown = f"arc {parts.ranged(part['arc'])}, IPR {parts.ranged(part['ipr'])}" if len(part) else ""
    return counted(says, [local == want for local in part["local"]] if len(part) else [], shown, lacking, what)


def sign(excess: float) -> str:
    return f"excess kurtosis {'inf' if np.isinf(excess) else f'{excess:.2f}'}"


def summary(frame: pl.DataFrame, what: str = "units") -> list[str]:
    """A sentence per stimulus and model: how many are localised, arcs, IPR, distance from a wave and its cycles."""
    found = []
    for (name, where, model), part in frame.group_by("stimulus", "scales", "model", maintain_order=True):
        cycles = part["cycles"]
        low, middle, high = (cycles.quantile(q, "nearest") for q in (0, 0.5, 1))
        found.append(
            f"{name}, {where}, {sign(part['excess'][0])}, {model}: {part['local'].sum()} of {len(part)} {what} localised; "
            f"arc {parts.ranged(part['arc'])}, IPR {parts.ranged(part['ipr'])}; {parts.ranged(part['distance'])} from a "
            f"sinusoid, of {middle:.0f} ({low:.0f} to {high:.0f}) cycles."
        )
    return found


def learned(of: Folder, trials: Sequence[str]) -> list[str]:
    """Accuracy and loss of each trial, where they were measured: fields of nets that learned nothing say nothing."""
    rows = of.rows("rounds", ["accuracy", "loss"], trials)
    listed = []
    for id in trials:
        part = rows.filter(pl.col("trial") == id)
        known = [name for name in ("accuracy", "loss") if part[name].is_not_null().any()]
        if known:
            words = ", ".join(f"{name} {parts.ranged(part[name])}" for name in known)
            listed.append(f"{stimulus(of.trials[id].data)} {words}")
    return [f"Held-out, mean and range over seeds (guessing: accuracy 0.5, loss 0.25): {'; '.join(listed)}."] * bool(
        listed
    )


def drawn(rows: Sequence[tuple[str, pl.DataFrame]], columns: int, height: float) -> Figure:
    """A row of small panels for each (words, units); `height` of a row in inches."""
    figure = parts.canvas(height * len(rows))
    parted = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for letter, below, (words, part) in zip("ABCDEFGH", parted, rows, strict=False):
        _panels(below, part, columns)
        below.suptitle(f"{letter}  {words}", fontsize=9, x=0.01, ha="left")
    return figure


def _panels(figure: SubFigure, part: pl.DataFrame, columns: int) -> None:
    """Small panels, a unit each on a scale of its own, with its arc and IPR; localised ones in red."""
    grid = figure.subplots(1, columns, squeeze=False)[0]
    rows = part.head(columns).to_dicts()
    for axes, row in zip(grid, rows, strict=False):
        colour = fields.THEORY if row["local"] else fields.SIMULATED
        fields.small(common.plain(axes)).plot(row["weights"], color=colour, linewidth=1.1)
        axes.axhline(0, color="0.6", linewidth=0.5, zorder=0)
        axes.set_title(f"arc {row['arc']:.3g}\nIPR {row['ipr']:.2f}", fontsize=6.5, pad=2)
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
