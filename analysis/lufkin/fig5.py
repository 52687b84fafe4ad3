"""IPR of a single neuron's weights against the excess kurtosis of its inputs, NLGP and Kur.  Lufkin et al. (2024), Fig. 5.

The excess kurtosis is exact (impray.theory.stimuli), not a sample's: the fourth moment of Kur(k) is infinite for k <= 4,
and these stimuli stand beyond the break of the axis, at inf. Full marks: mean and standard deviation over initial
weights; open marks: eq. 5, integrated from the same initial weights. Localised is an IPR above 5 times that of white
noise, not localised below 2 times (see fields.py). Below: in how many initialisations theory and simulation have their
peak at the same input.

Expect: IPR near 1 where the excess kurtosis is negative enough, near 1/N where it is positive, NLGP and Kur on one
curve. What would count against the paper: positive excess kurtosis that localises; seeds that differ; NLGP and Kur
apart by more than 0.1 at the same excess kurtosis; values of the authors' own code outside our 30 seeds.
Blind spot: the IPR of a field as wide as a length scale is small; at xi = 1/3 no field comes near 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from paper import parts
from paper.claims import Claim, counted
from paper.parts import NotMeasured, number

from impray.spec.data import Kur, Nlgp
from impray.spec.trial import Trial
from impray.theory.stimuli import theory_moments
from lufkin import fields
from lufkin.folder import Folder, is_neuron, scales, training

Table = parts.Table[Folder]

TITLE = "Fig. 5  Localization against the excess kurtosis of the inputs"
PAPER = (
    "With negative excess kurtosis the IPR of a single neuron's weights is close to its maximum of 1, with positive it "
    "is nearly zero; it is extremely consistent over 30 initial conditions (error bars may not be visible), and the "
    "trend is very similar for NLGP and Kur."
)
SETTING = {
    "stimuli": "NLGP(g) and Kur(k) over a range of g and k (code: ξ 0.3/0.7)",
    "network": "1 relu unit, no bias; Glorot normal x 0.0316",
    "training": "lr 0.05, 2,000 updates, batch 1,000 (code); 30 initial conditions",
}
NEEDS = (
    "single ReLU neurons (net: {hidden: [1], activation: relu, bias: false, outputs: 1, readout: mean}) on nlgp or kur "
    "inputs of at least 3 kurtoses, measures ipr and flow, as sweeps/lufkin2024.yaml"
)
FAMILIES = ("NLGP", "Kur")
SAME = 0.1  # of IPR: NLGP and Kur coincide
STEADY = 0.05  # of IPR: about the size of the paper's marks
REFERENCES = (  # final IPR by the authors' own code (N = 40, 2,000 steps, batch 1,000), as it was printed
    ("NLGP", 100.0, (0.3, 0.7), "0.987"),
    ("NLGP", 0.01, (0.3, 0.7), "0.046"),
    ("NLGP", 100.0, (1.0, 3.0), "0.562"),
    ("Kur", 5.0, (0.3, 0.7), "0.044"),
)
ARTEFACTS = (
    "Not to be reproduced: the paper's excess kurtoses of 7.66 (Kur(3)), 3.28 (Kur(4)) and 0.86 (Kur(5)) are those of "
    "finite samples; the exact ones are infinite, infinite and 1.285, so the right half of its axis is one of samples."
)
_FLOW = {"ipr_flow_mean": "ipr_flow", "peak_agrees_mean": "peak_agrees"}


def table(of: Folder) -> Table:
    """Frames `lineages` (a row per net) and `stimuli` (a row per stimulus: spread over seeds, place on the axis)."""
    trials = of.those(_wanted, NEEDS)
    several = len({_how(of.trials[id]) for id in trials}) > 1
    kinds = pl.DataFrame([_kind(id, of.trials[id], several) for id in trials])
    enough = kinds.group_by("scales").agg(pl.col("excess").n_unique()).filter(pl.col("excess") >= 3)["scales"]
    if enough.is_empty():
        raise NotMeasured(f"needs {NEEDS}")
    kinds = kinds.filter(pl.col("scales").is_in(enough.implode()))
    rows = of.rows("rounds", ["ipr_mean", *_FLOW], kinds["trial"].to_list())
    rows = parts.measured(rows, "ipr_mean", "measure ipr").rename({"ipr_mean": "ipr", **_FLOW})
    lineages = kinds.join(rows, on="trial").sort("xi", "scales", "family", "parameter", "seed")
    lacking = () if lineages["ipr_flow"].is_not_null().any() else ("eq. 5: needs measure flow",)
    return Table(of, {"stimuli": _stimuli(lineages), "lineages": lineages.drop("trial", "xi")}, lacking=lacking)


def _wanted(trial: Trial) -> bool:
    return is_neuron(trial) and isinstance(trial.data, (Nlgp, Kur))


def _how(trial: Trial) -> str:
    return f"{training(trial)}, {trial.net.init.kind} x {trial.net.init.scale}"


def _kind(id: str, trial: Trial, several: bool) -> dict:
    data = trial.data
    assert isinstance(data, (Nlgp, Kur))
    family, parameter = ("NLGP", data.gain) if isinstance(data, Nlgp) else ("Kur", data.k)
    moments = theory_moments(data, 1)
    where = f"{scales(data)}, {_how(trial)}" if several else scales(data)
    kind = {"trial": id, "scales": where, "xi": list(data.xi), "inputs": data.inputs, "family": family}
    return kind | {"parameter": float(parameter), "excess": moments.excess_kurtosis}


def _stimuli(lineages: pl.DataFrame) -> pl.DataFrame:
    keys = ["xi", "scales", "inputs", "family", "parameter", "excess"]
    value = pl.col("ipr").fill_nan(None)
    frame = lineages.group_by(keys, maintain_order=True).agg(
        value.count().alias("seeds"),
        value.mean().alias("mean"),
        value.std().alias("sd"),
        value.min().alias("low"),
        value.max().alias("high"),
        pl.col("ipr_flow").mean().alias("flow"),
        pl.col("ipr_flow").std().alias("flow_sd"),
        pl.col("peak_agrees").sum().cast(pl.Int64).alias("peaks"),
        pl.col("peak_agrees").mean().alias("peaks_share"),
    )
    frame = frame.with_columns((3 / (pl.col("inputs") + 2)).alias("noise"), (1 / pl.col("inputs")).alias("flat"))
    found = pl.concat([_placed(part) for _, part in frame.group_by("scales", maintain_order=True)])
    return found.sort("xi", "scales", "family", "at", maintain_order=True)


def _placed(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `at`: the excess kurtosis, or a place beyond the break for an infinite one (the smaller k further out)."""
    finite = [value for value in frame["excess"] if math.isfinite(value)]
    right = math.ceil(max(finite, default=0.0)) + 1.0
    beyond = sorted({row for row, e in zip(frame["parameter"], frame["excess"], strict=True) if math.isinf(e)})[::-1]
    places = {parameter: right + 0.7 * place for place, parameter in enumerate(beyond)}
    rows = zip(frame["parameter"], frame["excess"], strict=True)
    return frame.with_columns(pl.Series("at", [e if math.isfinite(e) else places[p] for p, e in rows], pl.Float64))


# --- claims ----------------------------------------------------------------------------------------------------------


def claims(table: Table) -> list[Claim]:
    """Negative enough localises, positive does not; the sign alone; seeds; families; the authors' own numbers."""
    groups = [part for _, part in table.frames["stimuli"].group_by("scales", maintain_order=True)]
    found = [
        *(_most_negative(table, part) for part in groups),
        *(_positive(table, part) for part in groups),
    ]
    # Only where fields are sharp: at longer length scales the IPR of every field is small.
    return [*found, _by_sign(groups[0]), _steady(table), _coincide(groups), _as_theirs(table)]


def _nets(table: Table, row: dict) -> pl.DataFrame:
    return table.frame("lineages", scales=row["scales"], family=row["family"], parameter=row["parameter"])


def _most_negative(table: Table, part: pl.DataFrame) -> Claim:
    row = part.sort("excess").row(0, named=True)
    limit = fields.local_ipr(row["inputs"])
    held = [value > limit for value in _nets(table, row)["ipr"]]
    says = f"{_name(row)} (excess kurtosis {row['excess']:.4g}, {row['scales']}) localises: IPR above {number(limit)}"
    shown = parts.ranged(_nets(table, row)["ipr"])
    return counted(says, held if row["excess"] < 0 else [], f"IPR {shown}", "no negative excess kurtosis")


def _positive(table: Table, part: pl.DataFrame) -> Claim:
    rows = part.filter(pl.col("excess") > 0).to_dicts()
    limit = fields.NOT_LOCAL * part["noise"][0]
    values = [value for row in rows for value in _nets(table, row)["ipr"]]
    says = f"no positive excess kurtosis localises ({part['scales'][0]}): IPR below {number(limit)}"
    held = [value < limit for value in values]
    return counted(says, held, f"IPR {parts.ranged(values)}", "no positive excess kurtosis", "lineage")


def _by_sign(part: pl.DataFrame) -> Claim:
    rows = part.filter(pl.col("excess") < 0).sort("excess")
    limit = fields.local_ipr(part["inputs"][0])
    short = [f"{_name(row)} {number(row['mean'])}" for row in rows.to_dicts() if not row["mean"] > limit]
    says = f"every negative excess kurtosis localises, not only large ones ({part['scales'][0]})"
    shown = f"below {number(limit)} on average: {', '.join(short)}" if short else ""
    return counted(says, [value > limit for value in rows["mean"]], shown, "no negative excess kurtosis", "trial")


def _steady(table: Table) -> Claim:
    rows = table.frames["stimuli"].filter(pl.col("seeds") > 1)
    worst = rows.sort("sd").tail(3)[::-1].to_dicts()
    shown = "largest: " + ", ".join(f"{number(row['sd'])} at {_name(row)}, {row['scales']}" for row in worst)
    says = f"the IPR is consistent over initial weights: standard deviation at most {STEADY}"
    return counted(says, [sd <= STEADY for sd in rows["sd"]], shown, "needs 2 seeds", "trial")


def gaps(part: pl.DataFrame) -> list[tuple[str, float, float]]:
    """Kur stimuli between two NLGP ones: (name, excess kurtosis, IPR minus that of NLGP there, by a straight line)."""
    nlgp = part.filter((pl.col("family") == "NLGP") & pl.col("excess").is_finite()).sort("excess")
    kur = part.filter((pl.col("family") == "Kur") & pl.col("excess").is_finite()).sort("excess").to_dicts()
    if len(nlgp) < 2:
        return []
    x, y = nlgp["excess"].to_numpy(), nlgp["mean"].to_numpy()
    within = [row for row in kur if x[0] <= row["excess"] <= x[-1]]
    return [(_name(row), row["excess"], row["mean"] - float(np.interp(row["excess"], x, y))) for row in within]


def _coincide(groups: Sequence[pl.DataFrame]) -> Claim:
    found = [(part["scales"][0], *gap) for part in groups for gap in gaps(part)]
    shown = "; ".join(f"{name}, {where}: {gap:+.2f} at {excess:.2f}" for where, name, excess, gap in found)
    says = f"NLGP and Kur coincide: at the same excess kurtosis their IPR differs by at most {SAME}"
    lacking = "needs Kur stimuli between two NLGP stimuli"
    return counted(says, [abs(gap) <= SAME for *_, gap in found], f"Kur - NLGP: {shown}", lacking, "trial")


def _as_theirs(table: Table) -> Claim:
    held, shown = [], []
    for family, parameter, xi, printed in REFERENCES:
        rows = [
            row
            for row in table.frame("stimuli", family=family, parameter=parameter).to_dicts()
            if tuple(row["xi"]) == xi and row["inputs"] == 40 and "matched" not in row["scales"]
        ]
        for row in rows:
            value, rounding = float(printed), 0.5 * 10.0 ** -len(printed.split(".")[1])
            held.append(row["low"] - rounding <= value <= row["high"] + rounding)
            spread = f"{row['low']:.3f} to {row['high']:.3f}"
            shown.append(f"{_name(row)}, {row['scales']}: theirs {printed}, ours {row['mean']:.3f} ({spread})")
    says = "the IPR of the authors' own code lies within the range of our seeds"
    return counted(says, held, "; ".join(shown), "needs N = 40 stimuli whose values are known", "trial")


def _name(row: dict) -> str:
    return f"{row['family']}({row['parameter']:g})"


def told(table: Table) -> list[str]:
    """Where the IPR rises, what eq. 5 says, where the peaks are, and what is not to be had."""
    frame = table.frames["stimuli"]
    rises = []
    for (where, family), part in frame.group_by("scales", "family", maintain_order=True):
        places = ", ".join(
            f"{times:g} times {_number_or(crossing(part, times * part['noise'][0]))}"
            for times in (fields.NOT_LOCAL, fields.LOCAL)
        )
        rises.append(f"{family}, {where}: {places}")
    found = [f"Excess kurtosis at which the mean IPR passes that of white noise, {'; '.join(rises)}."]
    if frame["flow"].is_not_null().any():
        pairs = [f"{_name(row)} {row['mean']:.3f} / {row['flow']:.3f}" for row in _strongest(frame)]
        found.append(f"IPR simulated / by eq. 5 at the most negative excess kurtosis: {'; '.join(pairs)}.")
        for (where,), part in frame.group_by("scales", maintain_order=True):
            peaks = "; ".join(_peaks_of(line) for _, line in part.group_by("family", maintain_order=True))
            found.append(f"Initialisations with the same peak in theory and simulation, {where}: {peaks}.")
    return [*found, ARTEFACTS]


def _peaks_of(line: pl.DataFrame) -> str:
    """'NLGP(g) 17 at 100, 19 at 10, of 30'."""
    letter = {"NLGP": "g", "Kur": "k"}[line["family"][0]]
    listed = ", ".join(f"{row['peaks']} at {row['parameter']:g}" for row in line.to_dicts())
    return f"{line['family'][0]}({letter}) {listed}, of {parts.between(line['seeds'])}"


def _strongest(frame: pl.DataFrame) -> list[dict]:
    return [part.sort("excess").row(0, named=True) for _, part in frame.group_by("scales", maintain_order=True)]


def crossing(part: pl.DataFrame, limit: float) -> float | None:
    """Largest excess kurtosis at which the mean IPR, by straight lines between stimuli, is at `limit`; None: never."""
    line = part.filter(pl.col("excess").is_finite()).sort("excess", descending=True)
    x, y = line["excess"].to_list(), line["mean"].to_list()
    for place in range(1, len(x)):
        if y[place - 1] < limit <= y[place]:
            return x[place - 1] + (limit - y[place - 1]) / (y[place] - y[place - 1]) * (x[place] - x[place - 1])
    return None


def _number_or(value: float | None) -> str:
    return "never" if value is None else f"at {value:.2f}"


def caption(table: Table) -> str:
    frame = table.frames["stimuli"]
    seeds = parts.between(frame["seeds"])
    beyond = frame.filter(pl.col("excess").is_infinite())
    note = " Beyond the break: stimuli of infinite kurtosis, in no scale." if len(beyond) else ""
    return (
        f"Full marks: mean and standard deviation of the final IPR over {seeds} initial weights, which all see the same "
        f"samples where the data have a draw; open marks: eq. 5 with the exact amplifier.{note} Dotted: IPR of white "
        f"noise, 3/(N + 2), and of equal weights, 1/N. {table.of.caption}"
    )


# --- drawn -----------------------------------------------------------------------------------------------------------


def draw(table: Table) -> Figure:
    """A column per pair of length scales: IPR above, agreement of the peaks below."""
    groups = [part for _, part in table.frames["stimuli"].group_by("scales", maintain_order=True)][:4]
    with_flow = table.frames["stimuli"]["flow"].is_not_null().any()
    figure = parts.canvas(5.6 if with_flow else 4.2)
    ratios = [3.0, 1.0] if with_flow else [1.0]
    grid = figure.subplots(len(ratios), len(groups), sharex="col", squeeze=False, height_ratios=ratios)
    for place, part in enumerate(groups):
        axes = common.plain(grid[0, place])
        _iprs(axes, part)
        parts.titled(axes, "ABCD"[place], f"single neuron, {part['scales'][0]}")
        if with_flow:
            _peaks(common.plain(grid[1, place]), part)
        _ticks(grid[-1, place], part)
    grid[0, 0].set_ylabel("IPR of the weights", fontsize=9)
    if with_flow:
        grid[1, 0].set_ylabel("same peak as\nby eq. 5 (share)", fontsize=8)
    _legend(figure, bool(with_flow))
    return figure


def _iprs(axes: Axes, part: pl.DataFrame) -> None:
    for name, words, below in (("noise", "white noise", 2), ("flat", "1/N", -8)):
        axes.axhline(part[name][0], color="0.45", linewidth=0.9, linestyle=":")
        axes.annotate(words, (0.66, part[name][0]), (0, below), xycoords=("axes fraction", "data"), **_SMALL)
    for family in FAMILIES:
        line = common.part(part, family=family)
        colour = fields.NUMBERS[family]
        axes.plot(line["at"], line["flow"], marker="o", color=colour, **_OPEN)
        axes.errorbar(line["at"], line["mean"], yerr=line["sd"], color=colour, **_FULL)
    axes.axvline(0, color="0.7", linewidth=0.8)
    axes.set_ylim(-0.03, 1.03)


_SMALL: dict[str, Any] = {"textcoords": "offset points", "fontsize": 6.5, "color": "0.35", "ha": "center"}
_OPEN: dict[str, Any] = {"linestyle": "", "markersize": 5.5, "markerfacecolor": "none", "markeredgewidth": 1.0}
_FULL: dict[str, Any] = {"linestyle": "-", "linewidth": 0.8, "marker": "o", "markersize": 3.8, "capsize": 2.5}


def _peaks(axes: Axes, part: pl.DataFrame) -> None:
    for family in FAMILIES:
        line = common.part(part, family=family)
        axes.plot(
            line["at"], line["peaks_share"], color=fields.NUMBERS[family], marker="o", markersize=3.5, linewidth=0.8
        )
    axes.axvline(0, color="0.7", linewidth=0.8)
    axes.set_ylim(-0.04, 1.04)


def _ticks(axes: Axes, part: pl.DataFrame) -> None:
    """Whole numbers up to the break, then infinite kurtoses by name."""
    finite = part.filter(pl.col("excess").is_finite())["at"]
    beyond = part.filter(pl.col("excess").is_infinite())
    low, high = (math.floor(min(finite)), math.ceil(max(finite))) if len(finite) else (0, 0)
    names = {at: f"inf\nk={k:g}" for at, k in beyond.select("at", "parameter").iter_rows()}
    axes.set_xticks([*range(low, high + 1), *names], [*map(str, range(low, high + 1)), *names.values()])
    axes.set_xlabel("excess kurtosis of the inputs (exact)", fontsize=9)
    if names:
        axes.set_xlim(low - 0.2, max(names) + 0.4)
        axes.annotate(
            "//", (high + 0.5, 0), xycoords=("data", "axes fraction"), ha="center", va="center", fontsize=10, zorder=9
        )


def _legend(figure: Figure, with_flow: bool) -> None:
    handles: dict[str, Line2D] = {}
    for family in FAMILIES:
        full = {name: value for name, value in _FULL.items() if name != "capsize"}
        handles[f"{family}, simulated"] = Line2D([], [], color=fields.NUMBERS[family], **full)
        if with_flow:
            handles[f"{family}, eq. 5"] = Line2D([], [], color=fields.NUMBERS[family], marker="o", **_OPEN)
    figure.legend(list(handles.values()), list(handles), loc="outside right center", fontsize=8, frameon=False)
