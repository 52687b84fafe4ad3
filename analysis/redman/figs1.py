"""S_i(d) of single units with its fitted Gaussian, and how well such fits do.  Redman et al. (2025), Fig. S1.

A: units of imp on natural inputs, those that the measure correlation shows first, of the lowest seed, a unit a line: mask, S_i(d), fit
(colours from 0 to the largest value beside the centre). B: mean squared residual of the fit over all units, seeds pooled. Beside the
paper, C: S(d) averaged over units and seeds, within a colour and between colours (Pellegrini & Biroli 2022), each on its own scale.

Expect: smaller errors for imp than for random; the median over units is compared, seed by seed. Counts against the paper: errors as
large as random's. The error has the unit pairs^2, so it is small for any mask with few pairs, whatever its form.
"""

import numpy as np
import polars as pl
from polars import col

from impray.figures import NATURAL, Figure, More, NotMeasured, Panel, bars, command, dots, images
from impray.results.pictures import as_images
from impray.results.quantities import Quantity

FIT_ERROR = Quantity("rf_fit_mse_median", "squared error of the fit (pairs²)", "pairs²", "lower", "better fitted")
MAPS = {"correlation_same": "within a colour", "correlation_different": "between colours"}
imp, random = (col("method") == name for name in ("imp", "random"))


def correlations(results):
    """S_i(d) and its fit, of each unit shown; of S_i(d) `value` is the unit."""
    columns = ["name", "number", "values", "shape", "value"]
    rows = results.rows("images", columns, method="imp", name=["unit_correlation", "unit_fit"]).filter(
        col("round") <= results.last
    )
    rows = rows.filter(col("round") == col("round").max(), col("seed") == col("seed").min())
    return rows.drop("seed").sort("image_number", "image_name")


def masks(results):
    units = correlations(results).filter(col("image_name") == "unit_correlation")
    units = units.select("lineage", "round", "image_number", unit=col("value").cast(pl.Int64))
    rows = as_images(results.rows("masks", ["unit", "bits", "shape"], layer=1, method="imp"))
    return rows.drop("seed").join(units, on=["lineage", "round", "unit"]).sort("image_number")


def errors(results):
    """Per method the share of units that have an error up to `left_edge`."""
    error, rows = col("rf_fit_mse"), results.rows("units", ["rf_fit_mse"], layer=1, round=results.last)
    rows = rows.drop_nulls("rf_fit_mse").drop_nans("rf_fit_mse").filter(imp | random).sort("method", "rf_fit_mse")
    if rows.is_empty():
        raise NotMeasured("needs measure rf_width, and units with enough inputs left for a fit")
    share, after = error.rank("ordinal") / pl.len(), error.shift(-1).fill_null(error)
    return rows.select("method", "round", left_edge=error, right_edge=after.over("method"), share=share.over("method"))


def maps(results):
    """S(d) of imp and random, averaged over seeds."""
    rows = results.rows("images", ["name", "values", "shape"], name=[*MAPS]).filter(imp | random)
    rows = rows.filter(col("round") <= results.last).filter(col("round") == col("round").max())
    rows = rows.sort("image_name", "method", descending=[True, False])
    means = []
    for (name, method), part in rows.group_by("image_name", "method", maintain_order=True):
        arrays = [array for values in part["values"] if not np.isnan(array := np.frombuffer(values, "<f4")).any()]
        mean = np.mean(arrays, axis=0, dtype=float).astype("<f4").tobytes() if arrays else None
        means.append((f"mean S(d) of {method},\n{MAPS[name]}", mean, part["shape"][0].to_list()))
    return pl.DataFrame(means, ["pairs", "values", "shape"], orient="row").drop_nulls()


FIGURE = Figure(
    name="redman2025_figS1",
    title="Fig. S1  Gaussians fitted to the correlation of masks",
    question="Is the correlation S(d) of an IMP mask a Gaussian, more than that of a random mask?",
    source="Redman et al. (2025), Fig. S1",
    paper="The correlation S_i(d) of single IMP masks looks like a two-dimensional Gaussian even where the mask does not, and the squared "
    "error of the fit is much smaller for IMP masks than for random ones.",
    base=True,
    wanted=lambda results: results.where(col("side") == NATURAL),
    per_line=4,
    notes=["Errors of the fit are those of the units of all seeds; no error bars."],
    panels=[
        Panel(of=masks, mark=images, x="", title="masks of imp", height=2.6, options={"per_line": 1}),
        Panel(of=correlations, mark=images, x="", title="their S_i(d), and fit", options={"as": "map", "per_line": 2}),
        Panel(of=errors, y="share", mark=bars, x="", title="error of the fit, all units", label="share of units",
              xlabel="at most this error (pairs²)", options={"baseline": None}),
        Panel(of=FIT_ERROR, mark=dots, x="method", title="medians", where=imp | random),
        Panel(of=maps, mark=images, x="", columns="pairs", options={"as": "map"}, height=1.7),
    ],
    claims=[
        More(quantity=FIT_ERROR, left=imp, than=random, source="Redman et al. (2025), Fig. S1B",
             says="the median squared error of the fit is smaller for imp's masks than for random ones"),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
