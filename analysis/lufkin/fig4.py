"""A single neuron on elliptical inputs: fields over time and the sinusoids that fit them best.  Lufkin et al. (2024), Fig. 4.

The paper trains the t distribution at one setting and the other two at another; of each law the trial at the paper's
training is drawn (else the law's first), and all other trials of the sweep are in the text and the csv. The best sinusoid
is a single Fourier mode, cycles 0 (a constant) included; distances are |w - sinusoid| / |w|.

Expect: no field localises, and each is close to a wave (paper: 9.77 %, 3.75 %, 4.14 % from it). What would count against
the paper: a field that localises; distances above 10 %, the paper's largest. Waves are what is left in the end: where the
classes' covariances hardly differ the other modes take long to die out, and eq. 5, which for elliptical inputs is exact,
says whether it is time that is missing (its field is no wave either) or samples (its field is).
"""

from __future__ import annotations

import common
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from paper import parts
from paper.claims import Claim, counted
from paper.parts import number

from impray.spec.data import Elliptical
from impray.spec.trial import Trial
from impray.theory.localization import euler, sinusoid
from lufkin import fields
from lufkin.folder import Folder, is_neuron, scales, stimulus, training

Table = parts.Table[Folder]

TITLE = "Fig. 4  Elliptical inputs: waves, not local fields"
PAPER = (
    "On three elliptical distributions (t with 3 degrees of freedom, whose preactivations have infinite kurtosis, a "
    "shell, and one with its mass far out) the final field is a sinusoid: relative distances 9.77 %, 3.75 %, 4.14 %."
)
SETTING = {
    "stimuli": "t40(ν = 3), elliptical shell, elliptical extreme",
    "network": "1 relu unit, no bias; Glorot normal x 1",
    "training": "t: lr 0.01, 10,000 updates, batch 1,000; others: lr 0.05, 5,000 updates, batch 10,000",
}
NEEDS = (
    "single ReLU neurons on elliptical inputs, measure course with weights_every, as sweeps/lufkin2024_elliptical.yaml"
)
LAWS = {"student_t": 0.0977, "shell": 0.0375, "extreme": 0.0414}  # and the paper's distances
WAVE = 0.1  # distance from the best sinusoid: as the largest that the paper calls low
OF_T, OF_OTHERS = (0.01, 10_000, 1_000), (0.05, 5_000, 10_000)  # the paper's lr, steps, batch
MOST_LINES = 41


def table(of: Folder) -> Table:
    """Frames `distances` (a row per net), `fields` over time and `fits` (of the lowest seed, the drawn trial of each law)."""
    trials = of.those(lambda trial: is_neuron(trial) and isinstance(trial.data, Elliptical), NEEDS)
    weights = of.weights(trials, "measure course with weights_every")
    drawn = _drawn({id: of.trials[id] for id in trials})
    kurtosis = _kurtoses(of, trials)
    distances, courses, fits = [], [], []
    for id in trials:
        part, trial = weights.filter(pl.col("trial") == id), of.trials[id]
        distances.append(_distances(trial, part).with_columns(pl.lit(id in drawn).alias("drawn"), trial=pl.lit(id)))
        if id in drawn:
            one = part.filter(pl.col("seed") == part["seed"].min()).sort("step")
            courses.append(_course(trial, one))
            fits.append(_fit(trial, one))
    found = pl.concat(distances).join(kurtosis, on=["trial", "seed"], how="left").drop("trial")
    return Table(of, {"distances": found, "fields": pl.concat(courses), "fits": pl.concat(fits)})


def _law(trial: Trial) -> str:
    assert isinstance(trial.data, Elliptical)
    return trial.data.radius


def _drawn(trials: dict[str, Trial]) -> list[str]:
    """Of each law of the paper the trial with the paper's training, else the first; up to three others where there is none."""
    found = []
    for law in [*LAWS, *dict.fromkeys(_law(trial) for trial in trials.values() if _law(trial) not in LAWS)]:
        mine = [id for id, trial in trials.items() if _law(trial) == law]
        found += sorted(mine, key=lambda id: not _as_the_paper(trials[id]))[:1]
    return found[:3]


def _as_the_paper(trial: Trial) -> bool:
    train = trial.train
    return (train.lr, train.steps, train.batch) == (OF_T if _law(trial) == "student_t" else OF_OTHERS)


def _kurtoses(of: Folder, trials: list[str]) -> pl.DataFrame:
    """Kurtosis of the initial preactivations, where it was measured."""
    return of.rows("rounds", ["kurtosis_mean"], trials).select("trial", "seed", preactivation_kurtosis="kurtosis_mean")


def _named(trial: Trial) -> dict[str, str]:
    assert isinstance(trial.data, Elliptical)
    how = "" if trial.data.scale == "radius" else ", variance 1"
    names = {"law": stimulus(trial.data), "radius": _law(trial), "scales": f"{scales(trial.data)}{how}"}
    return names | {"training": training(trial)}


def _distances(trial: Trial, course: pl.DataFrame) -> pl.DataFrame:
    """A row per net: seed, distance and cycles of the best sinusoid, ipr; the same distance for the field by eq. 5."""
    first = course.filter(pl.col("step") == course["step"].min()).sort("seed")
    last = course.filter(pl.col("step") == course["step"].max()).sort("seed")
    w = fields.stacked(last["weights"])
    fit = sinusoid(w, trial.data.input_shape)
    columns = {
        "seed": last["seed"],
        "distance": fit.relative_distance,
        "cycles": fit.frequency[:, 1],
        "ipr": fields.ipr(w),
        "inputs": trial.data.inputs,
        "mean_distance": sinusoid(_late_mean(course), trial.data.input_shape).relative_distance,
        "flow_distance": _of_flow(trial, fields.stacked(first["weights"])),
    }
    return pl.DataFrame({**_named(trial), **columns}).with_columns(pl.col("flow_distance").fill_nan(None))


def _late_mean(course: pl.DataFrame) -> np.ndarray:
    """Mean weights over the records of the second half of training, a row per seed: the noise of single batches averages out."""
    late = course.filter(pl.col("step") >= course["step"].max() / 2)  # type: ignore[operator]
    by_seed = [part.sort("step") for (_,), part in late.sort("seed").group_by("seed", maintain_order=True)]
    return np.stack([fields.stacked(part["weights"]).mean(axis=0) for part in by_seed])


def _of_flow(trial: Trial, start: np.ndarray) -> np.ndarray:
    """Distance from the best sinusoid of eq. 5 after the same time; NaN where these inputs have no eq. 5."""
    assert isinstance(trial.data, Elliptical)
    try:
        end = euler(trial.data, start, trial.train.lr, trial.train.steps)
    except ValueError:
        return np.full(len(start), np.nan)
    return sinusoid(end, trial.data.input_shape).relative_distance


def _course(trial: Trial, course: pl.DataFrame) -> pl.DataFrame:
    steps = fields.thinned(course["step"].to_list(), MOST_LINES)
    share = pl.col("step") / max(steps[-1], 1)
    found = course.filter(pl.col("step").is_in(steps)).select("seed", "step", share.alias("share"), "weights")
    return found.with_columns(pl.lit(value).alias(name) for name, value in _named(trial).items())


def _fit(trial: Trial, course: pl.DataFrame) -> pl.DataFrame:
    w = fields.stacked(course["weights"])[-1]
    fit = sinusoid(w, trial.data.input_shape)
    values = {"seed": int(course["seed"][0]), "fitted": [fit.values.tolist()], "distance": float(fit.relative_distance)}
    return pl.DataFrame({**_named(trial), **values, "cycles": int(fit.frequency[1])})


# --- claims ----------------------------------------------------------------------------------------------------------


def claims(table: Table) -> list[Claim]:
    """Nothing localises; then the distance of each law."""
    drawn = table.frame("distances", drawn=True)
    listed = "; ".join(f"{law} {parts.ranged(part['ipr'])}" for (law,), part in _by(drawn, "law"))
    bounds = [fields.NOT_LOCAL * fields.noise_ipr(inputs) for inputs in drawn["inputs"]]
    held = [value < bound for value, bound in zip(drawn["ipr"], bounds, strict=True)]
    says = f"no field localises: IPR below {number(bounds[0])}, 2 times that of white noise"
    return [counted(says, held, f"IPR {listed}", what="lineage"), *(_close(drawn, law) for law in LAWS)]


def _by(frame: pl.DataFrame, *names: str) -> list[tuple[tuple, pl.DataFrame]]:
    return list(frame.group_by(*names, maintain_order=True))


def _close(drawn: pl.DataFrame, law: str) -> Claim:
    part = drawn.filter(pl.col("radius") == law)
    theirs = LAWS[law]
    name = part["law"][0] if len(part) else law
    says = f"on {name} the field is a wave: at most {WAVE:.0%} from a sinusoid"
    shown = f"here {_percent(part['distance'])}; paper {100 * theirs:.2f} %" if len(part) else ""
    return counted(says, [value <= WAVE for value in part["distance"]], shown, f"needs the law {law}")


def _percent(values: pl.Series) -> str:
    """Median and range in percent."""
    known = values.drop_nulls().drop_nans()
    if known.is_empty():
        return "undefined"
    low, middle, high = (100 * float(known.quantile(q, "linear") or 0) for q in (0, 0.5, 1))
    return f"{middle:.1f} %" if len(known) == 1 else f"median {middle:.1f} % ({low:.1f} to {high:.1f})"


def told(table: Table) -> list[str]:
    """Each trial: distances, that of eq. 5, cycles; kurtoses of the preactivations."""
    frame = table.frames["distances"]
    found = []
    for (law, where, how), part in _by(frame, "law", "scales", "training"):
        cycles = ", ".join(
            f"{cycles}: {count}" for cycles, count in part["cycles"].value_counts().sort("cycles").iter_rows()
        )
        theory = part["flow_distance"]
        flow = f"; by eq. 5 after the same time {_percent(theory)}" if theory.is_not_null().any() else ""
        mean = f", of the mean over the second half of training {_percent(part['mean_distance'])}"
        found.append(
            f"{law}, {where}, {how}{'' if part['drawn'][0] else ' (not drawn)'}: distance from the best sinusoid "
            f"{_percent(part['distance'])}{mean}{flow}; IPR {parts.ranged(part['ipr'])}; cycles (seeds) {cycles}."
        )
    kurtosis = frame.filter(pl.col("preactivation_kurtosis").is_not_null())
    if len(kurtosis):
        listed = "; ".join(
            f"{law} {parts.ranged(part['preactivation_kurtosis'])}" for (law,), part in _by(kurtosis, "law")
        )
        found.append(f"Kurtosis of the initial preactivations on held-out samples (Gaussian: 3): {listed}.")
    return found


def caption(table: Table) -> str:
    frame = table.frames["distances"]
    own = [row["law"] for row in table.frames["fits"].to_dicts()]
    return (
        f"Weights over training, blue early and red late, of seed {table.frames['fits']['seed'][0]}; dashed: the single "
        f"Fourier mode that fits the last ones best. Drawn: {', '.join(own)}, at the paper's training where the sweep has "
        f"it. Distances: median and range over {frame['seed'].n_unique()} seeds. {table.of.caption}"
    )


# --- drawn -----------------------------------------------------------------------------------------------------------


def draw(table: Table) -> Figure:
    """A panel per law."""
    fits = table.frames["fits"].to_dicts()
    figure = parts.canvas(3.4)
    grid = figure.subplots(1, len(fits), squeeze=False)[0]
    for letter, axes, fit in zip("ABC", grid, fits, strict=False):
        own = {name: fit[name] for name in ("law", "scales", "training")}
        fields.over_time(common.plain(axes), table.frame("fields", **own))
        axes.plot(fit["fitted"], color="black", linestyle=(0, (4, 2)), linewidth=1.3)
        words = f"{fit['law']}, {fit['scales']}\n{fit['training']}\n"
        wave = "a constant" if fit["cycles"] == 0 else f"{fit['cycles']} cycle{'s' * (fit['cycles'] != 1)}"
        parts.titled(axes, letter, f"{words}best sinusoid: {wave}, {fit['distance']:.1%} away")
        axes.set_xlabel("input", fontsize=9)
        axes.margins(x=0.02)
    grid[0].set_ylabel("weight", fontsize=9)
    fields.time_bar(figure, list(grid))
    return figure
