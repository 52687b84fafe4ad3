"""The trials of a folder: what each is, its number, and what its data are called."""

from __future__ import annotations

import polars as pl
from pydantic import ValidationError

from impray.results import tables
from impray.results.store import Place
from impray.spec import axes as spec_axes
from impray.spec.errors import DataError
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial
from impray.theory.naming import Names, StimulusName, described

NO_SWEEP = "give a sweep's own folder, such as runs/quickstart"


def described_trials(
    place: Place, sweep: Sweep | None, wanted: set[str]
) -> tuple[dict[str, Trial], dict[str, tuple[int, StimulusName]]]:
    """Trials by id, in the order of the search, and of each its number and what its data are called.

    Those that the table `trials` describes, under the names that it has, and those of the sweep.

    Raises:  DataError: some is described nowhere.
    """
    try:
        rows = tables.scan("trials", place).sort("number").select("trial", "number", "name", "description").collect()
        rows = rows.drop_nulls("description")
        trials = {row[0]: Trial.model_validate_json(row[3]) for row in rows.iter_rows()}
    except (pl.exceptions.PolarsError, OSError, ValidationError) as error:
        raise DataError(f"{place}: its trials cannot be read ({first_line(error)})") from error
    numbers, names = dict(rows.select("trial", "number").iter_rows()), Names()
    for id, name in rows.drop_nulls("name").select("trial", "name").iter_rows():
        names.keep(name, trials[id].data)
    for _, trial in spec_axes.trials(sweep) if sweep else []:
        ids = (trial.id, *trial.earlier_ids)
        if not any(id in trials for id in ids):
            trials[next((id for id in ids if id in wanted), trial.id)] = trial
    unknown = sorted(wanted - set(trials))
    if unknown:
        raise DataError(f"{place}: {len(unknown)} of its trials are described nowhere; {NO_SWEEP}")
    named = {id: (numbers.get(id, n), described(trial.data, names)) for n, (id, trial) in enumerate(trials.items())}
    return {id: trial.as_written(id) for id, trial in trials.items() if id in wanted}, named


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
