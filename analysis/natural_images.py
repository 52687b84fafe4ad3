"""Does what IMP finds on natural images hold on other images?  Sets of images as the unit of replication.

A row of panels per quantity, a facet per set: natural images beside their Gaussian clone. Each claim has one number per set, the mean
over seeds. Reads sweeps with an axis data.images; natural_images is meant.

Counts against us: sets on which imp is no more clustered on the images than on their clone, or than oneshot and random.
"""

from polars import col

from impray.figures import CLONE, NATURAL, Figure, More, Panel, command, dots
from impray.results.quantities import ACCURACY, CLUSTERING, KURTOSIS, OF_CEILING, PIECES, SPREAD, WIDTH

imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
natural, clone = col("side") == NATURAL, col("side") == CLONE
SETS = {"over": "data.images", "what": "set", "by": ("data.images",)}


def claims(quantity, optional=False):
    shared = {"quantity": quantity, "question": quantity.name, "optional": optional, **SETS}
    more = quantity.comparative
    return [
        More(says=f"imp is {more} on images than on their clone", left=imp & natural, than=imp & clone, **shared),
        More(says=f"on images imp is {more} than oneshot", left=imp & natural, than=oneshot & natural, **shared),
        More(
            says=f"on images imp is {more} than random",
            left=imp & natural,
            than=random & natural,
            control=True,
            **shared,
        ),
        More(says=f"on the clones imp is {more} than random", left=imp & clone, than=random & clone, **shared),
    ]


FIGURE = Figure(
    name="natural_images",
    title="IMP on five sets of images and their Gaussian clones",
    question="Does what IMP finds on natural images hold on other images, or on these photographs alone?",
    source="ours; Redman et al. (2025), Fig. 3, has one set of images",
    panels=[
        Panel(of=q, mark=dots, x="side", columns="data.images", optional=q in (PIECES, OF_CEILING))
        for q in (CLUSTERING, OF_CEILING, WIDTH, SPREAD, PIECES, KURTOSIS, ACCURACY)
    ],
    claims=[*claims(CLUSTERING), *claims(OF_CEILING, True), *claims(WIDTH), *claims(SPREAD)],
)

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
