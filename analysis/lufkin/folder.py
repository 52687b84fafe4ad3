"""A sweep's folder as the paper's figures need it: its trials, what they are called, and the dense round of each net.

The paper prunes nothing, so every figure is of round 0; methods share it, and each net counts once. Lineages that
diverged are left out of every figure, whole, and counted in its caption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import common
import polars as pl
from paper import parts
from paper.parts import NotMeasured, Subject
from pydantic import ValidationError

from impray.results import tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import Place
from impray.spec import axes as spec_axes
from impray.spec.data import Correlated, DataSpec, Elliptical, Ising, Kur, Nlgp
from impray.spec.errors import DataError
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial


@dataclass(frozen=True)
class Folder(Subject):
    """Trials by id, in the order of the search; lineages: lineage, trial, seed, diverged, one per net."""

    trials: Mapping[str, Trial]
    lineages: pl.DataFrame

    def those(self, wanted: Callable[[Trial], bool], needs: str) -> list[str]:
        """Ids of the trials that are wanted and have a net that did not diverge.

        Raises:  NotMeasured: none is wanted (what is needed), or all of them diverged.
        """
        found = [id for id, trial in self.trials.items() if wanted(trial)]
        if not found:
            raise NotMeasured(f"needs {needs}")
        alive = set(self.lineages.filter(~pl.col("diverged"))["trial"])
        if not alive & set(found):
            raise NotMeasured(f"every lineage diverged ({self.lost(found)})")
        return [id for id in found if id in alive]

    def first_of_each(self, trials: Sequence[str]) -> list[str]:
        """The first trial of each stimulus and activation: what a figure shows where a sweep varies more than these."""
        seen: dict[tuple, str] = {}
        for id in trials:
            trial = self.trials[id]
            seen.setdefault((stimulus(trial.data), trial.net.activation), id)
        return list(seen.values())

    def further(self, wanted: Callable[[Trial], bool]) -> str:
        """A sentence on the trials that `first_of_each` leaves out, if there are any."""
        found = self.those(wanted, "")
        more = len(found) - len(self.first_of_each(found))
        return f" {more} further trials of the same stimuli are not drawn; choose with --only." * bool(more)

    def rows(self, table: str, columns: Sequence[str], trials: Sequence[str], **values: object) -> pl.DataFrame:
        """Rows of round 0 of these trials' nets that did not diverge: trial, seed, lineage and `columns`, sorted by seed.

        Raises:  DataError: the files cannot be read.
        """
        sound = self.lineages.filter(~pl.col("diverged") & pl.col("trial").is_in(list(trials)))
        wanted = [pl.col(name) == value for name, value in values.items()]
        names = list(dict.fromkeys(["lineage", *columns]))
        try:
            found = tables.scan(table, self.folder).filter(pl.col("round") == 0, *wanted).select(names)
            joined = found.join(sound.lazy().select("lineage", "trial", "seed"), on="lineage", how="inner")
            return joined.sort("trial", "seed", maintain_order=True).collect()
        except (pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{self.folder}: its table {table} cannot be read ({why})") from error

    def weights(self, trials: Sequence[str], needs: str) -> pl.DataFrame:
        """The recorded weights: trial, seed, lineage, unit, step, weights (a list); the first and the last step are among them.

        Raises:  NotMeasured: this sweep recorded none.
        """
        found = self.rows("steps", ["step", "unit", "weights"], trials)
        return parts.measured(found, "weights", needs)

    def lost(self, trials: Iterable[str]) -> str:
        """'3 of 10 lineages of Kur(4)', one for each trial that lost some."""
        words = []
        for id in trials:
            part = self.lineages.filter(pl.col("trial") == id)
            if part["diverged"].any():
                name = stimulus(self.trials[id].data)
                words.append(
                    f"{part['diverged'].sum()} of {len(part)} lineages of {name}, {scales(self.trials[id].data)}"
                )
        return "; ".join(words)

    @cached_property
    def caption(self) -> str:
        """How many nets, and who is missing."""
        lost, of = int(self.lineages["diverged"].sum()), len(self.lineages)
        listed = self.lost(self.trials)
        seeds = self.lineages["seed"].n_unique()
        return (
            f"This folder: {len(self.trials)} trial{'s' * (len(self.trials) != 1)}, {seeds} "
            f"seed{'s' * (seeds != 1)}; {lost} of {of} lineages diverged{f' ({listed}): left out' * bool(lost)}."
        )

    def setting(self, trials: Sequence[str]) -> dict[str, str]:
        """Stimuli, network and training of these trials in words."""
        of = [self.trials[id] for id in trials]
        where = {}
        for trial in of:
            where.setdefault(scales(trial.data), []).append(stimulus(trial.data))
        return {
            "stimuli": "; ".join(f"{_listed(names)} ({at})" for at, names in where.items()),
            "network": _listed(_network(trial) for trial in of),
            "training": _listed(training(trial) for trial in of),
        }


def opened(folder: Place, only: Mapping[str, str] | None = None) -> Folder:
    """The folder of a sweep.

    Raises:  DataError: not a sweep's folder, `only` names what is not there, or its trials are not known.
    """
    rows, _ = common.rows("rounds", folder, only)
    frame = rows.filter(pl.col("round") == 0).collect()
    sweep = read_sweep(Paths(folder)) if Paths(folder).sweep.is_file() else None
    known = _trials(folder, sweep)
    unknown = sorted(set(frame["trial"]) - set(known))
    if unknown:
        raise DataError(f"{folder}: {len(unknown)} of its trials are described nowhere; {common.NO_SWEEP}")
    first = frame.sort("method", "lineage").unique("trunk", keep="first", maintain_order=True)
    lineages = first.select("lineage", "trial", "seed", diverged=pl.col("status") == "diverged").sort("trial", "seed")
    mine = set(lineages["trial"])
    return Folder(folder, sweep, {id: trial for id, trial in known.items() if id in mine}, lineages)


def _trials(folder: Place, sweep: Sweep | None) -> dict[str, Trial]:
    """Trials by id: those of the sweep, and those that the table `trials` describes."""
    listed = [] if sweep is None else spec_axes.trials(sweep)
    found = {trial.id: trial for _, trial in listed}
    try:
        rows = tables.scan("trials", folder).sort("number").select("trial", "description").collect()
        described = {id: Trial.model_validate_json(text) for id, text in rows.iter_rows() if text is not None}
    except (pl.exceptions.PolarsError, OSError, ValidationError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder}: its trials cannot be read ({why})") from error
    return found | {id: trial for id, trial in described.items() if id not in found}


# --- which trial is what ---------------------------------------------------------------------------------------------


def is_neuron(trial: Trial) -> bool:
    """A single ReLU neuron without bias on two classes (M2)."""
    net = trial.net
    same = (net.hidden, net.activation, net.bias, net.readout) == ((1,), "relu", False, "mean")
    return same and trial.data.classes == 2 and is_ring(trial)


def is_ring(trial: Trial) -> bool:
    """Inputs on a ring, as in all of the paper's figures but the first."""
    return isinstance(trial.data, (Correlated, Ising)) and len(trial.data.input_shape) == 1


def stimulus(data: DataSpec) -> str:
    """A stimulus as the paper writes it: NLGP(0.01), Kur(5), Ising, elliptical shell."""
    name = type(data).__name__
    if isinstance(data, Nlgp):
        name = f"NLGP({data.gain:g})"
    elif isinstance(data, Kur):
        name = f"Kur({data.k:g})"
    elif isinstance(data, Elliptical):
        name = f"elliptical {data.radius}"
        if data.radius == "student_t":
            name = f"t{data.inputs}(ν = {data.degrees_of_freedom:g})"
    blend = getattr(data, "gaussian_blend", 0)
    return f"{name} blended {blend:g}" if blend else name


def scales(data: DataSpec) -> str:
    """The length scales of its classes in words, with the number of inputs where it is not the paper's usual 40."""
    words = f"J {_pair(data.coupling)}" if isinstance(data, Ising) else ""
    if isinstance(data, Correlated):
        words = f"ξ {_pair(data.xi)}{' (matched)' if data.covariance == 'matched' else ''}"
    return words if data.inputs == 40 else f"{words}, N = {data.inputs}"


def _pair(values: Sequence[float]) -> str:
    return "/".join(f"{value:g}" for value in values)


def _network(trial: Trial) -> str:
    net = trial.net
    units = net.hidden[0] if len(net.hidden) == 1 else ":".join(map(str, net.hidden))
    second = "second layer fixed" if net.readout == "mean" else "second layer trained"
    words = f"{units} {net.activation} unit{'s' if units != 1 else ''}"
    bias = "bias" if net.bias else "no bias"
    scale = _pair(net.init.scale) if isinstance(net.init.scale, tuple) else f"{net.init.scale:.3g}"
    return f"{words}, {second}, {bias}; {net.init.kind} x {scale}"


def training(trial: Trial) -> str:
    train = trial.train
    return f"lr {train.lr:g}, {train.steps:,} updates, batch {train.batch:,}"


def _listed(words: Iterable[str], most: int = 3) -> str:
    """Each once; only the first few of many."""
    found = list(dict.fromkeys(words))
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
