"""What a sweep is going to do, before it does: trials and lineages with what is left of them, packs, a time, memory and disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console

from impray.results import ledger
from impray.results.axis_values import trials_in_words
from impray.results.paths import Paths
from impray.results.store import Place
from impray.service import cost, folder, probe, solving_time
from impray.service.cost import Cost
from impray.service.doctor.needs import needs
from impray.service.driver import open_files
from impray.service.plan import PlannedTrial, listed, pack_of, packs, packs_itself, planned
from impray.service.progress import duration
from impray.service.trials import Trials
from impray.spec.counts import fits
from impray.spec.data import FileData
from impray.spec.pack import Pack, entries
from impray.spec.sweep import Sweep
from impray.spec.text import size
from impray.spec.training import StepsSpec, TrainingSpec
from impray.spec.trial import Trial

MOST_ROUNDS_TOLD = 20  # one by one
MOST_TRIALS_TOLD = 12  # with what is left of them


@dataclass(frozen=True)
class Left:
    """What is left of a sweep in a folder, in the packs that it would run here."""

    sweep: Sweep
    trials: Trials
    count: int  # trials in all
    over: int  # that are not run any more
    packs: list[Pack]  # of a search: one like the base trial for each that is left
    slots: int  # packs at once

    @property
    def share(self) -> float:
        """Of all rounds of these packs, how many are not done."""
        rounds = sum(len(pack.rows_of(lineage)) for pack in self.packs for lineage in pack.lineages)
        undone = self.trials.rounds_left() if self.packs else 0
        return min(1.0, undone / rounds) if rounds and not self.trials.asks else 1.0

    def cost(self, where: str, budget_s: float, after_s: float | None = None) -> Cost | str:
        """See `impray.service.cost.of_packs`; or why it is not known: a part that was run here failed, as the sweep's packs may."""
        try:
            return cost.of_packs(self.sweep, self.packs, self.slots, where, budget_s, self.share, after_s)
        except (
            Exception
        ) as error:  # a plugin's measure or a network that cannot be: no reason not to begin, and told by its packs
            return f"how long it takes is not known: a part of it failed here ({type(error).__name__}: {error})"


def left(trials: Trials, where: str = "ray") -> Left:
    """What is left, from the tables; nothing is written."""
    sweep, slots = trials.sweep, _slots(trials.sweep, where)
    if not trials.asks:
        todo = packs(sweep, trials.left(), trials.ledger, trials.columns, slots)
        return Left(sweep, trials, len(trials.planned), len(trials.outcomes), todo, slots)
    count, over = sweep.search.trials or 0, trials.asked.told
    like = pack_of(sweep, planned(sweep, 0, {}, sweep.trial).lineages, ledger.Ledger(), trials.columns)
    return Left(sweep, trials, count, over, [like] * max(0, count - over), slots)


def _slots(sweep: Sweep, where: str) -> int:
    """Packs at once on this machine."""
    if where == "here":
        return 1
    fit = [fits(sweep.resources.cpu, len(os.sched_getaffinity(0)))]
    if sweep.resources.gpu > 0:
        fit.append(fits(sweep.resources.gpu, max(1, torch.cuda.device_count())))
    return max(1, min(fit))


# -- a plan -----------------------------------------------------------------------------------------------------------


def lines(sweep: Sweep, name: str, place: Place, where: str = "ray", after_s: float | None = None) -> list[str]:
    """The plan as lines of text; nothing is run but parts of packs, in a folder that is removed.

    Args:    where, after_s: as of `impray.service.cost.of_packs`.

    Raises:  SweepError, DataError: as the sweep itself would before it ran anything: the folder is in use, or holds results of another
             sweep; files are damaged.
    """
    paths = Paths(place)
    folder.free(paths)
    trials = listed(sweep)
    away = isinstance(sweep.trial.data, FileData) and not probe.is_here(sweep.trial.data)
    folder.checked(sweep, paths, {} if away else open_files(sweep, paths, Console(quiet=True), trials))
    now = left(Trials(sweep, paths, trials, writes=False), where)
    took = now.cost(where, cost.WHOLE_S, after_s)
    return [
        f"{name}: {sweep.question}",
        *amount(now),
        *_each_left(now),
        f"rounds 0 to {sweep.rounds}, {_length(sweep.trial.train)} each{_rows(sweep)}; methods {', '.join(sweep.methods)}",
        *_kept(sweep, [trial.trial for trial in now.trials.planned.values()]),
        *sharing(now),
        *_time(now, took),
        *_room(now),
        *_absent(sweep),
    ]


def amount(now: Left) -> list[str]:
    """How much there is to do, in words."""
    sweep = now.sweep
    of_trial = len(sweep.methods) * len(sweep.seeds)
    lineages = now.count * of_trial
    left_of = (now.count - now.over) * of_trial if now.trials.asks else sum(len(pack.lineages) for pack in now.packs)
    rest = f" ({now.over} done, {now.count - now.over} with something left to do)" if now.over else ""
    of_lineages = f" ({left_of} with something left to do)" if left_of < lineages else ""
    most = max((len(pack.lineages) for pack in now.packs), default=0)
    return [
        f"trials: {now.count}{rest}; lineages: {lineages}{of_lineages} = trials x {_number(sweep.methods, 'method')} x "
        f"{_number(sweep.seeds, 'seed')}; packs: {len(now.packs)}{f' of up to {most} lineages' if most else ''}; slots: {now.slots}"
    ]


def _number(things: Sequence, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _each_left(now: Left) -> list[str]:
    """Where something is done already: which trials are left, and what of them."""
    todo = [] if now.trials.asks else now.trials.left()
    if now.trials.asks or not now.trials.ledger.rounds or not todo:
        return []
    told = [_of_trial(now.trials, trial) for trial in todo[:MOST_TRIALS_TOLD]]
    more = [f"  and {len(todo) - MOST_TRIALS_TOLD} more"] if len(todo) > MOST_TRIALS_TOLD else []
    return ["left to do:", *told, *more]


def _of_trial(trials: Trials, trial: PlannedTrial) -> str:
    undone = [len(trials.undone(lineage)) for lineage in trial.lineages]
    name = trials_in_words([(trial.number, trial.values)])
    rounds = sum(len(trials.asked_rounds(lineage)) for lineage in trial.lineages)
    return f"  {name}: {sum(map(bool, undone))} of {len(undone)} lineages, {sum(undone)} of {rounds} rounds"


def sharing(now: Left) -> list[str]:
    """Who shares a pack, where `search.pack` is left out; or that leaving it out would make fewer."""
    sweep = now.sweep
    if now.trials.asks or len(now.trials.planned) < 2 or not now.packs:
        return []
    if packs_itself(sweep):
        differ = ", ".join(_differ_within(now))
        if differ:
            return [f"trials that differ in {differ} share packs, which is faster (search.pack: [] keeps trials apart)"]
        return []
    search = sweep.search.model_copy(update={"pack": None})
    itself = sweep.model_copy(update={"search": search})
    if not packs_itself(itself):
        return []
    fewer = packs(itself, now.trials.left(), now.trials.ledger, now.trials.columns, now.slots)
    if len(fewer) < len(now.packs):
        return [
            f"search.pack left out would make {len(fewer)} packs of these {len(now.packs)}: fewer are faster, as a rule"
        ]
    return []


def _differ_within(now: Left) -> list[str]:
    """Axes in which trials of one pack differ."""
    known, found = now.trials.planned, {}
    for pack in now.packs:
        values = [known[id].values for id in dict.fromkeys(i.trial.id for i in pack.lineages)]
        for path in now.sweep.search.space:
            if len({repr(of_trial.get(path)) for of_trial in values}) > 1:
                found[path] = None
    return list(found)


def _time(now: Left, took: Cost | str) -> list[str]:
    if not now.packs:
        return ["nothing is left to run"]
    if isinstance(took, str):
        return [took]
    parts = [("solving", "solving"), ("training", "training"), ("measures and checkpoints", "rounds")]
    each = [f"{noun} {duration(seconds)}" for noun, part in parts if (seconds := took.part(part)) > 0]
    each += [f"opening data {duration(took.opening)} a slot"] if took.opening >= 1 else []
    ends = f"start {duration(took.before)}" + (f", figures and MLflow {duration(took.after)}" if took.after else "")
    more = "; early stopping may end some sooner" if now.sweep.search.stop_early else ""
    text = f"takes about {duration(took.wall_s)} here: {ends}, and on {_number(range(now.slots), 'slot')} {', '.join(each)}"
    return [f"{text} (from {_probed(now)}){more}", *_gpu_hours(now.sweep, took)]


def _gpu_hours(sweep: Sweep, took: Cost) -> list[str]:
    if sweep.resources.gpu == 0:
        return []
    hours = took.slot_s * sweep.resources.gpu / 3600
    return [f"GPU-hours: below {hours:.2g}, as a rule: so long one core here would take; no GPU was timed"]


def _probed(now: Left) -> str:
    """What the time was taken from."""
    sorts = {part.solved for pack in now.packs for part in pack.parts}
    solved = [f"{solving_time.PROBLEMS} problems a trial, solved and measured"] if True in sorts else []
    trained = [f"{probe.PROBE_STEPS} steps and a few short rounds of a pack of each kind"]
    return " and ".join(solved + (trained if False in sorts else []))


def _room(now: Left) -> list[str]:
    """Memory of an actor, and disk."""
    if not now.packs:
        return []
    takes = needs(now.sweep, now.trials.ledger, now.slots, None if now.trials.asks else now.packs)
    actors = min(now.slots, len(now.packs))
    data = f", and {size(takes.data)} in the cache for the converted data" if takes.data else ""
    device = f" ({size(takes.device)} on its GPU)" if now.sweep.resources.gpu else ""
    return [
        f"memory: about {size(takes.actor)} an actor{device}, {actors} at once; "
        f"disk: about {size(takes.disk)} (checkpoints {size(takes.checkpoints)}){data}"
    ]


# -- before a sweep starts --------------------------------------------------------------------------------------------


def briefly(trials: Trials, where: str, known_slots: bool, after_s: float) -> tuple[list[str], float | None]:
    """What a sweep that starts is going to run, and for how long about; the second number is that in seconds, None if not known.

    Args:    known_slots: whether it runs on this machine, so that what is timed here says something.
    """
    now = left(trials, where)
    took = now.cost(where, cost.QUICK_S, after_s) if now.packs else None
    text = f"{amount(now)[0]}; rounds 0 to {now.sweep.rounds}"
    if took is None or isinstance(took, str):
        return [text, *sharing(now), *([took] if took else [])], None
    if not known_slots:
        return [f"{text}; about {duration(took.slot_s)} of one core like those here", *sharing(now)], None
    return [f"{text}; about {duration(took.wall_s)} in all", *sharing(now)], took.wall_s - took.before - took.after


# -- words ------------------------------------------------------------------------------------------------------------


def _rows(sweep: Sweep) -> str:
    """Which rounds have rows, where not all do."""
    if sweep.rows_at == "all":
        return ""
    words = {"last": "the last", "truth": "where as many weights are left as the truth has"}
    return f"; rows of {', '.join(words.get(str(entry), str(entry)) for entry in entries(sweep.rows_at))}"


def _length(train: TrainingSpec) -> str:
    """`2000 steps`, or the training in words where it has none."""
    return f"{train.steps} steps" if isinstance(train, StepsSpec) else train.words()


def _kept(sweep: Sweep, trials: Sequence[Trial]) -> list[str]:
    """What each round keeps of the prunable weights, or, where trials differ, what the last one does."""
    alike = {(trial.prune, trial.scope_sizes): trial for trial in trials}.values()
    if sweep.rounds == 0 or not alike:
        return []
    if len(alike) > 1 or sweep.rounds > MOST_ROUNDS_TOLD:
        ends = sorted({100 * float(trial.density(sweep.rounds)) for trial in alike})
        share = f"{ends[0]:.3g}" if len(ends) == 1 else f"{ends[0]:.3g} to {ends[-1]:.3g}"
        return [f"kept of the prunable weights in round {sweep.rounds}: {share} %"]
    (trial,) = alike
    shares = [f"{100 * float(trial.density(round)):.3g}" for round in range(1, sweep.rounds + 1)]
    return [f"kept of the prunable weights in rounds 1 to {sweep.rounds}: {', '.join(shares)} %"]


def _absent(sweep: Sweep) -> list[str]:
    data = sweep.trial.data
    if not isinstance(data, FileData) or probe.is_here(data):
        return []
    return [
        f"{data.path}: no data there yet; the time was taken on noise of the same shape, without reading files or measuring"
    ]
