"""When eq. 5 stops describing a single neuron: IPR and weights over time, simulated and by eq. 5.  Lufkin et al. (2024), Fig. 8.

Time is updates x learning rate. A row per initialisation on the most binary NLGP stimulus, and one on the most Gaussian.
Eq. 5 has the exact amplifier and starts at the recorded weights. Snapshots: before (two fifths of the time at which the
simulated IPR first passes 0.1), during (that time) and at the end; where the IPR never passes it, at 0.4, 0.6 and 1 of
the training. The distance is |w - w by eq. 5|, also relative to |w|.

Expect: NLGP(100) localises, and the distance grows only after the IPR does; the peak is that of eq. 5 in most
initialisations (3 of 4 in the paper); NLGP(0.01) does not, and eq. 5 stays exact. What would count against the paper: a
distance that grows before the field localises, or grows without it.
Blind spot: the noise of training, which falls with the batch, is in the distance too, from the start.
"""

from __future__ import annotations

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from paper import parts
from paper.claims import Claim, counted
from paper.parts import NotMeasured, number

from impray.spec.data import Nlgp
from impray.spec.trial import Trial
from impray.theory.localization import euler, peak
from impray.theory.stimuli import theory_moments
from lufkin import fields
from lufkin.folder import Folder, is_neuron, scales, stimulus

Table = parts.Table[Folder]

TITLE = "Fig. 8  Where eq. 5 breaks down"
PAPER = (
    "On NLGP(100) the field localises in all four initialisations; eq. 5 is near-exact until the IPR rises, its error "
    "grows shortly after, and it predicts the place in three of four. On NLGP(0.01) the field does not localise and "
    "eq. 5 holds throughout."
)
SETTING = {
    "stimuli": "NLGP(100), NLGP(0.01) (ξ 0.3/0.7, N = 100)",
    "network": "1 relu unit, no bias",
    "training": "up to t = 50, 100 and 250 (t: updates x lr)",
}
NEEDS = (
    "single ReLU neurons on nlgp inputs of a gain of 1 or more (and a small one), measure course with weights_every, as "
    "sweeps/lufkin2024_breakdown.yaml"
)
RISES = 0.1  # of IPR: the top of the paper's zoomed panels
MOST_ROWS = 4  # initialisations of the binary stimulus
CLOSE = 0.1  # |w - w by eq. 5| / |w|: the two are one
WHEN = ("before", "during", "after")


def table(of: Folder) -> Table:
    """Frames `courses` (a row per net and record), `nets` (what came of each) and `snapshots` (three per drawn net)."""
    trials = sorted(of.first_of_each(of.those(_wanted, NEEDS)), key=lambda id: -_gain(of.trials[id]))
    if _gain(of.trials[trials[0]]) < 1:
        raise NotMeasured(f"needs {NEEDS}")
    chosen = [trials[0], *trials[1:][-1:]]
    weights = of.weights(chosen, "measure course with weights_every")
    frames: dict[str, list[pl.DataFrame]] = {"courses": [], "nets": [], "snapshots": []}
    for id in chosen:
        one = _of_trial(of.trials[id], weights.filter(pl.col("trial") == id))
        for name, frame in one.items():
            frames[name].append(frame)
    found = {name: pl.concat(each) for name, each in frames.items()}
    drawn = _drawn(found["nets"])
    nets = found["nets"].join(drawn.with_columns(pl.lit(True).alias("drawn")), on=["stimulus", "seed"], how="left")
    snapshots = found["snapshots"].join(drawn, on=["stimulus", "seed"], how="semi", maintain_order="left")
    return Table(of, found | {"nets": nets.with_columns(pl.col("drawn").fill_null(False)), "snapshots": snapshots})


def _wanted(trial: Trial) -> bool:
    return is_neuron(trial) and isinstance(trial.data, Nlgp) and trial.data.gaussian_blend == 0


def _gain(trial: Trial) -> float:
    assert isinstance(trial.data, Nlgp)
    return trial.data.gain


def _drawn(nets: pl.DataFrame) -> pl.DataFrame:
    """The lowest seeds of the first stimulus, and the lowest one of the other."""
    parted = nets.partition_by("stimulus", maintain_order=True)
    shown = [part.sort("seed").head(MOST_ROWS if at == 0 else 1) for at, part in enumerate(parted)]
    return pl.concat(shown).select("stimulus", "seed")


def _of_trial(trial: Trial, weights: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The frames of one stimulus; all its nets are integrated at once."""
    assert isinstance(trial.data, Nlgp)
    seeds = weights["seed"].unique().sort().to_list()
    steps = weights["step"].unique().sort().to_list()
    by_step = weights.sort("step", "seed")
    simulated = fields.stacked(by_step["weights"]).reshape(len(steps), len(seeds), -1)
    theory = [simulated[0]]
    for before, after in zip(steps, steps[1:], strict=False):
        theory.append(euler(trial.data, theory[-1], trial.train.lr, after - before))
    return _frames(trial, seeds, steps, simulated, np.stack(theory))


def _frames(
    trial: Trial, seeds: list[int], steps: list[int], simulated: np.ndarray, theory: np.ndarray
) -> dict[str, pl.DataFrame]:
    time = np.array(steps) * trial.train.lr
    iprs, flows = fields.ipr(simulated), fields.ipr(theory)
    distance = np.linalg.norm(simulated - theory, axis=-1)
    relative = distance / np.linalg.norm(simulated, axis=-1)
    name = {"stimulus": stimulus(trial.data), "scales": scales(trial.data), "inputs": trial.data.inputs}
    courses, nets, snapshots = [], [], []
    for net, seed in enumerate(seeds):
        own = {**name, "seed": seed}
        course = {"step": steps, "time": time, "ipr": iprs[:, net], "ipr_flow": flows[:, net]}
        courses.append(pl.DataFrame({**own, **course, "distance": distance[:, net], "relative": relative[:, net]}))
        at = _moments(iprs[:, net], time)
        nets.append({**own, **_outcome(trial, time, at, course, distance[:, net], relative[:, net])})
        nets[-1] |= {"peak": int(peak(simulated[-1, net])), "peak_flow": int(peak(theory[-1, net]))}
        for when, record in zip(WHEN, at, strict=True):
            pair = {"weights": [simulated[record, net].tolist()], "flow": [theory[record, net].tolist()]}
            snapshots.append(pl.DataFrame({**own, "when": when, "time": float(time[record]), **pair}))
    kinds = {"rises_at": pl.Float64, "apart_at": pl.Float64}
    return {
        "courses": pl.concat(courses),
        "nets": pl.DataFrame(nets, schema_overrides=kinds),
        "snapshots": pl.concat(snapshots),
    }


def _moments(ipr: np.ndarray, time: np.ndarray) -> list[int]:
    """Records before, during and after the rise of the IPR; shares of the training where it does not rise."""
    rises = _first(ipr > RISES)
    if rises is None or rises == 0:
        return [int(np.searchsorted(time, share * time[-1])) for share in (0.4, 0.6)] + [len(time) - 1]
    return [int(np.searchsorted(time, 0.4 * time[rises])), rises, len(time) - 1]


def _first(held: np.ndarray) -> int | None:
    return int(held.argmax()) if held.any() else None


def _outcome(
    trial: Trial, time: np.ndarray, at: list[int], course: dict, distance: np.ndarray, relative: np.ndarray
) -> dict:
    """When the IPR passes 0.1 and the distance half of its largest, IPR at the end, and distances at the snapshots."""
    assert isinstance(trial.data, Nlgp)
    rises, half = _first(course["ipr"] > RISES), _first(distance > distance.max() / 2)
    known = {
        "excess": theory_moments(trial.data, 1).excess_kurtosis,
        "ipr": float(course["ipr"][-1]),
        "ipr_flow": float(course["ipr_flow"][-1]),
        "rises_at": None if rises is None else float(time[rises]),
        "apart_at": None if half is None else float(time[half]),
        "most_relative": float(relative.max()),
        "until": _window(course["ipr"], time),
    }
    return known | {f"relative_{when}": float(relative[record]) for when, record in zip(WHEN, at, strict=True)}


def _window(ipr: np.ndarray, time: np.ndarray) -> float:
    """How long the curves are drawn: three times as long as the IPR takes to half of its end, or all of it."""
    half = _first(ipr > ipr[-1] / 2)
    local = ipr[-1] > 2 * RISES and half
    return float(min(time[-1], 3 * time[half]) if local else time[-1])


# --- claims ----------------------------------------------------------------------------------------------------------


def claims(table: Table) -> list[Claim]:
    """The binary stimulus: near-exact until it localises; then the Gaussian one."""
    first, *others = table.frames["nets"].partition_by("stimulus", maintain_order=True)
    name, local = first["stimulus"][0], fields.local_ipr(first["inputs"][0])
    rises = [row for row in first.to_dicts() if None not in (row["rises_at"], row["apart_at"])]
    late = ", ".join(f"{row['rises_at']:.3g} / {row['apart_at']:.3g}" for row in rises)
    found = [
        counted(
            f"on {name} the distance from eq. 5 grows (past half of its largest) after the IPR does (past {RISES})",
            [row["apart_at"] >= row["rises_at"] for row in rises],
            f"times, IPR / distance: {late}",
            "the IPR never rises, or nothing is apart",
            "initialisation",
        ),
        counted(
            f"on {name} the field localises: IPR above {number(local)}",
            [value > local for value in first["ipr"]],
            f"IPR {parts.ranged(first['ipr'])}; by eq. 5 {parts.ranged(first['ipr_flow'])}",
            what="initialisation",
        ),
        _exact(f"on {name} eq. 5 is near-exact before the IPR rises", first, "relative_before"),
        counted(
            f"on {name} eq. 5 has its peak at the same input in the end (paper: 3 of 4)",
            [a == b for a, b in first.select("peak", "peak_flow").iter_rows()],
            ", ".join(f"{a} / {b}" for a, b in first.select("peak", "peak_flow").iter_rows()),
            what="initialisation",
        ),
    ]
    return [*found, *(claim for part in others for claim in _stays(part))]


def _exact(says: str, part: pl.DataFrame, column: str) -> Claim:
    held = [value <= CLOSE for value in part[column]]
    says = f"{says}: within {CLOSE:.0%} of |w|"
    return counted(says, held, f"distance {parts.ranged(part[column])} of |w|", what="initialisation")


def _stays(part: pl.DataFrame) -> list[Claim]:
    name, bound = part["stimulus"][0], fields.NOT_LOCAL * fields.noise_ipr(part["inputs"][0])
    held = [value < bound for value in part["ipr"]]
    says = f"on {name} the field does not localise: IPR below {number(bound)}"
    low = counted(says, held, f"IPR {parts.ranged(part['ipr'])}", what="initialisation")
    return [low, _exact(f"on {name} eq. 5 is near-exact to the end", part, "relative_after")]


def told(table: Table) -> list[str]:
    """Relative distances at the three moments, and the largest."""
    found = []
    for part in table.frames["nets"].partition_by("stimulus", maintain_order=True):
        listed = ", ".join(f"{when} {parts.ranged(part[f'relative_{when}'])}" for when in WHEN)
        excess = f"excess kurtosis {part['excess'][0]:.4g}"
        found.append(
            f"{part['stimulus'][0]} ({excess}): |w - w by eq. 5| / |w| {listed}; at most {number(part['most_relative'].max())}."
        )
    return found


def caption(table: Table) -> str:
    nets = table.frames["nets"]
    batch = ", ".join(
        dict.fromkeys(
            f"{table.of.trials[id].train.batch:,}" for id in table.of.first_of_each(table.of.those(_wanted, NEEDS))
        )
    )
    return (
        f"Black: simulated; red: eq. 5 with the exact amplifier, from the same weights. Rows: seeds of {nets['stimulus'][0]} "
        f"and one of the most Gaussian stimulus; time is updates x learning rate; curves end where nothing more happens, "
        f"snapshots are before, at and after the rise of the IPR past {RISES} (see the head of fig8.py). Batch {batch}: its "
        f"noise is in the simulation alone. Counted: {nets['seed'].n_unique()} seeds.{table.of.further(_wanted)} "
        f"{table.of.caption}"
    )


# --- drawn -----------------------------------------------------------------------------------------------------------


def draw(table: Table) -> Figure:
    """A row per net: IPR, distance, IPR near 0, and three snapshots."""
    nets = table.frame("nets", drawn=True).to_dicts()
    figure = parts.canvas(0.9 + 1.45 * len(nets))
    grid = figure.subplots(len(nets), 6, squeeze=False)
    for line, net in zip(grid, nets, strict=True):
        own = {"stimulus": net["stimulus"], "seed": net["seed"]}
        _curves(line[:3], table.frame("courses", **own), net)
        for axes, when in zip(line[3:], WHEN, strict=True):
            _snapshot(axes, table.frame("snapshots", **own, when=when))
        line[0].set_ylabel(f"{net['stimulus']}\nseed {net['seed']}", fontsize=8, fontweight="bold")
    for letter, name, axes in zip("ABC", ("IPR", "distance", "IPR near 0"), grid[0], strict=False):
        axes.set_title(f"{letter}  {name}", fontsize=9, loc="left")
    for axes, name in zip(grid[-1], ["time"] * 3 + ["input"] * 3, strict=True):
        axes.set_xlabel(name, fontsize=8)
    looks = {"simulated": fields.SIMULATED, "eq. 5": fields.THEORY}
    handles = [Line2D([], [], color=colour, linewidth=1.3) for colour in looks.values()]
    figure.legend(handles, list(looks), loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    return figure


def _curves(line: np.ndarray, course: pl.DataFrame, net: dict) -> None:
    for axes in line:
        fields.small(common.plain(axes))
        if net["rises_at"] is not None:
            axes.axvline(net["rises_at"], color="0.7", linewidth=0.8)
        axes.set_xlim(0, net["until"])
    for axes in (line[0], line[2]):
        axes.plot(course["time"], course["ipr"], color=fields.SIMULATED, linewidth=1.2)
        axes.plot(course["time"], course["ipr_flow"], color=fields.THEORY, linewidth=1.2)
    line[1].plot(course["time"], course["distance"], color=fields.SIMULATED, linewidth=1.2)
    line[0].set_ylim(0, 1.03)
    line[1].set_ylim(bottom=0)
    line[2].set_ylim(0, RISES)


def _snapshot(axes: Axes, part: pl.DataFrame) -> None:
    row = part.row(0, named=True)
    fields.small(common.plain(axes))
    axes.plot(row["weights"], color=fields.SIMULATED, linewidth=1.0)
    axes.plot(row["flow"], color=fields.THEORY, linewidth=1.0, alpha=0.85)
    axes.set_title(f"{row['when']}, t = {row['time']:g}", fontsize=7.5, loc="left", pad=2)
