"""One fault of a tiny sweep, drawn by a seed: what, where, when; then the same command again, and what of it is wrong afterwards.

A scenario has a home folder and a temporary folder of its own, so that all that it leaves is its own. Needs /proc.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from conftest import tiny, tiny_sweep
from faults import bucket, damage, disk, nodes, processes, tracking
from faults.checks import differing, differing_lineages, left, of
from faults.fault import PATIENCE_S, Fault, Moment, Setting

MOST_STRIKES = 3
# 12 trials of 4 rounds, each trial a pack.
SWEEP = {
    "rounds": 3,
    "seeds": 1,
    "methods": ["imp", "random"],
    "trial.train.steps": 150,
    "measures": ["accuracy", "density", {"masks": {"most_connected": 1}}],
    "search.space": {"data.gain": [round(0.1 * 1.4**number, 3) for number in range(12)]},
    "search.pack": [],
}


def always(fault: Fault) -> tuple[type[Fault], Callable[[random.Random, str], Fault]]:
    """A kind of which nothing is drawn."""
    return type(fault), lambda draw, where: fault


def stumbles(how: str) -> tuple[type[Fault], Callable[[random.Random, str], Fault]]:
    return bucket.Stumbles, lambda draw, where: bucket.Stumbles.one(how, draw, where)


KINDS: dict[str, tuple[type[Fault], Callable[[random.Random, str], Fault]]] = {
    "driver": always(processes.Driver()),
    "driver and warden": always(processes.DriverAndWarden()),
    "actor": always(processes.OfRay(processes.ACTOR)),
    "raylet": always(processes.OfRay("raylet")),
    "gcs": always(processes.OfRay("gcs_server")),
    "node": (nodes.Node, nodes.Node.drawn),
    "term": always(processes.Signals(signal.SIGTERM)),
    "hup": always(processes.Signals(signal.SIGHUP)),
    "int": always(processes.Signals(signal.SIGINT)),
    "five ints": always(processes.Signals(signal.SIGINT, 5)),
    "disk full": (disk.Full, disk.Full.drawn),
    "disk read-only": (disk.ReadOnly, disk.ReadOnly.drawn),
    "bucket refuses": stumbles("refuse"),
    "bucket unavailable": stumbles("unavailable"),
    "bucket hangs": stumbles("hang"),
    "bucket breaks off": stumbles("cut_put"),
    "files": (damage.Files, damage.Files.drawn),
    "tune": (damage.TuneFiles, damage.TuneFiles.drawn),
    "mlflow": (tracking.Tracking, tracking.Tracking.drawn),
}


@dataclass(frozen=True)
class Outcome:
    """Whether the fault hit, the exit code of the sweep that it befell, and everything that is not as after an undisturbed run."""

    hit: bool
    code: int | None
    wrong: list[str]


@dataclass(frozen=True)
class Scenario:
    """A fault, where and when it comes."""

    seed: int
    kind: str
    where: str
    fault: Fault
    moment: Moment

    @classmethod
    def drawn(cls, seed: int) -> Scenario:
        """The first seeds go round the kinds."""
        draw = random.Random(seed)
        kind = list(KINDS)[seed] if seed < len(KINDS) else draw.choice(list(KINDS))
        of_kind, make = KINDS[kind]
        where = draw.choice(of_kind.places)
        fault = make(draw, where)
        early = of_kind.early and draw.random() < 0.25
        files = round(40 * fault.changes.get("search.trials", 12) / 12)
        moment = Moment(-1 if early else draw.randrange(1, files), draw.uniform(0, 3 if early else 0.3))
        return cls(seed, kind, where, fault, moment)

    def sooner(self) -> Scenario:
        """The same fault at an earlier moment, for one that hit nothing."""
        return replace(self, moment=self.moment.sooner())

    def befall(self, whole: Path, needed: Callable[[str], Any]) -> Outcome:
        """Let it happen, and compare with an undisturbed run, whose folder is `whole`.

        Args:    needed: gives a fixture by its name.
        """
        home = Path(tempfile.mkdtemp(prefix="imf-", dir="/tmp"))  # short: Ray's sockets lie in it
        setting = Setting(home, self.where, needed)
        try:
            (home / "tmp").mkdir()
            (home / "x.yaml").write_text(yaml.safe_dump(tiny(**SWEEP | self.fault.changes)))
            with self.fault.around(setting):
                hit, code, told = self._hit(setting)
                told += self.fault.mend(setting)
                told += _again(setting) or self._differing(setting, whole)
            told += left(home, self.fault.sets_aside)
            told += [] if self.fault.reached else setting.listening.open_to_others()
            return Outcome(hit, code, told + setting.listening.left())
        finally:
            for id in of(home):
                with suppress(ProcessLookupError):
                    os.kill(id, signal.SIGKILL)
            shutil.rmtree(home, ignore_errors=True)

    def _differing(self, setting: Setting, whole: Path) -> list[str]:
        if self.fault.changes:
            return differing_lineages(setting.folder, whole, tiny_sweep(**SWEEP | self.fault.changes))
        return differing(setting.folder, whole)

    def _hit(self, setting: Setting) -> tuple[bool, int | None, list[str]]:
        """Whether it hit, the exit code, and what is wrong already."""
        with setting.sweep() as running:
            until = time.monotonic() + PATIENCE_S
            while not self.moment.early and running.process.poll() is None and time.monotonic() < until:
                if setting.files() >= self.moment.files:
                    break
                time.sleep(0.02)
            time.sleep(self.moment.delay_s)
            setting.listening.look()
            struck = running.process.poll() is None and self.fault.hit(running, setting)
            code, said = setting.ended(running)
        hit = struck and self.fault.felt(self.moment, code, setting)
        right = self.fault.codes(self.moment) if struck else (0,)
        if code not in right:
            return hit, code, [f"ended with {code}, not one of {right}: {said}"]
        return hit, code, [f"a trace: {said}"] if "Traceback" in said or "*** SIG" in said else []


@dataclass
class Strikes:
    """A scenario that is let happen until it hits, or something is wrong, each time sooner; as it was at last, and what came of that
    (nothing where something raised)."""

    scenario: Scenario
    count: int = 0
    outcome: Outcome | None = None

    def until_hit(self, befall: Callable[[Scenario], Outcome]) -> None:
        while self.count < MOST_STRIKES and not (self.outcome and (self.outcome.hit or self.outcome.wrong)):
            if self.count:
                self.scenario, self.outcome = self.scenario.sooner(), None
            self.count += 1
            self.outcome = befall(self.scenario)


def _again(setting: Setting) -> list[str]:
    with setting.sweep() as running:
        code, said = setting.ended(running)
    return [f"again: {code}: {said}"] if code or "Traceback" in said else []
