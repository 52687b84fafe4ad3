"""IMP's masks against the inputs' non-Gaussianity.  Redman et al. (2025), Fig. 3C.

One line per method against the axis of non-Gaussianity (data.gaussian_blend, data.gain or data.k, else the first), at the last round;
further axes are small multiples, and claims pool them seed by seed. Reads any sweep; quickstart is meant.

Counts against us: imp no narrower or no more clustered on the data than on their Gaussian clone, or no more local than oneshot and
random on the data. Counts against the paper's stronger claim, that the clone's masks have no structure: imp on the clone more local
than random.
"""

from polars import col

from impray.figures import AXIS, LEAST, MOST, Figure, More, Panel, command, dots
from impray.results.quantities import CLUSTERING, KURTOSIS, OF_CEILING, PIECES, SPREAD, WIDTH

imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
least, most = col("end") == LEAST, col("end") == MOST
NO_STRUCTURE = "the clone's masks have no structure (Redman et al. 2025, Fig. 3B)"


def compared(quantity, left, than, says, **more):
    says = f"on the {says}".replace("more", quantity.comparative, 1)
    return More(quantity=quantity, left=left, than=than, says=says, question=quantity.name, by=("setting",), **more)


def claims(quantity, optional=False):
    """What the paper says of a quantity, its control, and what speaks against the stronger claim."""
    fig3, fig4 = "Redman et al. (2025), Fig. 3C", "Redman et al. (2025), Fig. 4A"
    return [
        compared(quantity, imp & least, imp & most, "least Gaussian inputs imp is more than on the most Gaussian",
                 source=fig3, optional=optional),
        compared(quantity, imp & least, oneshot & least, "least Gaussian inputs imp is more than oneshot",
                 source=fig4, optional=optional),
        compared(quantity, imp & least, random & least, "least Gaussian inputs imp is more than random",
                 control=True, optional=optional),
        compared(quantity, imp & most, random & most, "most Gaussian inputs imp is more than random too",
                 source=f"against: {NO_STRUCTURE}", optional=optional),
    ]  # fmt: skip


def panels(results):
    """A facet per setting of further axes, where there are several."""
    facets = "setting" if results.lineages["setting"].n_unique() > 1 else ""
    drawn = (WIDTH, CLUSTERING, SPREAD, OF_CEILING, PIECES, KURTOSIS)
    optional = (SPREAD, PIECES, OF_CEILING)
    return [Panel(of=q, mark=dots, x=AXIS, columns=facets, optional=q in optional) for q in drawn]


FIGURE = Figure(
    name="width_by_gain",
    title="IMP's masks against the inputs' non-Gaussianity",
    question="Does IMP find local receptive fields only when the inputs are non-Gaussian?",
    source="Redman et al. (2025), Fig. 3",
    paper="Masks are wider the more Gaussian the inputs are; on the Gaussian clone they show no structure.",
    panels=panels,
    per_line=2,
    claims=[*claims(WIDTH), *claims(CLUSTERING), *claims(SPREAD, optional=True)],
)

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
