"""Which weights go, and how near is the rest to the truth?  Linear models, round by round.

The share of the true features that is kept, the error of the weights and the share of removals as the alignment heuristic's, against the
weights left, one line per method.

Counts against imp: more true features lost than by the heuristic, or a larger error, when as many weights are left as the truth has.
"""

from elesedy.those import SOURCE, alignment, imp, linear
from impray.figures import EVERY, Figure, More, NotMeasured, Panel, means
from impray.results import quantities as q
from impray.results.tidy import Results

NEEDS = "rows of several rounds of linear models and measure support, as sweeps/elesedy2020_small.yaml"


def wanted(results: Results) -> Results:
    if max(results.rounds.group_by("lineage").len()["len"].to_list()) < 3:
        raise NotMeasured(f"needs {NEEDS}")
    return linear(results, lambda trial, data: True, NEEDS)


def better(quantity: q.Quantity) -> More:
    says = f"imp is {quantity.comparative} than the alignment heuristic"
    return More(quantity=quantity, left=imp, than=alignment, says=says, source="ours", question="imp and alignment")


FIGURE = Figure(
    name="elesedy2020_rounds",
    title="Linear models, round by round",
    question="In which order does iterative magnitude pruning remove the features of a linear model, and does it keep the true ones?",
    source=f"after {SOURCE}",
    wanted=wanted,
    panels=[
        Panel(of=quantity, mark=means, at=EVERY, optional=quantity is not q.SUPPORT_RECALL)
        for quantity in (q.SUPPORT_RECALL, q.ESTIMATION_ERROR, q.AGREEMENT)
    ],
    claims=[better(q.SUPPORT_RECALL), better(q.ESTIMATION_ERROR)],
)
