"""Which axes of a search matter for its goals, and how: their importance, and the trials as parallel coordinates.

Importance is functional ANOVA's (Hutter, Hoos & Leyton-Brown, 2014): the share of a goal's variance, over the space, that a forest
fitted to the trials gives to an axis alone; Optuna's evaluator, on trials that finished. Shares sum to 1 whatever the trials say, so
each axis is shown beside itself with the goal shuffled between trials: importance that lies among those says nothing. The forest is
fitted to trials drawn with replacement, so that the dots show how much hangs on single trials. Reads any sweep with goals.

Counts against an axis: its dots among those of the shuffled goal. Of fewer than ten trials nothing is said.
"""

import numpy as np
import polars as pl
from goals import asked, scale, trials
from polars import col

from impray.figures import Figure, NotMeasured, Panel, command, swarm
from impray.figures.coordinates import coordinates
from impray.results import goals
from impray.results.axis_values import label
from impray.spec.search import Range

FEWEST, DRAWS, TREES, DEEP = 10, 12, 32, 16
ITSELF, SHUFFLED = "as it is", "shuffled"


def distributions(results):
    """Axes as Optuna knows them: ranges, or lists of values in words."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    space, frame = results.sweep.search.space, trials(results)
    found = {}
    for path in results.axes:
        axis = space.get(path)
        if isinstance(axis, Range):
            found[path] = FloatDistribution(axis.low, axis.high, log=axis.log)
        elif frame[path].n_unique() > 1:
            found[path] = CategoricalDistribution(sorted({label(value) for value in frame[path]}))
    return found


def importance(known, goal, space, seed):
    """Axis -> share of the goal's variance, of trials drawn with replacement."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    drawn = known[np.random.default_rng(seed).integers(len(known), size=len(known)).tolist()]
    study = optuna.create_study()
    for row in drawn.iter_rows(named=True):
        params = {
            path: float(row[path]) if not hasattr(kind, "choices") else label(row[path]) for path, kind in space.items()
        }
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=row[goal]))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEEP, seed=seed)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def importances(place):
    """Rows of one goal: axis, `draw`, `value`, and whether the goal is as it is or shuffled."""

    def rows(results):
        goal, space = f"goal {place}", distributions(results)
        known = trials(results).drop_nulls([goal, *space])
        if len(space) < 2:
            raise NotMeasured("needs two axes that vary")
        if len(known) < FEWEST:
            raise NotMeasured(f"needs {FEWEST} trials with a number, and has {len(known)}")
        if known[goal].n_unique() < 2:
            raise NotMeasured("the goal is the same in all trials")
        found = []
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(len(known)).tolist()
            for what, frame in ((ITSELF, known), (SHUFFLED, known.with_columns(known[goal][order].alias(goal)))):
                shares = importance(frame, goal, space, draw)
                found += [(f"{_last(path)}\n{what}", path, what, draw, shares[path]) for path in space]
        order = [f"{_last(path)}\n{what}" for path in space for what in (ITSELF, SHUFFLED)]
        frame = pl.DataFrame(found, schema=["along", "path", "goal is", "draw", "value"], orient="row")
        return frame.sort(col("along").replace_strict({name: n for n, name in enumerate(order)}), "draw")

    return rows


def _last(path):
    """An axis by its last word, as facets are named."""
    return path.rsplit(".", 1)[-1]


def lines(results):
    """Rows of parallel coordinates: `trial`, axis, `y` from its lowest value (0) to its highest, `rank` in goal 1 (0: the best)."""
    frame, sign = trials(results), 1 if asked(results)[0].direction == "min" else -1
    named = [f"goal {place}" for place in range(1, len(asked(results)) + 1)]
    ranks = (frame["goal 1"] * sign).rank("average")
    most = float(np.nanmax(ranks.cast(pl.Float64).fill_null(np.nan).to_numpy()))
    frame = frame.with_columns(((ranks - 1) / max(1.0, most - 1)).alias("rank"))
    parts = []
    for path in [*(path for path in results.axes if frame[path].n_unique() > 1), *named]:
        numbers, ends = _places(frame[path], path in results.axes and scale(results, path) == "log")
        parts.append(frame.select(col("number").cast(pl.String).alias("trial"), pl.lit(f"{_last(path)}\n{ends}").alias("along"),
                                  numbers.alias("y"), "rank"))  # fmt: skip
    return pl.concat(parts)


def _places(values, log):
    """Values from 0 to 1 along their axis, and what the ends are, in words."""
    if not values.dtype.is_numeric():
        words = [label(value) for value in values]
        order = sorted(set(words))
        return pl.Series([order.index(word) / max(1, len(order) - 1) for word in words]), f"{order[0]} to {order[-1]}"
    numbers = values.cast(pl.Float64)
    low, high = numbers.min(), numbers.max()
    along = numbers.log() if log else numbers
    return (along - along.min()) / ((along.max() - along.min()) or 1.0), f"{low:.3g} to {high:.3g}"


def panels(results):
    names = [goals.label(goal) for goal in asked(results)]
    drawn = [
        Panel(of=importances(place), mark=swarm, x="along", xlabel=" ", colour="goal is", title=f"goal {place}: {name}",
              label="share of the goal's\nvariance", height=1.9)
        for place, name in enumerate(names, start=1)
    ]  # fmt: skip
    ends = ("the best in goal 1", "the worst", "without a goal (stopped, failed)")
    return [
        *drawn,
        Panel(
            of=lines, mark=coordinates, x="along", xlabel=" ", y="y", colour="trial", height=2.6, options={"ends": ends}
        ),
    ]


def notes(results):
    known = trials(results).drop_nulls("goal 1")
    return [
        f"{len(known)} trials with a number; each dot is one forest, of as many trials drawn with replacement.",
        "Trials that were stopped early have no goal and are in no forest: what is left is selected.",
    ]


FIGURE = Figure(
    name="importance",
    title="Which axes matter for the goals",
    question="Which axes of the search matter for its goals, and where do the best trials lie?",
    source="Hutter, Hoos & Leyton-Brown (2014)",
    panels=panels,
    notes=notes,
)

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
