"""Fields of soft committee machines on Kur inputs, and ICA components of the same inputs.  Lufkin et al. (2024), Fig. 6.

A committee: sigmoid units, their mean the output. Localised: half of a unit's squared weight lies within less than an
eighth of the ring (see fields.py; the IPR stands beside it). Components of equal sets of inputs count once.

Expect: the committee's units localise on Kur(10), of negative excess kurtosis, and not on Kur(4) and Kur(3), of infinite
kurtosis; ICA localises on all of them. What would count against the paper: units that localise on Kur(4), or do not on
Kur(10). Blind spot: the arc sees one field only, a unit with two far bumps is not localised.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from paper import parts
from paper.claims import Claim, counted
from paper.parts import number

from impray.spec.data import Kur
from impray.spec.trial import Trial
from lufkin import units
from lufkin.folder import Folder, is_ring

Table = parts.Table[Folder]

TITLE = "Fig. 6  Many neurons, and ICA"
PAPER = (
    "A soft committee machine of ten sigmoid units learns sharply localised fields on Kur(10) (excess kurtosis -0.93) "
    "and low-frequency oscillations on Kur(4) (3.28 in its sample; infinite); FastICA learns localised components on "
    "Kur(3), because only the size of the excess kurtosis matters to it."
)
SETTING = {
    "stimuli": "committee: Kur(10), Kur(4); ICA: Kur(3) (ξ 1/3)",
    "network": "10 sigmoid units, second layer fixed at 1/10, bias; initial variance 0.1",
    "training": "lr 100, 5,000 updates, batch 1,000 (code); ICA: 40 components of 100,000 samples",
}
NEEDS = (
    "soft committee machines (net.readout: mean, several hidden units) on kur inputs, measures course with "
    "weights_every and components, as sweeps/lufkin2024_committee.yaml"
)
ICA = "ICA"
DRAWN = (10.0, 4.0)  # k of the committees in the paper's figure; ICA is of the smallest k
SHOWN = 10  # units, and components, of a row


def table(of: Folder) -> Table:
    """Frame `units`: a row per unit (model: what kind of net) or component (model: ICA)."""
    trials = sorted(of.first_of_each(of.those(_wanted, NEEDS)), key=lambda id: -_k(of.trials[id]))
    frames = {"units": units.of_nets(of, trials)}
    components = [_components(of, id) for id in trials]
    found = [frame for frame in components if len(frame)]
    if found:
        frames["units"] = pl.concat([frames["units"], *found])
    return Table(of, frames, lacking=() if found else ("ICA: needs measure components",))


def _wanted(trial: Trial) -> bool:
    net = trial.net
    committee = net.readout == "mean" and len(net.hidden) == 1 and net.hidden[0] > 1
    return committee and isinstance(trial.data, Kur) and is_ring(trial)


def _k(trial: Trial) -> float:
    assert isinstance(trial.data, Kur)
    return trial.data.k


def _components(of: Folder, id: str) -> pl.DataFrame:
    """Components of the trial's inputs; sets that several seeds share once, with the lowest of these."""
    rows = of.rows("images", ["number", "values"], [id], name="ica").sort("seed", "number")
    rows = rows.unique(["number", "values"], keep="first", maintain_order=True)
    if rows.is_empty():
        return pl.DataFrame()
    w = np.stack([np.frombuffer(values, dtype="<f4").astype(np.float64) for values in rows["values"]])
    return units.described(of.trials[id].data, ICA, rows["seed"], rows["number"], w)


# --- claims ----------------------------------------------------------------------------------------------------------


def claims(table: Table) -> list[Claim]:
    """Committees by the sign of the excess kurtosis, then ICA whatever it is."""
    frame = table.frames["units"]
    nets, ica = frame.filter(pl.col("model") != ICA), frame.filter(pl.col("model") == ICA)
    negative, positive = nets.filter(pl.col("excess") < 0), nets.filter(pl.col("excess") > 0)
    groups = list(ica.group_by("stimulus", maintain_order=True)) if len(ica) else []
    return [
        units.localised(f"the committee localises on {_names(negative)}", negative, True),
        units.localised(f"it does not on {_names(positive)}", positive, False),
        _higher(negative, positive),
        *(_ica(part, at == 0) for at, (_, part) in enumerate(reversed(groups))),
        *([] if groups else [Claim("ICA localises on such inputs", lacking="needs measure components")]),
    ]


def _ica(part: pl.DataFrame, theirs: bool) -> Claim:
    says = f"ICA localises on {_names(part)}{'' if theirs else ' (control)'}"
    return units.localised(says, part, True, "component")


def _names(frame: pl.DataFrame) -> str:
    rows = frame.unique("stimulus", maintain_order=True) if len(frame) else frame
    listed = [f"{name} ({units.sign(excess)})" for name, excess in rows.select("stimulus", "excess").iter_rows()]
    return " and ".join(listed) or "such inputs"


def _higher(negative: pl.DataFrame, positive: pl.DataFrame) -> Claim:
    """The mean IPR over units, seed by seed, against the largest of the other stimuli."""
    says = "in the mean over units the IPR is higher with negative than with positive excess kurtosis"
    if negative.is_empty() or positive.is_empty():
        return Claim(says, lacking="needs stimuli of both signs")
    low = negative.group_by("seed", "stimulus").agg(pl.col("ipr").mean()).group_by("seed").agg(pl.col("ipr").min())
    high = positive.group_by("seed", "stimulus").agg(pl.col("ipr").mean()).group_by("seed").agg(pl.col("ipr").max())
    both = low.join(high, on="seed").sort("seed")
    shown = f"{parts.ranged(both['ipr'])} against at most {parts.ranged(both['ipr_right'])}"
    return counted(says, [a > b for a, b in both.select("ipr", "ipr_right").iter_rows()], shown, "no seed has both")


def told(table: Table) -> list[str]:
    frame = table.frames["units"]
    trials = [id for id in table.of.trials if _wanted(table.of.trials[id])]
    nets = units.summary(frame.filter(pl.col("model") != ICA))
    return [*nets, *units.summary(frame.filter(pl.col("model") == ICA), "components"), *units.learned(table.of, trials)]


def caption(table: Table) -> str:
    frame = table.frames["units"]
    seeds = frame.filter(pl.col("model") != ICA)["seed"]
    return (
        f"Weights of each unit at the end, seed {seeds.min()}, and the first components of FastICA, each on a scale of its own; "
        f"red: localised. Above each: the arc with half of the squared weight (a wave 0.5, white noise "
        f"{number(0.33)}) and the IPR. Counted: all units of {seeds.n_unique()} seeds.{table.of.further(_wanted)} "
        f"{table.of.caption}"
    )


# --- drawn -----------------------------------------------------------------------------------------------------------


def _rows(table: Table) -> list[tuple[str, pl.DataFrame]]:
    """What is drawn: the paper's two committees (else the first and the last), and ICA of the smallest k."""
    frame = table.frames["units"]
    nets, ica = frame.filter(pl.col("model") != ICA), frame.filter(pl.col("model") == ICA)
    names = nets["stimulus"].unique(maintain_order=True).to_list()
    theirs = [name for name in names if name in {f"Kur({k:g})" for k in DRAWN}]
    rows = [(name, nets.filter(pl.col("stimulus") == name)) for name in theirs or [names[0], names[-1]][: len(names)]]
    if len(ica):
        name = ica["stimulus"].unique(maintain_order=True).to_list()[-1]
        rows.append((name, ica.filter(pl.col("stimulus") == name)))
    return rows


def draw(table: Table) -> Figure:
    """A row per committee, and one of components, of the lowest seed each."""
    rows = [
        (
            f"{part['model'][0]}, {name}, {units.sign(part['excess'][0])}",
            part.filter(pl.col("seed") == part["seed"].min()),
        )
        for name, part in _rows(table)
    ]
    return units.drawn(rows, SHOWN, 1.5)
