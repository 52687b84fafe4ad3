"""Masks of the most connected units, imp against oneshot.  Redman et al. (2025), Fig. 1A and B.

Up to 120 masks of the lowest seed at the last round, those with the most inputs first. Beside the paper: random masks, and a number
that needs no fit, `touching`: kept neighbours within a channel relative to chance at the same fan-in.

Expect: imp above oneshot above random (about 1). Counts against the paper: oneshot as compact as imp.
Blind spot: neighbours see the finest scale only; a large smooth field and many small spots can have the same number.
"""

from polars import col

from impray.figures import NATURAL, Figure, More, Panel, command, dots, images
from impray.results.pictures import most_connected
from impray.results.quantities import TOUCHING

imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
PAPER = "Redman et al. (2025), Fig. 1A and B"


def compared(left, than, says, **more):
    return More(quantity=TOUCHING, left=left, than=than, says=says, question="compactness", **more)


FIGURE = Figure(
    name="redman2025_fig1",
    title="Fig. 1  Masks that IMP and oneshot pruning find",
    question="Are the masks of IMP more local than those of oneshot pruning?",
    source=PAPER,
    paper="After ten rounds (97.2 % of the weights gone) the masks of IMP on ImageNet32 are local; those of oneshot pruning at the same "
    "sparsity are noisier and less local.",
    base=True,
    wanted=lambda results: results.where((imp | oneshot | random) & (col("side") == NATURAL)),
    notes=[
        "Masks: the lowest seed's; black is pruned, what is kept has the colour of its channel, white where there is one."
    ],
    panels=[
        Panel(
            of=most_connected,
            mark=images,
            columns="method",
            label="most connected units\nof the lowest seed",
            height=2.4,
        ),
        Panel(of=TOUCHING, mark=dots, x="method"),
    ],
    claims=[
        compared(imp, oneshot, "imp's masks are more compact than oneshot's", source=PAPER),
        compared(oneshot, random, "oneshot's masks are more compact than random's", control=True),
    ],
)

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
