"""Width, clustering and accuracy of masks against round, one line per method.  Redman et al. (2025), Fig. 4A.

A column per stimulus along the axis of non-Gaussianity, below each round the share of weights left. The paper draws the mean width
over units, we the median: a few units with hardly any inputs left have widths beyond the image. Claims are of the last round, on the
least Gaussian inputs and on the most Gaussian; settings of further axes are pooled seed by seed. Reads any sweep with such an axis.

Counts against us: oneshot as narrow or as clustered as imp at the last round; or random's width or clustering moving with theirs, by
more than half a pixel or a quarter of chance. The paper's accuracy falls last for imp: counts against it if oneshot is as accurate.
"""

from polars import col

from impray.figures import EVERY, LEAST, MOST, Figure, Gaps, More, NotMeasured, Panel, band, command
from impray.results.quantities import ACCURACY, CLUSTERING, PIECES, SPREAD, WIDTH

imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
ENDS = {
    "least": (col("end") == LEAST) | (col("name").n_unique() == 1),
    "most": col("end") == MOST,
}  # least: or the only
PAIRS = {("imp", "oneshot"): (imp, oneshot), ("oneshot", "random"): (oneshot, random), ("imp", "random"): (imp, random)}
FIG4 = "Redman et al. (2025), Fig. 4A"


def orders(quantity, optional=False):
    """imp before oneshot before random, at both ends of the axis."""
    return [
        More(quantity=quantity, left=left & inputs, than=than & inputs, by=("setting",), optional=optional,
             says=f"On the {end} Gaussian inputs {names[0]} is {quantity.comparative} than {names[1]}",
             question=f"{quantity.name} on the {end} Gaussian inputs", source=FIG4, control=names == ("imp", "random"))
        for end, inputs in ENDS.items()
        for names, (left, than) in PAIRS.items()
    ]  # fmt: skip


def change_of_random(quantity):
    """The last round minus the first, of random on the least Gaussian inputs."""

    def rows(results):
        line = results.values(quantity, EVERY).filter(random & ENDS["least"]).drop_nulls("value").sort("round")
        if line.is_empty():
            raise NotMeasured("needs random on the least Gaussian inputs")
        change = col("value").last() - col("value").first()
        return (
            line.group_by("lineage", "seed")
            .agg(change.alias("gap"))
            .group_by("seed")
            .agg(col("gap").mean())
            .sort("seed")
        )

    return rows


def flat(quantity, words, margin):
    return Gaps(frame=change_of_random(quantity), sign=0, margin=margin, unit=quantity.unit, source=FIG4,
                says=f"On the least Gaussian inputs random's {words} stays as it was", question=f"random's {words}")  # fmt: skip


def panel(quantity, optional=False):
    return Panel(of=quantity, mark=band, at=EVERY, columns="name", optional=optional)


FIGURE = Figure(
    name="width_by_round",
    title="Masks against the round of pruning",
    question="Does pruning round by round localise the receptive fields more than pruning at once?",
    source=FIG4,
    paper="Width falls round by round for imp, less for oneshot, and not for random; imp's accuracy falls last.",
    panels=[panel(WIDTH), panel(SPREAD, True), panel(PIECES, True), panel(CLUSTERING), panel(ACCURACY, True)],
    claims=[
        *orders(WIDTH),
        *orders(CLUSTERING),
        *orders(ACCURACY, optional=True),
        *orders(SPREAD, optional=True),
        flat(WIDTH, "width", 0.5),
        flat(CLUSTERING, "clustering", 0.25),
    ],
)

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
