"""Fields of networks of many units after training, and ICA's components: how local each is. Shared by fig6.py and fig7.py.

Localised is a field with half of its squared weight in less than an eighth of the ring (impray.theory.ring): at the length scales of
these networks a field is several inputs wide, and its IPR no larger than white noise's. Arcs are whole numbers of inputs; `bound` lies
half an input above the largest arc that is localised, so that a gap from it is never 0.
"""

import numpy as np
import polars as pl
from polars import col

from impray.figures import Panel, dots, fields
from impray.results.tidy import NotMeasured, once
from impray.theory.localization import sinusoid
from impray.theory.ring import LOCAL_ARC, arc, ipr
from lufkin.those import stacked, weights

ICA = "ICA"
SHARE = col("local").mean()  # of the units
WHOLE = {"limits": (-0.05, 1.05)}  # of an axis of shares
EVERY = col("bound").first() - col("arc").max()  # above 0 where every unit is localised
WIDE = col("arc").mean() - col("bound").first()
NONE = col("arc").min() - col("bound").first()  # above 0 where none is


@once
def units(results):
    """A row per unit of layer 1 at the last recorded step, as `described`."""
    last = weights(results).filter(col("step") == col("step").max().over("trial"))
    nets = {id: f"{trial.net.hidden[0]} {trial.net.activation} units" for id, trial in results.trials.items()}
    return described(results, last.with_columns(col("trial").replace_strict(nets).alias("model")))


def described(results, rows):
    """Rows with ipr, arc, local, bound, cycles of the strongest mode, and words for the picture; in the order of the trials."""
    measured, parts = [], rows.partition_by("trial", as_dict=True, maintain_order=True)
    for trial, part in [(trial, parts[id,]) for id, trial in results.trials.items() if (id,) in parts]:
        w = stacked(part["weights"])
        columns = {"ipr": ipr(w), "arc": arc(w), "cycles": sinusoid(w, trial.data.input_shape).frequency[:, 1]}
        n, own = w.shape[1], [pl.Series(name, values) for name, values in columns.items()]
        bound = (np.ceil(LOCAL_ARC * n) - 0.5) / n
        measured.append(part.with_columns(*own, pl.lit(n).alias("inputs"), pl.lit(bound).alias("bound")))
    excess = pl.when(col("excess").is_finite()).then(col("excess").round(2).cast(pl.String)).otherwise(pl.lit("inf"))
    return pl.concat(measured, how="diagonal").with_columns(
        (col("arc") < col("bound")).alias("local"),
        pl.format("{} on {}", "model", "name").alias("on"),
        pl.format("{} on {} (excess kurtosis {})", "model", "name", excess).alias("title"),
        pl.format("arc {}\nIPR {}", col("arc").round(3), col("ipr").round(2)).alias("words"),
    )


def gaps(rows, gap, where, *keys):
    """A gap per seed (and key) of the units that are wanted."""

    def made(results):
        wanted = rows(results).filter(where)
        if wanted.is_empty():
            raise NotMeasured("needs such inputs")
        return wanted.group_by(*keys, "seed", maintain_order=True).agg(gap.alias("gap"))

    return made


def lines(rows, most):
    """Panels of the first fields of one title each, at most four."""
    return [Panel(of=_one(rows, at), y="weights", mark=fields, columns="title", height=0.85, colour="", optional=at > 0,
                  options={"most": most, "marked": ("not localised", "localised")}) for at in range(4)]  # fmt: skip


def _one(rows, at):
    def made(results):
        parts = rows(results).partition_by("title", maintain_order=True)
        if at >= len(parts):
            raise NotMeasured("no further fields")
        return parts[at].with_columns(col("local").alias("marked"))

    return made


def by_seed(rows, value, label, **more):
    """A panel: a number per seed and stimulus of all its units."""

    def made(results):
        return rows(results).group_by("model", "name", "seed", maintain_order=True).agg(value.alias("value"))

    return Panel(of=made, mark=dots, x="name", colour="model", label=label, xlabel="inputs", height=1.5, **more)


def counted(rows):
    """How many units are localised, in words; units of one net are no replicates."""
    counts = rows.group_by("on", maintain_order=True).agg(col("local").sum().alias("held"), pl.len().alias("of"))
    return "Localised: " + ", ".join(f"{on} {held} of {count}" for on, held, count in counts.iter_rows()) + "."
