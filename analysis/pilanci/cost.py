"""What do the methods need?  Memory beside the data in bytes (each one's own count), seconds, and whether they converged, against s.

The paper calls its memory O(s); its code keeps the columns of the support, n x s numbers. Ours streams blocks of rows: a block's share of
these columns and an s x s Gram matrix. imp holds the whole network several times (weights, mask, gradient, the optimizer's state) and a
batch's buffers, whatever s. The slope of the bytes, in kB per weight that is kept, is drawn by itself.

Seconds are of one core, up to the network with s weights: of imp all rounds before, of a solver its own call; measures apart. How far from
converged a network is, trained or solved, is the share of its training loss that least squares on its weights would still remove.

Counts against us: memory that grows faster than s^2. Nothing is judged: a count is not a sample, and seconds are a machine's.
"""

import polars as pl
from polars import col

from impray.figures import Figure, NotMeasured, Panel, Results, means, shares
from impray.figures.claims import Frame
from impray.figures.panels import Mark
from impray.results import quantities as q
from pilanci.those import SOURCE, is_fused, largest, those

SHOWN = ("imp", "iht", "pursuit")
NEEDS = "planted networks and measure solver, as sweeps/pilanci2025.yaml"


def wanted(results: Results) -> Results:
    found = those(results, is_fused, NEEDS)
    found.values(q.OPTIMIZER_BYTES)
    return found


def megabytes(results: Results) -> pl.DataFrame:
    """imp and the solvers: the other methods are trained as imp is."""
    shown = largest(q.OPTIMIZER_BYTES)(results).filter(col("method").is_in(SHOWN))
    return shown.with_columns(col("value") / 1e6)


def slope(results: Results) -> pl.DataFrame:
    """Of the straight line through a seed's bytes against s: kB per weight that is kept; without those of slope 0.

    Raises:  NotMeasured: a single s, or nothing grows.
    """
    s, bytes_ = col("s").cast(pl.Float64), col("value") * 1e3
    lines = megabytes(results).group_by("method", "seed", "m", maintain_order=True)
    found = lines.agg((pl.cov(s, bytes_) / s.var()).alias("value")).filter(col("value") > 0)
    if found.is_empty():
        raise NotMeasured("needs several s, and memory that grows with them")
    return found.with_columns(col("m").cast(pl.String).alias("m, units"))


def of_methods(quantity: q.Quantity) -> Frame:
    def rows(results: Results) -> pl.DataFrame:
        return largest(quantity)(results).filter(col("method").is_in(SHOWN))

    return rows


def panel(of: Frame, mark: Mark, label: str, **more) -> Panel:
    return Panel(of=of, mark=mark, x="s", columns="units", scale="log", xlabel="s, weights", label=label, **more)


FIGURE = Figure(
    name="pilanci2025_cost",
    title="What the methods need",
    question="How does the memory of iht and pursuit grow with the weights that are kept, beside that of imp, and do they converge?",
    source=f"after {SOURCE}",
    paper="iht needs memory O(s).",
    wanted=wanted,
    panels=[
        panel(megabytes, means, "memory beside the data\nMB", yscale="log"),
        panel(of_methods(q.SECONDS), means, "core seconds", yscale="log", optional=True),
        panel(of_methods(q.OPTIMALITY_GAP), means, "share of the loss\nleft to least squares", optional=True,
              options={"limits": (-0.05, 1.05)}),
        panel(largest(q.CONVERGED), shares, q.CONVERGED.label),
        Panel(of=slope, mark=means, x="m, units", xlabel="m, units", label="slope of the memory\nkB per weight kept", yscale="log",
              height=1.4, optional=True, options={"join": True}),
    ],
    notes=["Bytes are counted, not measured: seeds hardly differ, and nothing is judged.",
           "Seconds are of the machine that ran it, and longer where it did other work.",
           "The slope is that of the straight line through bytes against s, by seed; imp holds nearly the same at every s.",
           "An almost exact solution of float64 may have a large share left of next to nothing."],
)  # fmt: skip
