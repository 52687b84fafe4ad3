"""An Optuna study as the bytes of one file: Optuna's journal, a JSON line per change, which any store can hold.

`optuna-dashboard FILE` opens it, and so does `optuna.storages.journal.JournalFileBackend(FILE)`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_WRITER = (
    "impray"  # in each line, in place of a random name of the process that wrote it: the same study is the same bytes
)


@dataclass(frozen=True)
class Written:
    """A study that is over: what it makes small or large, its trials, and what else it says of itself.

    goals: name -> whether it is made large. attrs: shown by the dashboard. extras: what the dashboard keeps, notes say.
    """

    name: str
    goals: Mapping[str, bool]
    trials: Sequence[FrozenTrial]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)

    def same(self, other: Written) -> bool:
        """Whether both say the same of the sweep, whatever the dashboard has noted beside it."""
        return _told(self) == _told(other)


class _Memory(BaseJournalBackend):
    """Lines of a journal that no other process sees."""

    def __init__(self, lines: Iterable[dict[str, Any]] = ()) -> None:
        self.lines = list(lines)

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self.lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += json.loads(json.dumps(logs))  # as they come back from a file


def to_bytes(written: Written) -> bytes:
    """The journal of a study, trials in their order."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    memory = _Memory()
    study = optuna.create_study(
        study_name=written.name,
        storage=JournalStorage(memory),
        directions=["maximize" if large else "minimize" for large in written.goals.values()],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(list(written.goals))
    for key, value in written.attrs.items():
        study.set_user_attr(key, value)
    for key, value in written.extras.items():
        study._storage.set_study_system_attr(study._study_id, key, value)
    for trial in written.trials:
        study.add_trial(trial)
    lines = [json.dumps({**line, "worker_id": _WRITER}, separators=(",", ":")) for line in memory.lines]
    return "".join(f"{line}\n" for line in lines).encode()


def from_bytes(content: bytes) -> Written | None:
    """The one study of a journal, also one that the dashboard has written to; None: it is no such journal."""
    try:
        storage = JournalStorage(_Memory(json.loads(line) for line in content.decode().splitlines()))
        (name,) = optuna.get_all_study_names(storage)
        study = optuna.load_study(study_name=name, storage=storage)
        extras = dict(storage.get_study_system_attrs(study._study_id))
        names = extras.pop("study:metric_names")
        large = [direction == optuna.study.StudyDirection.MAXIMIZE for direction in study.directions]
        goals = dict(zip(names, large, strict=True))
        return Written(name, goals, study.trials, study.user_attrs, extras)
    except Exception:  # noqa: BLE001 - replaying lines that Optuna did not write ends in whatever they make of it, assertions too
        return None


def _told(written: Written) -> str:
    """All that is compared, as text: NaN equals NaN there."""
    trials = [
        [
            *(trial.number, trial.state.name, trial.values, trial.params, trial.user_attrs, trial.intermediate_values),
            *(sorted(f"{path} {of_path!r}" for path, of_path in trial.distributions.items()),),
            *(trial.datetime_start, trial.datetime_complete),
        ]
        for trial in written.trials
    ]
    return json.dumps([written.name, dict(written.goals), dict(written.attrs), trials], default=str, sort_keys=True)
