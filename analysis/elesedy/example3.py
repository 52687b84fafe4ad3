"""Does imp become the alignment heuristic as random features become less coherent?  Elesedy et al. (2020), Example 3.

Independent Gaussian features, each scaled to a mean square of 1; their coherence, the largest |correlation| of two, falls with the samples.
Example 3 expands the inverse of Sigma in the coherence and has imp tend to the heuristic. Its condition, coherence < 1 / (p - 1), is far
from what random features have; and what goes first are weights whose projections are noise.

Counts against the paper: agreement in most removals not reached at the most samples. Counts against us: imp's order no nearer to that of
the dense round's weights with more samples; coherence that does not fall.
"""

from polars import col

from elesedy.those import SOURCE, imp, linear, rows
from impray.figures import Figure, Level, Panel, Trend, dots
from impray.results import quantities as q
from impray.results.tidy import NotMeasured, Results
from impray.spec.data.designs import Identity

SAMPLES = "data.samples"
NEEDS = "an axis data.samples, features of design identity and measure order, as sweeps/elesedy2020_random.yaml"


def wanted(results: Results) -> Results:
    if SAMPLES not in results.axes:
        raise NotMeasured(f"needs {NEEDS}")
    rows(results, "alignment_agreement")
    return linear(results, lambda trial, data: isinstance(data.design, Identity) and not data.design.exact, NEEDS)


def panel(quantity: q.Quantity, **more) -> Panel:
    return Panel(of=quantity, mark=dots, x=SAMPLES, scale="log", where=imp, xlabel="samples", **more)


def trend(quantity: q.Quantity, sign: int, says: str, **more) -> Trend:
    return Trend(quantity=quantity, left=imp, along=SAMPLES, sign=sign, says=says, **more)


FIGURE = Figure(
    name="elesedy2020_example3",
    title="Example 3  imp and the alignment heuristic, random features",
    question="Does iterative magnitude pruning become the alignment heuristic as random features become less coherent?",
    source=f"{SOURCE}, Example 3",
    paper="For pairwise incoherent features imp tends to the heuristic as the coherence falls.",
    wanted=wanted,
    panels=[panel(quantity) for quantity in (q.AGREEMENT, q.ORDER_TAU, q.ORDER_TAU_ONESHOT, q.COHERENCE)],
    per_line=2,
    claims=[
        Level(quantity=q.AGREEMENT, left=imp & (col(SAMPLES) == col(SAMPLES).max()), above=0.5, source=f"{SOURCE}, Example 3",
              says="with the most samples imp agrees with the heuristic in most removals"),
        trend(q.AGREEMENT, 1, "imp agrees the more with the heuristic the more samples there are", question="trend", source=SOURCE),
        trend(q.ORDER_TAU_ONESHOT, 1, "imp's order is the nearer to the dense weights' the more samples there are", question="trend",
              source="ours"),
        trend(q.COHERENCE, -1, "the coherence falls with the samples", question="control", control=True),
    ],
)  # fmt: skip
