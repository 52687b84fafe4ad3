"""What the rest of a sweep asks of its trials: rounds, packs, goals, measures, methods, figures. `axes.check` gathers it all."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from impray.spec import families
from impray.spec.errors import Problem
from impray.spec.families import rule_of
from impray.spec.measure import MeasureSpec, measure_name
from impray.spec.pack import entries, rounds_with_rows
from impray.spec.points import at, choices_of, is_possible, owner_of, value
from impray.spec.rules import SolverRule
from impray.spec.search import MOST_TRIALS, AtDensity, Criterion, Range
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial
from impray.spec.wording import near, show, tag_of

MOST_LINEAGES, MOST_ROWS = 200_000, 20_000_000  # of a sweep: all are listed before any work starts


def problems_with(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """What is wrong with a sweep's rounds, packs, goals, measures and figures, given trials that stand for all of its trials."""
    for rule in (
        _schedule_problems,
        _rows_problems,
        _pack_problems,
        _criterion_problems,
        _measure_problems,
        _rule_problems,
    ):
        yield from rule(sweep, possible)
    yield from _figure_problems(sweep)


def too_many(sweep: Sweep) -> Iterator[Problem]:
    """More trials, lineages or rows than can be planned; nothing else is looked at then."""
    search = sweep.search
    grid = math.prod(len(axis) for axis in search.space.values() if not isinstance(axis, Range))
    trials = grid if search.algorithm == "grid" else search.trials or 1
    if trials > MOST_TRIALS:
        yield Problem("search.space", None, f"is a grid of {trials} trials, more than {MOST_TRIALS}; use random")
        return
    rows = sweep.rounds + 1 if sweep.rows_at == "all" else len(entries(sweep.rows_at))
    lineages = trials * len(sweep.methods) * len(sweep.seeds)
    shape = f"{trials} trials x {len(sweep.methods)} methods x {len(sweep.seeds)} seeds"
    if lineages > MOST_LINEAGES:
        right = f"make {lineages:,} lineages ({shape}), more than {MOST_LINEAGES:,}; take fewer, or split the sweep"
        yield Problem("seeds", None, right)
    elif lineages * rows > MOST_ROWS:
        right = f"makes {lineages * rows:,} rows ({shape} x {rows} rounds), more than {MOST_ROWS:,}; take fewer, or rows_at: last"
        yield Problem("rounds", show(sweep.rounds), right)


def _pack_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    search = sweep.search
    if search.pack and (search.algorithm == "optuna" or search.stop_early):
        reason = (
            "optuna asks for one trial at a time"
            if search.algorithm == "optuna"
            else "stop_early ends trials one by one"
        )
        yield Problem("search.pack", show(search.pack), f"must be empty: {reason}")
    for position, path in enumerate(search.pack or ()):
        where = f"search.pack[{position}]"
        if path in (search.pack or ())[:position]:
            yield Problem(where, repr(path), "is listed twice; each axis counts once")
        elif path not in search.space:
            yield Problem(
                where,
                repr(path),
                f"is not an axis of search.space{near(path, search.space) or _axes_are(search.space)}",
            )
        elif why := _unpackable(sweep, path, possible):
            yield Problem(where, repr(path), why)


def _axes_are(space: Mapping[str, object]) -> str:
    return f"; its axes are {', '.join(space)}" if space else "; it has no axes"


def _unpackable(sweep: Sweep, path: str, possible: list[Trial]) -> str | None:
    for other, axis in sweep.search.follow.items():
        if axis == path and (part := owner_of(sweep.trial, other))[0] and part[1] not in part[0].packable:
            return f"cannot share a pack: {other}, which follows it, changes tensor shapes or the program"
    owner, name = owner_of(sweep.trial, path)
    if owner is not None and name not in type(owner).packable:
        can = [
            other
            for other in sweep.search.space
            if (part := owner_of(sweep.trial, other))[0] and part[1] in part[0].packable
        ]
        others = f"; can: {', '.join(can)}" if can else ""
        return f"cannot share a pack: it changes tensor shapes or the program{others}"
    rewinds = {trial.prune.after_rewind for trial in possible}
    if path == "prune.rewind_step" and "remaining" in rewinds:
        why = "its lineages would end at different steps"
        return f"Rewind step with remaining steps as an axis cannot share a pack: {why}"
    packed = sweep.search.pack or ()
    shapes: dict[str, set[tuple[tuple[int, ...], ...]]] = {}
    for trial in possible:  # values that share a pack differ in the packed axes only
        rest = json.dumps([value(trial, other) for other in sweep.search.space if other not in packed])
        shapes.setdefault(rest, set()).add(trial.shapes)
    if any(len(sizes) > 1 for sizes in shapes.values()) and _changes_sizes(sweep, path):
        return "cannot share a pack: its values give different numbers of classes or inputs"
    return None


def _changes_sizes(sweep: Sweep, path: str) -> bool:
    alone = [choice for choice in choices_of(sweep.search.space[path], sweep, path) if is_possible(sweep, path, choice)]
    return len({at(sweep, {path: choice}).shapes for choice in alone}) > 1


def _criterion_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """Goals and early stopping read columns that this sweep fills, of rounds and layers that it has."""
    criteria: list[tuple[str, Criterion]] = [(f"search.goals[{i}]", goal) for i, goal in enumerate(sweep.search.goals)]
    stop = sweep.search.stop_early
    if stop is not None:
        criteria.append(("search.stop_early", stop))
        if stop.grace > sweep.rounds:
            yield Problem("search.stop_early.grace", show(stop.grace), f"must be at most rounds = {sweep.rounds}")
    for where, criterion in criteria:
        if criterion.method not in sweep.methods:
            right = f"is not among this sweep's methods: {', '.join(sweep.methods)}"
            yield Problem(f"{where}.method", repr(criterion.method), right)
        why = _unreadable(sweep, criterion.measure, possible)
        if why:
            yield Problem(f"{where}.measure", repr(criterion.measure), why)
        elif why := _no_such_layer(sweep, criterion, possible):
            yield Problem(f"{where}.layer", show(criterion.layer), why)
    for position, goal in enumerate(sweep.search.goals):
        if isinstance(goal.at, int) and goal.at > sweep.rounds:
            yield Problem(f"search.goals[{position}].at", show(goal.at), f"must be at most rounds = {sweep.rounds}")
        if isinstance(goal.at, AtDensity) and (why := _too_dense(sweep, goal.at.density, possible)):
            yield Problem(f"search.goals[{position}].at.density", show(goal.at.density), why)


_ENDS = ("mask", "start", "end")  # of a column's name: the point of the round that it is read at


def _numbers(measure: MeasureSpec, trials: Sequence[Trial]) -> list[str]:
    """The columns that a measure, with its parameters, fills with one number per lineage or unit of some of these trials."""
    empty = measure.unfilled(trials)
    every = (*measure.lineage_columns, *measure.unit_columns)
    columns = [c.name for c in every if c.is_quantity and c.name not in empty]
    asked = getattr(measure, "at", None)
    if asked is None:
        return columns
    usual = type(measure).model_fields["at"].default[0]  # a column without _start or _end is this one
    return [c for c in columns if next((end for end in _ENDS if c.endswith(f"_{end}")), usual) in asked]


def _unreadable(sweep: Sweep, name: str, possible: list[Trial]) -> str | None:
    by_name = {measure_name(measure): measure for measure in sweep.measures}
    numbers = {tag: _numbers(measure, possible) for tag, measure in by_name.items()}
    columns = {column for of_measure in numbers.values() for column in of_measure}
    if name in columns:
        return None
    measure = by_name.get(name)
    if measure is not None and numbers[name]:
        first = measure.first_number()
        filled = ", ".join(numbers[name])
        empty = f"its column {first} stays empty; filled with these parameters: {filled}"
        return None if first in columns else empty
    known = list(dict.fromkeys([*(tag for tag, of_measure in numbers.items() if of_measure), *columns]))
    if measure is not None:
        return f"has no single number to read; this sweep has {', '.join(known) or 'none'}"
    for kind in families.measures.specs:
        if name in (tag_of(kind), *(column.name for column in (*kind.lineage_columns, *kind.unit_columns))):
            tag = tag_of(kind)
            if tag in by_name and name in by_name[tag].unfilled(possible):
                return f"has no meaning for these data; {tag} fills {', '.join(numbers[tag]) or 'nothing'}"
            return (
                f"is filled only when {tag} has at: [start, end]"
                if tag in by_name
                else f"needs {tag} among the measures"
            )
    return f"is not among this sweep's measures or their columns: {', '.join(known)}{near(name, known)}"


def _no_such_layer(sweep: Sweep, criterion: Criterion, possible: list[Trial]) -> str | None:
    names = {measure_name(measure): measure for measure in sweep.measures}
    owner = names.get(criterion.measure) or next(
        m for m in sweep.measures if criterion.measure in _numbers(m, possible)
    )
    if not owner.unit_columns:
        return None
    asked, tag = owner.unit_layers, tag_of(type(owner))
    if asked is not None and criterion.layer not in asked:
        if "layers" not in type(owner).model_fields:
            return f"must be 1: {tag} reads the first layer"
        return f"must be one of the layers that {tag} is asked for: {', '.join(map(str, asked))}"
    least = min((owner.last_layer(trial.layers) for trial in possible), default=criterion.layer)
    if criterion.layer <= least:
        return None
    return f"must be at most {least}: the last layer that {tag} reads in the smallest network of this sweep"


def _too_dense(sweep: Sweep, density: float, possible: list[Trial]) -> str | None:
    """Why some trial does not get down to a goal's density: told of the slowest, with the rounds that would do for all."""
    alike = {(trial.prune, trial.scope_sizes): trial for trial in possible}.values()
    named = [t for t in alike if t.prune.listed is None or t.prune.listed >= sweep.rounds]  # else told of `rounds`
    needed = [math.inf if (round := trial.round_at(density)) is None else round for trial in named]
    late = [(n, trial.density(sweep.rounds), trial) for n, trial in zip(needed, named, strict=True) if n > sweep.rounds]
    if not late:
        return None
    most, left, slowest = max(late, key=lambda entry: entry[:2])
    why = f"is never reached: {sweep.rounds} rounds of {slowest.prune.words()} leave {float(left):.3g}"
    if most < math.inf:
        return f"{why}; {most} rounds would do"
    return f"{why}; more rounds {'remove nothing' if slowest.prune.listed is None else 'that keep fewer would do'}"


def _schedule_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """A sweep has no more rounds than each trial names one by one."""
    listed = {trial.prune.listed: trial.prune for trial in possible if trial.prune.listed is not None}
    shortest = min(listed, default=None)
    if shortest is not None and shortest < sweep.rounds:
        right = f"must be at most {shortest}: {listed[shortest].words()} names no more; or name more of them"
        yield Problem("rounds", show(sweep.rounds), right)


def _rows_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """Rows of rounds that there are, for readers that need no others."""
    where, told = "rows_at", show(sweep.rows_at)
    if sweep.rows_at == "all":
        return
    listed = entries(sweep.rows_at)
    if "truth" in listed and any(trial.data.support is None for trial in possible):
        yield Problem(where, told, "takes data with a truth, such as linear or planted; or list the rounds")
    elif sweep.search.stop_early is not None:
        yield Problem(where, told, "must be all: stop_early reads every round")
    elif any(goal.at != "last" for goal in sweep.search.goals):
        yield Problem(where, told, "must be all: a goal is read at another round than the last")
    elif any(isinstance(entry, int) and entry > sweep.rounds for entry in listed):
        yield Problem(where, told, f"must be at most rounds = {sweep.rounds}")
    elif "truth" in listed:
        yield from _truth_problems(sweep, possible)


def _truth_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """Each trial has a round, of those that run, that keeps as many weights as its truth has."""
    late = [trial for trial in possible if trial.truth_round is None or trial.truth_round > sweep.rounds]
    if late:
        sparsest = min(late, key=lambda trial: trial.data.support or 0)
        right = f"{sparsest.data.support} weights, as many as the truth has, are left after more rounds than that"
        yield Problem("rounds", show(sweep.rounds), right)
        return
    for trial in possible:
        kept = sum(trial.prune.kept(size, trial.truth_round or 0) for size in trial.scope_sizes)
        if kept != trial.data.support:
            right = f"no round keeps the {trial.data.support} weights that the truth has, but one {kept}: say prune.least, or remove: 1"
            yield Problem("rows_at", show(sweep.rows_at), right)
            return


def _measure_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """Measures that some trial cannot feed, or that are not about it."""
    for position, measure in enumerate(sweep.measures):
        for problem in measure.problems(possible):
            where = f"measures[{position}]" + (f".{measure_name(measure)}.{problem.path}" if problem.path else "")
            yield replace(problem, path=where)
        if "order" in measure.reads and not any(_nests(sweep, method) for method in sweep.methods):
            ordered = ", ".join(method for method in families.rules.tags if _nests(sweep, method))
            right = f"needs a method that removes one weight after another: {ordered}"
            yield Problem(f"measures[{position}]", repr(measure_name(measure)), right)
        if "pruned" in measure.reads and (why := _never_pruned(sweep, possible)):
            yield Problem(f"measures[{position}]", repr(measure_name(measure)), why)


def _never_pruned(sweep: Sweep, possible: list[Trial]) -> str | None:
    """Why no row can have what is read of a network just after pruning."""
    lineages = [lineage for trial in possible for lineage in trial.lineages(sweep.methods, sweep.seeds[:1])]
    if possible and all(lineage.solved for lineage in lineages):
        return "reads networks that are pruned from round to round; these methods solve every round: add imp, or another that trains here"
    # Where rows are at the truth, and some trial has none, that has been said.
    told = [trial for trial in possible if "truth" not in sweep.rows_at or trial.truth_round in range(sweep.rounds + 1)]
    rows = [round for trial in told for round in rounds_with_rows(trial, sweep.rounds, sweep.rows_at)]
    if max(rows, default=1) == 0:
        return "reads networks just after pruning; round 0, the only one with rows, is dense: rounds must be at least 1"
    return None


def _nests(sweep: Sweep, method: str) -> bool:
    """Whether a method's rounds are solved at once, and no weight comes back: then there is an order in which they go."""
    return families.rules.member(method).solves is not None and rule_of(method, sweep.trial.prune.rules).nests


def _rule_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """What the methods of the sweep need of the trials; what several of them need is told once."""
    told = {
        problem: None
        for method in sweep.methods
        for problem in rule_of(method, sweep.trial.prune.rules).problems(possible)
    }
    yield from (replace(problem, path=f"trial.{problem.path}") for problem in told)
    for position, method in enumerate(sweep.methods):
        follows = rule_of(method, sweep.trial.prune.rules).follows
        if follows is not None and (why := _no_leader(follows)):
            yield Problem(f"methods[{position}]", repr(method), f"follows {follows}, {why}")


def _no_leader(method: str) -> str | None:
    """Why no other method can take this one's masks; a plugin's method says itself whom it follows."""
    if method not in families.rules.members:
        return f"which is no method{near(method, families.rules.tags)}"
    solver = issubclass(families.rules.member(method).spec, SolverRule)
    return "which has a solver and no masks from round to round" if solver else None


def _figure_problems(sweep: Sweep) -> Iterator[Problem]:
    for position, name in enumerate(sweep.figures):
        if name in families.figures.members:
            continue
        if re.fullmatch(r"\w+\.\w+", name) and not name.endswith(".py"):
            listed = ", ".join(families.figures.tags) or "none"
            right = f"not one of the figures of plugins: {listed}{near(name, families.figures.tags)}"
            yield Problem(f"figures[{position}]", repr(name), right)
            continue
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            bare = re.sub(r"\W", "_", name.rsplit("/", 1)[-1].removesuffix(".py")).lower()
            right = (
                f"must be the bare name of a script in analysis/ or beside the sweep, such as {bare or 'width_by_gain'}"
            )
            yield Problem(f"figures[{position}]", repr(name), right)
