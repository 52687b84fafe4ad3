"""A single neuron on elliptical inputs: fields over time and the sinusoids that fit them best.  Lufkin et al. (2024), Fig. 4.

The paper trains the t distribution at one setting and the other two laws at another; claims and fields are of each law's trial at the
paper's training (else its first), distances of all trials. The best sinusoid is a single Fourier mode, a constant included; distances
are |w - sinusoid| / |w|. Waves are what is left in the end: where the classes' covariances hardly differ the other modes take long to
die out, and eq. 5, which for elliptical inputs is exact, says whether time is missing (its field is no wave either) or samples (it is).

Counts against the paper: a field that localises (IPR above 2 times that of white noise); distances above 10 %, the paper's largest.
Blind spot: the t test of distances, of 10 seeds that see the same samples, is over initial weights only.
"""

import numpy as np
import polars as pl
from polars import col

from impray.figures import Figure, Gaps, Panel, dots, lines
from impray.results.quantities import quantity
from impray.results.tidy import Results, once
from impray.spec.data import Elliptical
from impray.theory.localization import euler, sinusoid
from impray.theory.ring import NOT_LOCAL, ipr, noise_ipr
from lufkin.those import DENSE, courses, data_of, gaps, has_theory, is_neuron, sgd, those

NEEDS = "single ReLU neurons on elliptical inputs and measure course with weights_every, as sweeps/lufkin2024_elliptical.yaml"
LAWS = {"student_t": ("t", 9.77), "shell": ("shell", 3.75), "extreme": ("extreme", 4.14)}  # the paper's distances (%)
OF_T, OF_OTHERS = (0.01, 10_000, 1_000), (0.05, 5_000, 10_000)  # the paper's lr, steps, batch
WAVE = 0.1  # distance from the best sinusoid: as the largest that the paper calls low
END, MEAN, THEORY = "after training", "mean over its second half", "by eq. 5"


def trainings(results: Results) -> dict[str, tuple]:
    of_trials = {id: sgd(trial) for id, trial in results.trials.items()}
    return {id: (train.lr, train.steps, train.batch) for id, train in of_trials.items()}


def shown(results: Results) -> list[str]:
    """Of each law the trial at the paper's training, else the first; three laws, the paper's before others."""
    law = {id: data.radius for id, data in data_of(results).items()}
    own = {
        id: training == (OF_T if law[id] == "student_t" else OF_OTHERS) for id, training in trainings(results).items()
    }
    first = {law[id]: id for id in reversed(sorted(law, key=lambda id: not own[id]))}
    return [first[radius] for radius in dict.fromkeys([*LAWS, *first]) if radius in first][:3]


@once
def ends(results: Results) -> pl.DataFrame:
    """A row per net and `weights`: the trained weights, their mean over the second half of training (without the noise of single batches),
    and those by eq. 5 after the same time; each with its best sinusoid.
    """
    parts, own = [], shown(results)
    for course in courses(results):
        trial, steps = course.trial, np.array(course.steps)
        weights = {END: course.w[-1], MEAN: course.w[steps >= steps[-1] / 2].mean(axis=0)}
        if has_theory(course.data, "exact"):
            weights[THEORY] = euler(course.data, course.w[0], sgd(trial).lr, sgd(trial).steps)
        lr, updates, batch = trainings(results)[trial.id]
        known = {"trial": trial.id, "name": course.name, "law": course.data.radius, "seed": course.seeds}
        known |= {"training": f"lr {lr:g}, {updates:,} updates, batch {batch:,}", "shown": trial.id in own}
        for what, w in weights.items():
            fit = sinusoid(w, trial.data.input_shape)
            numbers = {"weights": what, "distance": fit.relative_distance, "cycles": fit.frequency[:, 1], "ipr": ipr(w)}
            numbers |= {"quiet": NOT_LOCAL * noise_ipr(w.shape[-1]), "fitted": fit.values.tolist()}
            parts.append(pl.DataFrame(known | numbers))
    return pl.concat(parts)


def fields(results: Results) -> pl.DataFrame:
    """Weights over time of the lowest seed on each law, and their best sinusoid, which has no `share` of the time."""
    fits = {row["trial"]: row for row in ends(results).filter(trained & (col("seed") == col("seed").min())).to_dicts()}
    parts, by_trial = [], {course.trial.id: course.thinned() for course in courses(results)}
    for id in shown(results):
        fit, course = fits[id], by_trial[id]
        wave = "a constant" if fit["cycles"] == 0 else f"{fit['cycles']} cycles around"
        facet = f"{fit['name']}, seed {fit['seed']}\nbest sinusoid: {wave}"
        share = [step / course.steps[-1] for step in course.steps]
        parts.append(
            pl.DataFrame({"law": facet, "share": [*share, None], "w": [*course.w[:, 0].tolist(), fit["fitted"]]})
        )
    return pl.concat(parts)


trained = (col("weights") == END) & col("shown")
SOURCE = "Lufkin et al. (2024), Fig. 4"


def by_law(**more) -> Panel:
    return Panel(mark=dots, x="name", xlabel="inputs", height=1.5, **more)


FIGURE = Figure(
    name="lufkin2024_fig4",
    title="Fig. 4  Elliptical inputs: waves, not local fields",
    question="Does a single neuron on elliptical inputs end in a wave, whatever the inputs' kurtosis?",
    source=SOURCE,
    paper="On three elliptical distributions (t with 3 degrees of freedom, whose preactivations have infinite kurtosis, a shell, and one "
    "with its mass far out) the final field is a sinusoid: relative distances 9.77 %, 3.75 %, 4.14 %.",
    wanted=lambda results: those(results, lambda trial: is_neuron(trial) and isinstance(trial.data, Elliptical), NEEDS),
    per_line=2,
    panels=[
        Panel(of=fields, mark=lines, x="", y="w", columns="law", label="weight", xlabel="input", shared=False,
              options={"fit": "best sinusoid"}),
        by_law(of=ends, y="distance", columns="training", colour="weights", reference=WAVE,
              label="distance from the\nbest sinusoid"),
        by_law(of=ends, y="ipr", where=trained, colour="", reference=noise_ipr(40),
              label="IPR after training\n(white noise: 0.07)"),
        by_law(of=quantity("kurtosis_mean"), at=DENSE, colour="", yscale="log", reference=3, optional=True,
              label="kurtosis of initial\npreactivations"),
    ],
    claims=[
        Gaps(frame=gaps(ends, col("ipr") - col("quiet")), where=trained, sign=-1, each="name", source=SOURCE, question="local",
             says="on {each} inputs the field does not localise: IPR below 2 times that of white noise"),
        *(Gaps(frame=gaps(ends, col("distance") - WAVE), where=trained & (col("law") == law), sign=-1, question="waves",
               source=f"{SOURCE} ({theirs} %)", says=f"on {words} inputs the field is a wave: less than 10 % from a sinusoid")
          for law, (words, theirs) in LAWS.items()),
    ],
)  # fmt: skip
