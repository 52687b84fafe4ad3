"""Receptive fields over training on a non-linear Gaussian process and on its Gaussian clone.  Ingrosso & Goldt (2022).

Above, weights of the first eight units of one seed at the recorded steps, at the middle gain; below, IPR and held-out loss
against step, a line per gain and blend (mean and range over seeds). An IPR of 3/(n + 2) is that of n Gaussian random
weights. Reads the tables `rounds`, `steps` (measure `course`) and `trials` of sweep ingrosso2022; nothing is pruned.

Expect: on the process the IPR rises and ends above the clone's in every seed, and the clone's stays within a factor of
1.5 of random weights', as do both where the process is nearly Gaussian (excess kurtosis above -0.1, such as gain 0.1);
the clone's fields are nearer to a single wave than the process's. What would count against the paper: the clone's IPR
leaving the random value, a seed on the process that ends below its clone, or a nearly Gaussian process whose fields
get local (then it is not the higher cumulants). Whether the clone's fields are waves at all is said in numbers: the share
of their power in the best one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import common
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from paper.claims import Claim, headline

from impray.results.store import Place
from impray.spec.data import DataSpec, Nlgp
from impray.spec.errors import DataError
from impray.spec.trial import Trial
from impray.theory import stimuli

QUESTION = "Do receptive fields become local on a non-linear Gaussian process, and not on its Gaussian clone?"
UNITS, STEPS = 8, 6  # drawn at most
NEAR = 1.5  # times the IPR of random weights, or one over it
NEARLY_GAUSSIAN = 0.1  # excess kurtosis
COLOURS = ("#009E73", "#0072B2", "#D55E00", "#CC79A7", "#000000")
SCHEMA = {
    "gain": pl.Float64(),
    "blend": pl.Float64(),
    "excess": pl.Float64(),
    "inputs": pl.Int64(),
    "seed": pl.Int64(),
    "lineage": pl.String(),
    "status": pl.String(),
    "step": pl.Int64(),
    "ipr": pl.Float64(),
    "loss": pl.Float64(),
    "accuracy": pl.Float64(),
    "sinusoid_distance": pl.Float64(),
}

ORDER = ("gain", "blend", "seed", "lineage", "step")


# --- table -----------------------------------------------------------------------------------------------------------


def table(rows: pl.LazyFrame, steps: pl.LazyFrame, data: Mapping[str, DataSpec]) -> pl.DataFrame:
    """A row per lineage and recorded step of round 0: means over units of the IPR, the loss; at the last one the rest.

    A lineage that diverged has one row, without numbers. Stimuli other than nlgp at a blend of 0 or 1 are left out.

    Raises:  DataError: no lineage has a time course on nlgp or its clone.
    """
    rounds = rows.filter(pl.col("round") == 0).collect()
    ends = [name for name in ("accuracy", "sinusoid_distance_mean") if name in rounds.columns]
    who = rounds.select("lineage", "trial", "seed", "status", *ends).rename(
        {"sinusoid_distance_mean": "sinusoid_distance"}, strict=False
    )
    of = [
        (trial, spec.gain, spec.gaussian_blend, stimuli.theory_moments(_natural(spec), 0).excess_kurtosis, spec.inputs)
        for trial, spec in data.items()
        if isinstance(spec, Nlgp) and spec.gaussian_blend in (0, 1)
    ]
    known = pl.DataFrame(of, ["trial", "gain", "blend", "excess", "inputs"], orient="row")
    course = steps.filter(pl.col("round") == 0).group_by("lineage", "step").agg(pl.col("ipr", "loss").mean()).collect()
    if known.is_empty() or course.is_empty():
        raise DataError("nothing to draw: this sweep has no time course (measure course) of nlgp or its Gaussian clone")
    joined = who.join(known, on="trial", how="inner").join(course, on="lineage", how="left")
    done = pl.col("status") == "done"
    joined = joined.filter(pl.col("step").is_not_null() | ~done)
    sound = joined.filter(done)
    lost = joined.filter(~done).unique("lineage").with_columns(step=None, ipr=None, loss=None)
    if sound.is_empty():
        raise DataError("nothing to draw: every lineage with a time course diverged")
    last = pl.col("step") == pl.col("step").max().over("lineage")
    found = pl.concat([sound, lost], how="diagonal_relaxed")
    at_end = [name for name in ("accuracy", "sinusoid_distance") if name in found.columns]
    found = found.with_columns(pl.when(last).then(pl.col(name)).alias(name) for name in at_end)
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items() if name not in found.columns]
    return found.with_columns(missing).select(list(SCHEMA)).cast(pl.Schema(SCHEMA)).sort(ORDER)


def _natural(spec: Nlgp) -> Nlgp:
    return spec.model_copy(update={"gaussian_blend": 0.0})


@dataclass(frozen=True)
class Fields:
    """What is drawn above: weights[blend][step] is [unit, row, col]."""

    gain: float
    seed: int
    weights: Mapping[float, Mapping[int, np.ndarray]]


def fields(found: pl.DataFrame, steps: pl.LazyFrame, shapes: Mapping[int, tuple[int, ...]]) -> Fields | None:
    """The first units at the middle gain, of the first seed that has weights on the process and its clone.

    Args:    found: from `table`. shapes: number of inputs -> how they lie.
    """
    gain = middle(found)
    of = common.part(found, gain=gain, status="done").select("lineage", "seed", "blend", "inputs").unique()
    stored = steps.filter(pl.col("round") == 0, pl.col("weights").is_not_null(), pl.col("unit") < UNITS)
    held = stored.select("lineage", "step", "unit", "weights").collect().join(of, on="lineage").sort("unit")
    both = held.group_by("seed").agg(pl.col("blend").n_unique()).filter(pl.col("blend") == of["blend"].n_unique())
    if both.is_empty():
        return None
    seed = int(both["seed"].min())  # type: ignore[arg-type]
    held = common.part(held, seed=seed)
    shape = shapes[held["inputs"][0]]
    sides = shape if len(shape) == 2 else (1, shape[0])
    weights = {
        blend: {
            step: np.array(common.part(held, blend=blend, step=step)["weights"].to_list()).reshape(-1, *sides)
            for step in common.shown(sorted(set(common.part(held, blend=blend)["step"])), STEPS)
        }
        for blend in sorted(set(held["blend"]))
    }
    return Fields(gain, seed, weights)


def gains(found: pl.DataFrame) -> list[float]:
    return sorted(set(found["gain"]))


def middle(found: pl.DataFrame) -> float:
    """The gain in the middle of those that were run."""
    of = gains(common.part(found, status="done"))
    return of[len(of) // 2]


def random_ipr(inputs: int) -> float:
    """Mean IPR of Gaussian random weights."""
    return 3 / (inputs + 2)


# --- figure ----------------------------------------------------------------------------------------------------------


def draw(found: pl.DataFrame, of: Fields | None) -> Figure:
    """Fields above, IPR and loss below."""
    figure = common.blank(10.5, 8.6 if of else 4.6)
    lower: Figure | SubFigure = figure
    if of:
        (upper,), (lower,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.25, 1))
        _fields(upper, of)
    ipr, loss = lower.subplots(1, 2)
    handles = _course(common.plain(ipr), found, "ipr") | _course(common.plain(loss), found, "loss")
    for inputs in sorted(set(found["inputs"])):
        handles["random weights"] = ipr.axhline(random_ipr(inputs), color="0.4", linewidth=1.0, linestyle=":")
    for axes, label in ((ipr, "IPR, mean over units"), (loss, "held-out loss")):
        axes.set_ylabel(label, fontsize=8)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    words = [f"{verdict(found)} {_waves(ends(found))}", _caption(found, of)]
    return common.finish(figure, QUESTION, words, handles)


def _fields(figure: SubFigure, of: Fields) -> None:
    """A row per step, the process left and its clone right; every image on its own scale around 0."""
    sides = list(of.weights.items())
    rows = max(len(steps) for _, steps in sides)
    blocks = figure.subfigures(1, len(sides), squeeze=False)[0]
    for block, (blend, steps) in zip(blocks, sides, strict=True):
        name = "Gaussian clone" if blend else "non-linear Gaussian process"
        block.suptitle(f"{name}, gain {of.gain:.3g}, seed {of.seed}", fontsize=9)
        units = max(len(weights) for weights in steps.values())
        grid = block.subplots(rows, units, squeeze=False)
        for line, (step, weights) in zip(grid, steps.items(), strict=False):
            for axes, image in zip(line, weights, strict=False):
                _image(axes, image)
            line[0].set_ylabel(f"{step:,}" if step else "step 0", fontsize=7, rotation=0, ha="right", va="center")
        for axes in grid.flat:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_linewidth(0.3)


def _image(axes: Axes, image: np.ndarray) -> None:
    most = np.abs(image).max()
    axes.imshow(image, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")


def _course(axes: Axes, found: pl.DataFrame, name: str) -> dict[str, Artist]:
    handles: dict[str, Artist] = {}
    for place, gain in enumerate(gains(found)):
        for blend in sorted(set(common.part(found, gain=gain)["blend"])):
            value = pl.col(name)
            of = common.part(found, gain=gain, blend=blend).drop_nulls(["step", name]).group_by("step")
            line = of.agg(value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high")).sort("step")
            colour, style = COLOURS[place % len(COLOURS)], "--" if blend else "-"
            axes.fill_between(line["step"], line["low"], line["high"], color=colour, alpha=0.18, linewidth=0)
            drawn = axes.plot(line["step"], line["mean"], color=colour, linestyle=style, linewidth=1.4)
            handles[f"gain {gain:.3g}{', clone' if blend else ''}"] = drawn[0]
    axes.set_xlabel("step", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return handles


# --- claims ----------------------------------------------------------------------------------------------------------


def claims(found: pl.DataFrame) -> list[Claim]:
    """Of the paper, in how many pairs of gain and seed each holds; the first is the main one."""
    of = ends(found)
    far, near = of.filter(pl.col("excess") <= -NEARLY_GAUSSIAN), of.filter(pl.col("excess") > -NEARLY_GAUSSIAN)
    both = far.drop_nulls(["ipr", "ipr_clone"])
    process, clone, nearly = (
        part.drop_nulls([name]) for part, name in ((far, "ipr"), (of, "ipr_clone"), (near, "ipr"))
    )
    waves = far.drop_nulls(["sinusoid_distance", "sinusoid_distance_clone"])
    small = nearly.drop_nulls("ipr_clone")
    gap = f"; difference to its clone {_range(small['ipr'] - small['ipr_clone'])}" if len(small) else ""
    close = f"the clone's ends near random weights' (within a factor of {NEAR:g})"
    return [
        _claim("the IPR ends above the clone's", both["ipr"] > both["ipr_clone"], _sides(both, "ipr")),
        _claim("it rises while training", process["ipr"] > process["ipr_first"], _times(process, "ipr")),
        _claim(close, _near(clone, "ipr_clone"), _times(clone, "ipr_clone")),
        _claim("so does that of a nearly Gaussian process", _near(nearly, "ipr"), _times(nearly, "ipr") + gap),
        _claim(
            "the clone's fields are nearer to a wave",
            waves["sinusoid_distance_clone"] < waves["sinusoid_distance"],
            _sides(waves, "sinusoid_distance"),
        ),
    ]


def verdict(found: pl.DataFrame) -> str:
    """The headline of the claims, and the main one in words."""
    known = claims(found)
    main, shown = known[0], f" ({known[0].shown})" if known[0].of else ""
    return (
        f"Ingrosso & Goldt (2022): {headline(known)}. On the process {main.says}: {main.count} of gain and seed{shown}."
    )


def _claim(says: str, held: pl.Series, shown: str) -> Claim:
    return Claim(says, int(held.sum()), len(held), shown if len(held) else "", "not measured", "pair")


def ends(found: pl.DataFrame) -> pl.DataFrame:
    """A row per gain and seed: the process's first and last numbers, and the clone's last."""
    sound = common.part(found, status="done").drop_nulls("step").sort("step")
    names = ["ipr", "accuracy", "sinusoid_distance"]
    last = sound.group_by("gain", "excess", "inputs", "seed", "blend", maintain_order=True).agg(
        pl.col("ipr").first().alias("ipr_first"), pl.col(names).last()
    )
    of = [common.part(last, blend=blend).drop("blend") for blend in (0.0, 1.0)]
    clone = of[1].drop("ipr_first").rename({name: f"{name}_clone" for name in names})
    keys = ["gain", "excess", "inputs", "seed"]
    return of[0].join(clone, on=keys, how="full", coalesce=True).sort("gain", "seed")


def _near(of: pl.DataFrame, name: str) -> pl.Series:
    times = of[name] / (3 / (of["inputs"] + 2))
    return (times < NEAR) & (times > 1 / NEAR)


def _sides(of: pl.DataFrame, name: str) -> str:
    if of.is_empty():
        return ""
    return f"mean {of[name].mean():.3g} against {of[f'{name}_clone'].mean():.3g}"


def _times(of: pl.DataFrame, name: str) -> str:
    """Times the IPR of random weights."""
    return f"{_range(of[name] / (3 / (of['inputs'] + 2)))} times random weights'" if len(of) else ""


def _range(values: pl.Series) -> str:
    low, high = (f"{value:.3g}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _waves(of: pl.DataFrame) -> str:
    """The share of the fields' power in the best single wave."""
    known = of.drop_nulls("sinusoid_distance_clone")
    if known.is_empty():
        return "Whether the clone's fields are waves was not measured."
    share = 1 - known["sinusoid_distance_clone"] ** 2
    waves = (
        "so they are waves"
        if (share > 0.5).all()
        else "so they are not single waves"
        if (share <= 0.5).all()
        else "so some are waves"
    )
    mine = of.filter(pl.col("excess") <= -NEARLY_GAUSSIAN).drop_nulls("sinusoid_distance")
    beside = f" (of the process's {_range(100 * (1 - mine['sinusoid_distance'] ** 2))} %)" if len(mine) else ""
    return f"The best single wave has {_range(100 * share)} % of the power of a clone's fields{beside}: {waves}."


# --- text ------------------------------------------------------------------------------------------------------------


def text(found: pl.DataFrame, of: Fields | None) -> str:
    """The verdict, every claim, and the numbers of every gain."""
    known = claims(found)
    said = [
        QUESTION,
        verdict(found),
        "",
        *(f"  {_capital(claim.sentence)}" for claim in known),
        f"  {_waves(ends(found))}",
    ]
    for gain in gains(found):
        said += ["", *_numbers(common.part(ends(found), gain=gain), gain)]
    return "\n".join([*said, "", _caption(found, of), ""])


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _numbers(of: pl.DataFrame, gain: float) -> list[str]:
    if of.is_empty():
        return [f"gain {gain:.3g}: no lineage that did not diverge."]
    both = of.drop_nulls(["ipr", "ipr_clone"])
    above = int((both["ipr"] > both["ipr_clone"]).sum())
    found = [
        f"gain {gain:.3g}, excess kurtosis {of['excess'][0]:.3g}; IPR above its clone's in {above} of {len(both)} seeds:"
    ]
    names = {"ipr": "IPR", "accuracy": "accuracy", "sinusoid_distance": "distance from a wave"}
    for name, words in names.items():
        sides = [of[column].drop_nulls() for column in (name, f"{name}_clone")]
        said = [f"{side.mean():.3g} ({_range(side)})" for side in sides if len(side)]
        if len(said) == 2:
            found.append(f"  {words}: {said[0]}, clone {said[1]}.")
    return found


def _caption(found: pl.DataFrame, of: Fields | None) -> str:
    done = common.part(found, status="done")
    seeds = done["seed"].n_unique()
    lost, all_ = common.part(found, status="diverged")["lineage"].n_unique(), found["lineage"].n_unique()
    drawn = (
        f"Fields: the first {UNITS} units, rows are steps, red is positive, each image has its own scale. "
        if of
        else "No weights were recorded. "
    )
    return f"{drawn}Lines: mean over {seeds} seed{'s' * (seeds != 1)}, bands minimum to maximum. {lost} of {all_} lineages diverged."


def described(trials: pl.LazyFrame) -> dict[str, DataSpec]:
    """Data of every trial."""
    rows = trials.select("trial", "description").drop_nulls().collect()
    return {trial: Trial.model_validate_json(said).data for trial, said in rows.iter_rows()}


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder.

    Raises:  DataError: nothing to draw, or a round is asked for.
    """
    if round:
        raise DataError(f"--round {round}: time courses are those of round 0, before anything is pruned")
    rows, _ = common.rows("rounds", folder, only)
    data = described(common.rows("trials", folder)[0])
    steps = common.rows("steps", folder)[0]
    found = table(rows, steps, data)
    of = fields(found, steps, {spec.inputs: spec.input_shape for spec in data.values()})
    common.save("ingrosso2022", folder, found, draw(found, of), text(found, of))


if __name__ == "__main__":
    common.run(main, __doc__)
