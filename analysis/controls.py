"""What of IMP's masks matters? imp beside its masks on new weights, and beside masks with as many weights at other places.

Accuracy, loss and clustering against the share of weights left, one line per method. Frankle & Carbin (2019), Fig. 4 and 5, find that
tickets train worse from new weights, and shuffled masks no better than random ones (Frankle et al. 2021, for pruning at the start).

Counts against us: reinit or shuffled as accurate as imp at the last round; shuffled more accurate than random by more than 0.02.
"""

from polars import col

from impray.figures import EVERY, Figure, More, Panel, Same, band, command
from impray.results.quantities import ACCURACY, CLUSTERING, LOSS

imp, reinit, shuffled, oneshot, random = (
    col("method") == name for name in ("imp", "reinit", "shuffled", "oneshot", "random")
)
TICKETS = "Frankle and Carbin (2019)"


def more(left, than, says, source, **others):
    return More(
        quantity=ACCURACY, left=left, than=than, says=says, question="held-out accuracy", source=source, **others
    )


FIGURE = Figure(
    name="controls",
    title="IMP beside its masks on new weights, and at other places",
    question="Is it the weights, the places or the numbers that make IMP's masks train?",
    source=TICKETS,
    paper="Tickets train worse from new initial weights; masks shuffled within layers do no better than random ones.",
    panels=[
        Panel(of=quantity, mark=band, at=EVERY, optional=quantity is not ACCURACY)
        for quantity in (ACCURACY, LOSS, CLUSTERING)
    ],
    claims=[
        more(imp, reinit, "imp is more accurate than its masks on new weights", f"{TICKETS}, Fig. 4"),
        more(imp, shuffled, "imp is more accurate than its masks shuffled within layers", "Frankle et al. (2021)"),
        more(reinit, shuffled, "on new weights imp's places are more accurate than shuffled ones", "ours"),
        more(imp, random, "imp is more accurate than random", TICKETS, control=True),
        Same(quantity=ACCURACY, left=shuffled, than=random, margin=0.02, question="shuffled",
             says="Shuffled masks are as accurate as random ones", source="Frankle et al. (2021)"),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
