"""Kurtosis of first-layer preactivations against round, one line per method.  Redman et al. (2025), Fig. 4B.

Within each class, at theta(rewind) * mask, then the mean over classes and over units; a Gaussian has 3. Methods are compared by their
distance from 3: with binary inputs (a large data.gain) the kurtosis lies below it. A column per stimulus along the axis of
non-Gaussianity. Orders are judged at the last round and as the mean of all rounds in which the masks differ. The mean over classes is
that of few photographs with very high kurtosis.

Counts against us: oneshot as far from 3 as imp; a maximum of imp in the middle (a rank correlation with the round of 0.8 or less is not
"almost monotone"); random moving by more than 0.5; a Gaussian clone away from 3 by 0.1 or more.
"""

from polars import col

from impray.figures import EVERY, LAST, LEAST, MOST, Figure, Gaps, Level, More, NotMeasured, Panel, Trend, band, command
from impray.results.quantities import KURTOSIS, KURTOSIS_END

imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
least, most = (col("end") == LEAST) | (col("name").n_unique() == 1), col("end") == MOST  # least: or the only
PAIRS = {("imp", "oneshot"): (imp, oneshot), ("oneshot", "random"): (oneshot, random), ("imp", "random"): (imp, random)}
ROUNDS = {"Over all rounds": EVERY, "At the last round": LAST}
FIG4 = "Redman et al. (2025), Fig. 4B"


def orders(quantity, optional=False):
    """imp further from 3 than oneshot, oneshot than random, on the least Gaussian inputs."""
    return [
        More(quantity=quantity, left=left & least, than=than & least, by=("setting",), at=at, optional=optional,
             says=f"{when} {names[0]} is {quantity.comparative} than {names[1]} on the least Gaussian inputs",
             question=f"{quantity.name}: {when}", source=FIG4)
        for when, at in ROUNDS.items()
        for names, (left, than) in PAIRS.items()
    ]  # fmt: skip


def change_of_random(results):
    """random's kurtosis at the last round minus that at the first, on the least Gaussian inputs."""
    line = results.values(KURTOSIS, EVERY).filter(random & least).drop_nulls("value").sort("round")
    if line.is_empty():
        raise NotMeasured("needs random on the least Gaussian inputs")
    change = col("value").last() - col("value").first()
    return (
        line.group_by("lineage", "seed").agg(change.alias("gap")).group_by("seed").agg(col("gap").mean()).sort("seed")
    )


FIGURE = Figure(
    name="kurtosis_by_round",
    title="Non-Gaussianity of preactivations against the round of pruning",
    question="Does IMP make the preactivations less Gaussian, round by round, than the controls?",
    source=FIG4,
    paper="Kurtosis rises almost monotonically for imp, less for oneshot, not for random; it is 3 on the Gaussian clone.",
    panels=[
        Panel(of=KURTOSIS, mark=band, at=EVERY, columns="name", height=2.6),
        Panel(of=KURTOSIS_END, mark=band, at=EVERY, columns="name", height=2.6, optional=True),
    ],
    claims=[
        *orders(KURTOSIS),
        Trend(quantity=KURTOSIS, left=imp & least, along="round", beyond=0.8, at=EVERY, source=FIG4, question="monotone",
              says="On the least Gaussian inputs imp's distance from 3 grows almost monotonically (rank correlation above 0.8)"),
        Gaps(frame=change_of_random, sign=0, margin=0.5, source=FIG4, question="random",
             says="On the least Gaussian inputs random's kurtosis stays as it was"),
        Level(quantity=KURTOSIS, left=imp & most, near=3.0, margin=0.1, at=EVERY, control=True,
              says="On the most Gaussian inputs imp's kurtosis is a Gaussian's", source=FIG4, question="clone"),
        *orders(KURTOSIS_END, optional=True),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
