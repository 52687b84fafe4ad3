"""A single neuron on Ising, NLGP and Kur inputs: marginals, amplifiers, fields over time, and eq. 5.  Lufkin et al. (2024), Fig. 3.

Also section 4.2: in how many initialisations the simulated field has its peak where eq. 5 puts it. The paper integrates
eq. 5 with the third-order Taylor polynomial of the amplifier; beside it stands the exact amplifier. Marginals,
amplifiers and kurtoses are exact; theory starts at the recorded initial weights and makes as many steps of the same
learning rate as the training did.

Expect: Ising localises at the peak that eq. 5 predicts, its field sharper than that of eq. 5; NLGP(0.01) and Kur(5) do
not. What would count against the paper: peaks that agree in fewer than 26 of 28 initialisations.
Blind spot: with few samples per update the noise of training, which eq. 5 does not have, moves the peak.
"""

from __future__ import annotations

from typing import Any

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper import parts
from paper.claims import Claim, counted
from paper.parts import number

from impray.spec.data import Ising, Kur, Nlgp, Stimulus
from impray.spec.trial import Trial
from impray.theory.localization import ROOT, Form, amplifier, euler, peak
from impray.theory.stimuli import pointwise, theory_moments
from lufkin import fields
from lufkin.folder import Folder, is_neuron, scales, stimulus

Table = parts.Table[Folder]

TITLE = "Fig. 3  What drives localization: marginals, amplifiers, fields and eq. 5"
PAPER = (
    "On Ising inputs the amplifier is super-linear and the field localises, at the input where eq. 5 (Taylor form) has "
    "its peak: in 26 of 28 initial conditions (93 %). On NLGP(0.01) and Kur(5) the fields oscillate, and so does eq. 5. "
    "Kurtoses 1.00, 2.99 and 3.86."
)
SETTING = {
    "stimuli": "Ising (J 0.3/0.7), NLGP(0.01), Kur(5) (code: ξ 0.3/0.7)",
    "network": "1 relu unit, no bias; Glorot normal x 0.0316",
    "training": "lr 0.05, 2,000 updates, batch 1,000 to 10,000 (code); 28 initial conditions",
}
NEEDS = (
    "single ReLU neurons on ising inputs (and nlgp, kur), measure course with weights_every, as "
    "sweeps/lufkin2024_fields.yaml"
)
MOST_ROWS, MOST_LINES = 4, 41
SIMULATED, TAYLOR, EXACT = "simulated", "eq. 5, Taylor", "eq. 5, exact"
FORMS: dict[str, Form] = {TAYLOR: "taylor", EXACT: "exact"}
REFERENCE = "0.83 at batch 1,000"  # IPR on Ising J = 0.3/0.7 by the authors' own code


def table(of: Folder) -> Table:
    """Frames `stimuli`, `marginals`, `amplifiers`, `fields` (over time, of the lowest seed) and `peaks` (a row per net)."""
    of.those(lambda trial: _wanted(trial) and isinstance(trial.data, Ising), NEEDS)
    trials = sorted(of.first_of_each(of.those(_wanted, NEEDS)), key=lambda id: _order(of.trials[id]))[:MOST_ROWS]
    weights = of.weights(trials, "measure course with weights_every")
    seed = weights["seed"].min()
    made: dict[str, list[pl.DataFrame]] = {"fields": [], "peaks": []}
    for id in trials:
        part = weights.filter(pl.col("trial") == id)
        made["fields"].append(_fields(of.trials[id], part.filter(pl.col("seed") == seed)))
        made["peaks"].append(_peaks(of.trials[id], part))
    listed = [of.trials[id] for id in trials]
    frames = {
        "stimuli": pl.DataFrame([_stimulus(trial) for trial in listed]),
        "marginals": pl.concat([_marginal(trial) for trial in listed]),
        "amplifiers": pl.concat([_amplifier(trial) for trial in listed]),
    }
    return Table(of, frames | {name: pl.concat(found) for name, found in made.items()})


def _wanted(trial: Trial) -> bool:
    data = trial.data
    return is_neuron(trial) and isinstance(data, (Ising, Nlgp, Kur)) and data.gaussian_blend == 0


def _order(trial: Trial) -> tuple[int, float]:
    return {"ising": 0, "nlgp": 1, "kur": 2}[trial.data.kind], getattr(trial.data, "gain", 0)


def _name(trial: Trial) -> str:
    return stimulus(trial.data)


def _stimulus(trial: Trial) -> dict:
    assert isinstance(trial.data, Stimulus)
    moments = theory_moments(trial.data, 1)
    known = {"stimulus": _name(trial), "scales": scales(trial.data), "inputs": trial.data.inputs}
    return known | {"kurtosis": moments.kurtosis}


def _forms(trial: Trial) -> dict[str, Form]:
    """Both amplifiers, or the exact one alone where the Taylor form would need a kurtosis that is infinite."""
    assert isinstance(trial.data, Stimulus)
    finite = np.isfinite(theory_moments(trial.data, 1).kurtosis)
    return {name: form for name, form in FORMS.items() if finite or form == "exact"}


def _marginal(trial: Trial) -> pl.DataFrame:
    """Density of one input: x, density; of spins the mass at both values, as `mass`."""
    schema = {"stimulus": pl.String, "x": pl.Float64, "density": pl.Float64, "mass": pl.Float64}
    assert isinstance(trial.data, Stimulus)
    if isinstance(trial.data, Ising):
        rows = {"x": [-1.0, 1.0], "density": None, "mass": [0.5, 0.5]}
        return pl.DataFrame({"stimulus": _name(trial), **rows}, schema=schema)
    value, step = pointwise(trial.data), 1e-4
    z = np.linspace(-4, 4, 401)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * 2 * step / (value(z + step) - value(z - step))
    return pl.DataFrame({"stimulus": _name(trial), "x": value(z), "density": density, "mass": None}, schema=schema)


def _amplifier(trial: Trial) -> pl.DataFrame:
    assert isinstance(trial.data, Stimulus)
    a = np.linspace(-1, 1, 201)[1:-1]
    values = {name: amplifier(trial.data, form)(a) for name, form in _forms(trial).items()}
    taylor = values.get(TAYLOR, np.full(len(a), np.nan))
    columns = {"a": a, "exact": values[EXACT], "taylor": taylor, "line": ROOT * a}
    return pl.DataFrame(columns).with_columns(pl.col("taylor").fill_nan(None), pl.lit(_name(trial)).alias("stimulus"))


def _fields(trial: Trial, course: pl.DataFrame) -> pl.DataFrame:
    """Weights over time of one net: stimulus, of (simulated, or a form of eq. 5), step, share (of the time), weights."""
    course = course.sort("step")
    steps = fields.thinned(course["step"].to_list(), MOST_LINES)
    course = course.filter(pl.col("step").is_in(steps))
    found = {SIMULATED: fields.stacked(course["weights"])}
    for name, form in _forms(trial).items():
        assert isinstance(trial.data, Stimulus)
        found[name] = _at_steps(trial, found[SIMULATED][0], steps, form)
    share = np.array(steps) / max(steps[-1], 1)
    rows = {"seed": int(course["seed"][0]), "step": steps, "share": share}
    return pl.concat(
        pl.DataFrame({"stimulus": _name(trial), "of": name, **rows, "weights": values}).with_columns(
            pl.col("weights").arr.to_list()
        )
        for name, values in found.items()
    )


def _at_steps(trial: Trial, start: np.ndarray, steps: list[int], form: Form) -> np.ndarray:
    """Eq. 5 at these steps, the first of which is 0."""
    assert isinstance(trial.data, Stimulus)
    found = [start]
    for before, after in zip(steps, steps[1:], strict=False):
        found.append(euler(trial.data, found[-1], trial.train.lr, after - before, form=form))
    return np.stack(found)


def _peaks(trial: Trial, course: pl.DataFrame) -> pl.DataFrame:
    """Peaks and IPR at the end, a row per net; apart: how many inputs simulation and theory are from one another."""
    assert isinstance(trial.data, Stimulus)
    first, last = (course.filter(pl.col("step") == step).sort("seed") for step in _ends(course))
    simulated = fields.stacked(last["weights"])
    columns: dict[str, Any] = {"stimulus": _name(trial), "seed": last["seed"], "peak": peak(simulated)}
    columns |= {"ipr": fields.ipr(simulated), "taylor_peak": None, "taylor_apart": None, "taylor_ipr": None}
    for name, form in _forms(trial).items():
        theory = euler(trial.data, fields.stacked(first["weights"]), trial.train.lr, trial.train.steps, form=form)
        short = FORMS[name]
        columns |= {f"{short}_peak": peak(theory), f"{short}_ipr": fields.ipr(theory)}
        columns[f"{short}_apart"] = fields.apart(peak(theory), peak(simulated), trial.data.inputs)
    kinds = {name: pl.Float64 if name.endswith("ipr") else pl.Int64 for name in columns if name != "stimulus"}
    return pl.DataFrame(columns).cast(kinds).select(sorted(columns))  # type: ignore[arg-type]


def _ends(course: pl.DataFrame) -> tuple[int, int]:
    return int(course["step"].min()), int(course["step"].max())  # type: ignore[arg-type]


# --- claims ----------------------------------------------------------------------------------------------------------


def claims(table: Table) -> list[Claim]:
    """Peaks, then who localises, then how sharply."""
    frame = table.frames["peaks"]
    ising = frame.filter(pl.col("stimulus") == "Ising")
    others = frame.filter(pl.col("stimulus") != "Ising")
    noise = {row["stimulus"]: fields.noise_ipr(row["inputs"]) for row in table.frames["stimuli"].to_dicts()}
    local = fields.local_ipr(table.frame("stimuli", stimulus="Ising")["inputs"][0])
    bounds = [fields.NOT_LOCAL * noise[name] for name in others["stimulus"]]
    listed = "; ".join(f"{name} {parts.ranged(part['ipr'])}" for (name,), part in _by_stimulus(others))
    return [
        _at_the_peak(ising, "taylor"),
        _at_the_peak(ising, "exact"),
        counted(
            f"on Ising inputs the field localises: IPR above {number(local)}",
            [value > local for value in ising["ipr"]],
            f"IPR {parts.ranged(ising['ipr'])}",
            what="initialisation",
        ),
        counted(
            "on the other inputs it does not: IPR below 2 times that of white noise",
            [value < bound for value, bound in zip(others["ipr"], bounds, strict=True)],
            listed,
            "needs nlgp or kur inputs",
            "initialisation",
        ),
        counted(
            "on Ising inputs the field by eq. 5 is less peaked than the simulated one (both forms)",
            [max(a, b) < c for a, b, c in ising.select("exact_ipr", "taylor_ipr", "ipr").iter_rows()],
            f"IPR by eq. 5: Taylor {parts.ranged(ising['taylor_ipr'])}, exact {parts.ranged(ising['exact_ipr'])}",
            what="initialisation",
        ),
    ]


def _by_stimulus(frame: pl.DataFrame) -> list[tuple[tuple, pl.DataFrame]]:
    return list(frame.group_by("stimulus", maintain_order=True))


def _at_the_peak(frame: pl.DataFrame, form: str) -> Claim:
    gaps = frame[f"{form}_apart"].drop_nulls().to_list()
    near = ", ".join(f"{sum(gap <= most for gap in gaps)} within {most}" for most in (1, 2))
    says = f"on Ising inputs the field peaks at the input where eq. 5 ({form} amplifier) has its peak"
    return counted(says, [gap == 0 for gap in gaps], f"paper: 26 of 28; here {near}", what="initialisation")


def told(table: Table) -> list[str]:
    """Counts of the peaks on every stimulus, and kurtoses."""
    listed = []
    for (name,), part in _by_stimulus(table.frames["peaks"]):
        counts = [
            f"{form} {sum(gap == 0 for gap in gaps)}"
            for form in ("taylor", "exact")
            if (gaps := part[f"{form}_apart"].drop_nulls().to_list())
        ]
        listed.append(f"{name} {', '.join(counts)} of {len(part)}")
    kurtoses = ", ".join(f"{row['stimulus']} {row['kurtosis']:.4g}" for row in table.frames["stimuli"].to_dicts())
    crowded = _crowded(table.frames["peaks"])
    ising = table.frame("peaks", stimulus="Ising")["ipr"]
    return [
        f"IPR on Ising inputs: {parts.ranged(ising)}; by the authors' own code {REFERENCE}.",
        f"Peaks at the same input, theory and simulation: {'; '.join(listed)}. Where a field is a wave its largest weight "
        "is an accident.",
        *crowded,
        f"Exact kurtoses: {kurtoses} (paper: Ising 1.00, NLGP(0.01) 2.99, Kur(5) 3.86, a finite sample's).",
    ]


def _crowded(frame: pl.DataFrame) -> list[str]:
    """How many different peaks the initialisations end at, simulated and by eq. 5."""
    ising = frame.filter(pl.col("stimulus") == "Ising")
    if len(ising) < 3:
        return []
    ends = [ising[name].n_unique() for name in ("peak", "exact_peak")]
    return [
        f"On Ising inputs the {len(ising)} simulated fields have {ends[0]} different peaks, those of eq. 5 {ends[1]}."
    ]


def caption(table: Table) -> str:
    seed, initial = table.frames["fields"]["seed"][0], table.frames["peaks"]["seed"].n_unique()
    return (
        f"Columns: density of one input (spins: mass); amplifier φ, exact (black), third-order Taylor (red), the line "
        f"√(2/π) a (dashed); weights over training, blue early and red late, of seed {seed}; the same by eq. 5 with "
        f"either amplifier. Peaks are counted over {initial} initialisations.{table.of.further(_wanted)} {table.of.caption}"
    )


# --- drawn -----------------------------------------------------------------------------------------------------------


def draw(table: Table) -> Figure:
    """A row per stimulus."""
    stimuli = table.frames["stimuli"].to_dicts()
    figure = parts.canvas(0.6 + 1.75 * len(stimuli))
    grid = figure.subplots(len(stimuli), 5, squeeze=False)
    for line, row in zip(grid, stimuli, strict=True):
        name = row["stimulus"]
        _density(line[0], table.frame("marginals", stimulus=name))
        line[0].set_ylabel(name, fontsize=10, fontweight="bold")
        _phi(line[1], table.frame("amplifiers", stimulus=name), row["kurtosis"])
        line[3].sharey(line[2])
        line[4].sharey(line[2])
        for axes, of in zip(line[2:], (SIMULATED, TAYLOR, EXACT), strict=True):
            part = table.frame("fields", stimulus=name, of=of)
            if part.is_empty():
                axes.text(
                    0.5, 0.5, "infinite kurtosis:\nno Taylor form", ha="center", transform=axes.transAxes, fontsize=8
                )
            fields.over_time(common.plain(axes), part)
        for axes in line:
            fields.small(common.plain(axes))
    names = ["marginal p(x)", "amplifier φ(a)", "simulated field", "eq. 5, Taylor amplifier", "eq. 5, exact amplifier"]
    below = ["input value x", "a", "input", "input", "input"]
    for letter, name, axes in zip("ABCDE", names, grid[0], strict=True):
        parts.titled(axes, letter, name)
    for name, axes in zip(below, grid[-1], strict=True):
        axes.set_xlabel(name, fontsize=8)
    fields.time_bar(figure, list(grid[:, 4]))
    return figure


def _density(axes: Axes, part: pl.DataFrame) -> None:
    spins = part.filter(pl.col("mass").is_not_null())
    if len(spins):
        axes.vlines(spins["x"], 0, spins["mass"], color=fields.SIMULATED, linewidth=2.5)
        axes.set_ylim(0, 0.6)
    else:
        axes.plot(part["x"], part["density"], color=fields.SIMULATED, linewidth=1.3)
        axes.set_ylim(bottom=0)
    axes.set_xlim((-1.5, 1.5) if len(spins) else (-4, 4))


def _phi(axes: Axes, part: pl.DataFrame, kurtosis: float) -> None:
    axes.plot(part["a"], part["line"], color="0.55", linestyle=(0, (4, 3)), linewidth=1.1)
    axes.plot(part["a"], part["exact"], color=fields.SIMULATED, linewidth=1.3)
    axes.plot(part["a"], part["taylor"], color=fields.THEORY, linewidth=1.0)
    axes.annotate(f"κ = {kurtosis:.4g}", (0.05, 0.88), xycoords="axes fraction", fontsize=7.5)
