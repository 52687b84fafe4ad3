"""What a search found: its trials by their goals, the front between them, and which axes go with the goals.

Above: one dot per trial that finished, the first goal against the second (with one goal: against the trial's number, with the best so
far), coloured by the axis of the strongest rank correlation with the first goal; rings: trials that no other beats in all goals. Below:
the first two goals against the axes, the most strongly correlated first. Trials that stopped, failed or diverged have no goals: marks at
the lower edge. The unit is the trial; axes of one goal are corrected together. Reads any sweep with goals; search_small_fields is meant.

Expected there: width falls as data.gain rises, and accuracy with it, so that the goals conflict. Counts against us: goals that rise and
fall together, and a correlation with data.gain that is positive or no larger than that of unrelated axes.
"""

import math

import numpy as np
import polars as pl
from polars import col

from impray.figures import Figure, Gaps, NotMeasured, Panel, command, scatter
from impray.results import goals, tables
from impray.results.axis_values import positions
from impray.spec.search import AtDensity, Range
from impray.theory.statistics import front, ranks, spearman

MOST_AXES = 3


def asked(results):
    """The sweep's goals.

    Raises:  NotMeasured: there are none, or --round asks for another place.
    """
    if results.sweep is None or not results.sweep.search.goals:
        raise NotMeasured("this sweep has no goals (search.goals in sweep.yaml)")
    if results.round is not None:
        raise NotMeasured("goals are read at the round or density that the sweep names, not at --round")
    return results.sweep.search.goals


def trials(results):
    """A row per trial: axes, `goal 1` ... (null unless done with a finite number), `status`, `best` (on the front), `so_far` in goal 1."""
    wanted, beside = asked(results), set(results.trials) - set(results.lineages["trial"])
    frame = tables.scan("trials", results.place).sort("number").collect().filter(~col("trial").is_in(beside))
    named = [f"goal {place}" for place in range(1, len(wanted) + 1)]
    is_done, whole = col("status") == "done", col("goals").list.len() == len(wanted)
    numbers = [col("goals").list.get(n, null_on_oob=True).cast(pl.Float64) for n in range(len(wanted))]
    known = [
        pl.when(is_done & whole & number.is_finite()).then(number).alias(name)
        for number, name in zip(numbers, named, strict=True)
    ]
    frame = frame.with_columns(known)
    if frame.drop_nulls(named[:2]).is_empty():
        raise NotMeasured("no trial has finished with its goals")
    signs = [1 if goal.direction == "min" else -1 for goal in wanted]
    points = frame.select(col(name) * sign for name, sign in zip(named, signs, strict=True))
    lacks = is_done & pl.any_horizontal(col(name).is_null() for name in named)
    best = ((points["goal 1"].cum_min()) * signs[0]).forward_fill()
    return frame.with_columns(best.alias("so_far"), pl.Series("best", front(points.rows()), dtype=pl.Boolean),
                              pl.when(lacks).then(pl.lit("undefined")).otherwise("status").alias("status"))  # fmt: skip


def links(results, goal):
    """(axis, rank correlation, trials) of a goal with every axis that has an order, the strongest first; NaN ones left out."""
    frame = trials(results)
    pairs = {path: frame.drop_nulls([goal, path]) for path in results.axes if results.axes[path] in ("int", "float")}
    correlations = [
        (path, spearman(known[path].to_numpy(), known[goal].to_numpy()), len(known)) for path, known in pairs.items()
    ]
    return sorted((link for link in correlations if not math.isnan(link[1])), key=lambda link: -abs(link[1]))


def of_axes(place):
    """What each trial adds to the size of the rank correlation of a goal with every axis that has an order."""

    def rows(results):
        if place > len(asked(results)):
            raise NotMeasured("one goal only")
        frame, words, goal, parts = trials(results), goals.label(asked(results)[place - 1]), f"goal {place}", []
        for path, rho, _ in links(results, goal):
            known = frame.drop_nulls([goal, path])
            sentence = pl.lit(f"{words} {'rises' if rho > 0 else 'falls'} with {path}")
            added, p = ranks(known[path].to_numpy(), known[goal].to_numpy())
            parts.append(known.select("number", words=sentence, gap=pl.Series(np.sign(rho) * added), p=pl.lit(p)))
        return pl.concat(parts) if parts else pl.DataFrame(schema={"words": pl.String, "gap": pl.Float64})

    return rows


def conflict(results):
    """What each trial adds to the rank correlation of the first two goals, both turned so that smaller is better."""
    if len(asked(results)) < 2:
        raise NotMeasured("one goal only")
    known = trials(results).drop_nulls(["goal 1", "goal 2"])
    sign = 1 if asked(results)[0].direction == asked(results)[1].direction else -1
    added, p = ranks(known["goal 1"].to_numpy(), known["goal 2"].to_numpy())
    return known.select("number", gap=pl.Series(sign * added), p=pl.lit(p))


def scale(results, path):
    axis = results.sweep.search.space.get(path)
    by_values = positions(trials(results)[path].to_list())[2]
    return ("log" if axis.log else "linear") if isinstance(axis, Range) and by_values != "names" else by_values


def shaded(results):
    """The trials with `shade`, where they are on the axis that goes most with the first goal."""
    frame, strongest = trials(results), links(results, "goal 1")[:1]
    shade = pl.lit(None, dtype=pl.Float64)
    for path, _, _ in strongest:
        at = col(path).log() if scale(results, path) == "log" else col(path)
        shade = (at - at.min()) / (at.max() - at.min())
    return frame.with_columns(shade.alias("shade"), group=pl.lit(f"colour: {strongest[0][0]}" if strongest else ""))


def panels(results):
    wanted = asked(results)[:2]
    words = {f"goal {n}": f"goal {n}: {goals.label(goal)}\n({goal.direction}imise)" for n, goal in enumerate(wanted, 1)}
    shared = {"of": shaded, "mark": scatter}
    if len(wanted) > 1:
        options = {"named": "number", "join": len(asked(results)) == 2}
        first = Panel(**shared, x="goal 1", y="goal 2", columns="group", label=words["goal 2"], scale="linear", options=options,
                      xlabel=words["goal 1"].replace("\n", " "), where=col("goal 1").is_not_null(), height=3.0)  # fmt: skip
    else:
        first = Panel(**shared, x="number", y="goal 1", columns="group", label=words["goal 1"], scale="linear", height=3.0,
                      options={"named": "number", "line": "so_far"}, xlabel="number of the trial (line: best so far)")  # fmt: skip
    ordered = [path for path, _, _ in links(results, "goal 1")]
    shown = [*ordered, *(path for path in results.axes if path not in ordered)][:MOST_AXES]
    return [first, *(against(results, goal, path, words[goal], shared) for goal in words for path in shown)]


def against(results, goal, path, words, shared):
    known = [f"rank corr. {rho:+.2f}, n = {n}" for axis, rho, n in links(results, goal) if axis == path]
    title = known[0] if known else "no rank correlation"
    short = "\n".join([words.split(":")[0], words.split("\n")[1]])
    return Panel(**shared, x=path, y=goal, title=title, label=short, scale=scale(results, path), height=1.9)


def notes(results):
    """Who finished, what the correlations stand on, and where the first goal was read."""
    frame, search, first = trials(results), results.sweep.search, asked(results)[0]
    asked_for = search.trials or len(frame)
    counts = ", ".join(
        f"{count} {status}" for status, count in frame["status"].value_counts().sort("status").iter_rows()
    )
    seeds = len(results.sweep.seeds)
    sentences = [
        f"{asked_for} trials asked for: {counts}; {frame['best'].sum()} on the front. Numbers are means over {seeds} seeds."
    ]
    if search.algorithm == "optuna":
        sentences.append("Optuna chose later trials by the earlier ones: they are no random sample of the space.")
    if search.stop_early is not None:
        sentences.append(
            "Trials that were stopped had been compared at equal rounds, whatever their prune fraction; those left are selected."
        )
    if isinstance(first.at, AtDensity):
        densities = [
            read.density for read in goals.of_trials(first, results.place, frame.filter(col("status") == "done"))
        ]
        low, high = (100 * end(share for share in densities if share is not None) for end in (min, max))
        sentences.append(
            f"Goal 1 was read with {low:.3g} to {high:.3g} % of the weights left: rounds step over its density."
        )
    return sentences


FIGURE = Figure(
    name="goals",
    title="What the search found",
    question="What did the search find, and which axes go with its goals?",
    per_line=MOST_AXES,
    panels=panels,
    notes=notes,
    claims=[
        Gaps(frame=conflict, sign=-1, least=-1, most=1, what="trial", question="goals", optional=True,
             says="The goals conflict: the better a trial is in one, the worse it is in the other (rank correlation)"),
        *(Gaps(frame=of_axes(place), each="words", least=-1, most=1, what="trial", question=f"goal {place}",
               optional=True, says="{each} (size of the rank correlation)") for place in (1, 2)),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
