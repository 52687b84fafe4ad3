"""IMP on natural inputs against IMP on their Gaussian clone: samples, masks, widths.  Redman et al. (2025), Fig. 3.

What the paper calls the RF width is the width of the mask's autocorrelation (eq. 1): how fine-grained a mask is, not how far it extends.
So `spread` and `pieces` stand beside it where they were measured, and clustering, whose ceiling falls with the fan-in, also as a share
of that ceiling. The paper draws imp; oneshot and random are controls.

Expect: imp narrower on natural inputs than on the clone. Counts against the paper: no difference (less than half a pixel); and, since
its clone masks "contain no obvious structure", imp on the clone narrower than random masks there.
"""

import numpy as np
from polars import col

from impray.figures import CLONE, NATURAL, Figure, More, Panel, command, dots, images
from impray.figures.tiles import floats
from impray.results.pictures import as_images, most_connected
from impray.results.quantities import CLUSTERING, OF_CEILING, PIECES, SPREAD, WIDTH_X_MEDIAN

imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
natural, clone = col("side") == NATURAL, col("side") == CLONE
PAPER = "Redman et al. (2025), Fig. 3C"
HALF_A_PIXEL = 0.5


def samples(results):
    """Each side's samples, on one scale: the 1st to 99th percentile of all that are shown."""
    frame = as_images(results.rows("images", ["number", "values", "shape"], name="sample", round=0))
    frame = frame.sort("number", "seed", "method", "image_number").unique(
        ["side", "image_number"], keep="first", maintain_order=True
    )
    pixels = np.concatenate([floats(*row).ravel() for row in frame.select("values", "shape").iter_rows()])
    black, white = np.quantile(pixels, (0.01, 0.99))
    return frame.select("side", "image_number", "values", "shape", black=black, white=white)


def masks(results):
    return most_connected(results).filter(imp)


def panel(quantity, **more):
    return Panel(of=quantity, mark=dots, x="method", dash="side", **more)


def on_natural(quantity, note="", **more):
    says = f"imp's masks are {quantity.comparative} on natural inputs than on the clone{note}"
    return More(quantity=quantity, left=imp & natural, than=imp & clone, says=says, question=quantity.name, **more)


FIGURE = Figure(
    name="redman2025_fig3",
    title="Fig. 3  IMP on a Gaussian clone of the inputs",
    question="Does IMP find local receptive fields on a Gaussian clone of the inputs?",
    source="Redman et al. (2025), Fig. 3",
    paper="Trained on a Gaussian clone of ImageNet32 (same mean and covariance), IMP finds no local fields: its masks look diffuse, and "
    "their median RF width is much larger than on ImageNet32.",
    base=True,
    wanted=lambda results: results.where((imp | oneshot | random) & (natural | clone)),
    notes=["Samples: held-out inputs, both sides on one scale. Masks: imp's, of the lowest seed."],
    per_line=3,
    panels=[
        Panel(of=samples, mark=images, columns="side", label="samples", height=1.5, options={"as": "image"}, optional=True),
        Panel(of=masks, mark=images, columns="side", label="imp's masks", height=2.2, optional=True),
        panel(WIDTH_X_MEDIAN),
        panel(CLUSTERING),
        panel(OF_CEILING, optional=True),
        panel(SPREAD, optional=True),
        panel(PIECES, optional=True),
    ],
    claims=[
        on_natural(WIDTH_X_MEDIAN, margin=HALF_A_PIXEL, source=PAPER),
        More(quantity=WIDTH_X_MEDIAN, left=imp & clone, than=random & clone, sign=1, margin=HALF_A_PIXEL, question=WIDTH_X_MEDIAN.name,
             says="on the clone imp's masks are no narrower than random masks", source="Redman et al. (2025), Fig. 3B"),
        on_natural(CLUSTERING),
        on_natural(SPREAD, optional=True),
        on_natural(OF_CEILING, ", as a share of what their fan-in allows", optional=True),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
