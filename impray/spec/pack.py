"""A pack: lineages whose tensors stack, run as one batched program on one device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from impray.spec.base import Spec, canonical
from impray.spec.families import Measure
from impray.spec.family import embeds
from impray.spec.measure import MeasureSpec, measure_name
from impray.spec.trial import Lineage, Trial, _digest, versions

Ending = Literal["last", "truth"]
RowsAt = Literal["all"] | Ending | tuple[int | Ending, ...]  # as `Sweep.rows_at`


@embeds
class Pack(Spec):
    """What one actor is handed. Nothing here but the lineages decides their numbers."""

    lineages: tuple[Lineage, ...] = Field(min_length=1)
    rounds: int = Field(ge=0)
    measures: tuple[Measure, ...]
    rows_at: RowsAt = "all"
    axes: dict[str, str] = Field(default_factory=dict, description="axis path -> column type")
    snapshots: tuple[int, ...] = Field(
        default=(), description="rewind steps that other packs of the sweep ask of the same trunks"
    )
    known: bool = Field(default=False, description="an earlier run left rows of some of these lineages")

    @model_serializer(mode="wrap")
    def _trials_once(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Lineages as (place of their trial, method, seed): thousands of them share a trial."""
        trials = {lineage.trial.id: lineage.trial for lineage in self.lineages}
        places = {id: place for place, id in enumerate(trials)}
        short = [[places[lineage.trial.id], lineage.method, lineage.seed] for lineage in self.lineages]
        return {**handler(self.model_copy(update={"lineages": ()})), "trials": list(trials.values()), "lineages": short}

    @model_validator(mode="before")
    @classmethod
    def _lineages_of_trials(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "trials" not in values:
            return values
        trials = dict(enumerate(Trial.model_validate(trial) for trial in values["trials"]))
        if any(place not in trials for place, _, _ in values["lineages"]):
            raise ValueError("lineages: name a trial that is not there")
        lineages = [
            Lineage(trial=trials[place], method=method, seed=seed) for place, method, seed in values["lineages"]
        ]
        return {**{name: value for name, value in values.items() if name != "trials"}, "lineages": lineages}

    @cached_property
    def id(self) -> str:
        """Names the pack's files; the same lineages in any order have the same one."""
        text = " ".join(sorted(lineage.id for lineage in self.lineages))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @cached_property
    def reads_end(self) -> bool:
        """Whether some measure reads trained weights: then every network trains in every round."""
        return any("end" in measure.needs for measure in self.measures)

    @cached_property
    def reads_pruned(self) -> bool:
        """Whether some measure reads networks just after pruning: then every network trains in the round before one with rows."""
        return any("pruned" in measure.needs for measure in self.measures)

    @cached_property
    def asked_of_fates(self) -> dict[str, str]:
        """What a lineage's rows in `fates` must have been written with: the measures with columns there, with their hashes."""
        return {measure_name(measure): measure_hash(measure) for measure in self.measures if measure.fate_columns}

    @cached_property
    def asked(self) -> dict[str, str]:
        """What a row must have been written with to count as done: measure (and `axes`) -> hash of its parameters."""
        return {measure_name(measure): measure_hash(measure) for measure in self.measures} | {
            "axes": _digest({"axes": sorted(self.axes)})
        }

    def trains(self, lineage: Lineage, round: int) -> bool:
        """Whether this lineage's network must be trained in this round."""
        rows = self.rows_of(lineage)
        read = (self.reads_end and round in rows) or (self.reads_pruned and round + 1 in rows)
        return round == 0 or read or (ranks_trained(lineage) and round < rows[-1])

    @cached_property
    def solved(self) -> bool:
        """Whether a solver makes all rounds of its lineages at once; of packs with one sort of lineages alone."""
        sorts = {lineage.solved for lineage in self.lineages}
        assert len(sorts) == 1, (
            "lineages that are trained and lineages that are solved run in parts of their pack (`Pack.parts`)"
        )
        return sorts.pop()

    @cached_property
    def parts(self) -> tuple[Pack, ...]:
        """The pack itself, or one of the lineages that are trained and one of those that are solved: they share no program."""
        sorts = [tuple(i for i in self.lineages if i.solved == solved) for solved in (False, True)]
        if not all(sorts):
            return (self,)
        return tuple(self.model_copy(update={"lineages": lineages}) for lineages in sorts)

    def rows_of(self, lineage: Lineage) -> Sequence[int]:
        """The rounds of a lineage that have rows, in order."""
        return rounds_with_rows(lineage.trial, self.rounds, self.rows_at)

    @cached_property
    def tells_removals(self) -> bool:
        """Whether some measure asks for the table `removals`."""
        return any(measure.removal_columns for measure in self.measures)


def rounds_with_rows(trial: Trial, rounds: int, rows_at: RowsAt) -> Sequence[int]:
    """The rounds, 0 to `rounds`, that a trial's lineages have rows of, in order."""
    if rows_at == "all":
        return range(rounds + 1)
    return _rounds_listed(rounds, rows_at, trial.truth_round if "truth" in entries(rows_at) else None)


def entries(rows_at: Ending | tuple[int | Ending, ...]) -> tuple[int | Ending, ...]:
    """What is listed; a name alone is a list of one."""
    return (rows_at,) if isinstance(rows_at, str) else rows_at


@lru_cache(maxsize=1 << 12)
def _rounds_listed(rounds: int, rows_at: Ending | tuple[int | Ending, ...], truth: int | None) -> tuple[int, ...]:
    return tuple(sorted({_round_of(entry, rounds, truth) for entry in entries(rows_at)}))


def _round_of(entry: int | Ending, rounds: int, truth: int | None) -> int:
    if entry == "last":
        return rounds
    if entry == "truth":
        assert truth is not None and truth <= rounds, "checked before a sweep runs"
        return truth
    return entry


def ranks_trained(lineage: Lineage) -> bool:
    """Whether the next mask follows from the weights that the round before trained."""
    return lineage.rule.ranks_trained(lineage.trial)


def leader_of(lineage: Lineage) -> Lineage | None:
    """The lineage whose masks this one follows, of the same trial and seed; None for methods with masks of their own."""
    leader = lineage.rule.follows
    return None if leader is None else lineage.model_copy(update={"method": leader})


def starts_anew(lineage: Lineage) -> bool:
    """Whether rounds start from new initial weights rather than from theta(rewind)."""
    return lineage.rule.starts_anew


def measure_hash(measure: MeasureSpec, revision: int | None = None) -> str:
    """Names what a row's columns of this measure are: its parameters and, where they changed since, its revision; a plugin's version.

    revision: as it was in an earlier one.
    """
    form = canonical(measure) | versions(measure)
    revision = measure.revision if revision is None else revision
    return _digest(form | {"revision": revision} if revision else form)[:8]


def stackable(lineage: Lineage) -> str:
    """Two lineages may share a pack exactly if this is equal: same shapes and program, but for what is packable."""
    trial = lineage.trial
    data, net, train = (_without_packable(part) for part in (trial.data, trial.net.shared(), trial.train))
    prune = {"layers": trial.prune.layers, "biases": trial.prune.biases, "scope": trial.prune.scope}
    steps = trial.prune.rewind_step if trial.prune.after_rewind == "remaining" else None
    return _digest(
        {
            "data": data,
            "net": net,
            "train": train,
            "prune": canonical(list(prune.values())),
            "steps": steps,
            "classes": trial.data.classes,
            "solved": lineage.solved,
        }
    )


def _without_packable(spec: Spec) -> dict[str, Any]:
    return {name: value for name, value in canonical(spec).items() if name not in spec.packable}
