"""One fault of a tiny sweep, drawn by a seed: what is hit, when; then the same command again, and what of it is wrong afterwards.

A scenario has a home folder and a temporary folder of its own, so that all that it leaves is its own. Needs /proc.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from conftest import rows_of, tiny
from service.launched import PROGRAM, Launched, alive, command, within

from impray.results.schema import TABLES
from impray.service.ray import warden

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
SIGNALS = {"term": [signal.SIGTERM], "hup": [signal.SIGHUP], "int": [signal.SIGINT], "five": [signal.SIGINT] * 5}
ON_RAY = ("driver", "driver and warden", "actor", "raylet", "gcs_server", *SIGNALS)
HERE = ("driver", *SIGNALS)
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Scenario:
    """A fault, and after how many files of rows (-1: after some of the start) it comes."""

    seed: int
    where: str
    fault: str
    files: int
    delay_s: float

    @classmethod
    def drawn(cls, seed: int) -> Scenario:
        draw = random.Random(seed)
        where = draw.choice(["here", "ray"])
        fault = draw.choice(HERE if where == "here" else ON_RAY)
        starts = draw.random() < 0.25 and fault not in ("actor", "raylet", "gcs_server")
        return cls(seed, where, fault, -1 if starts else draw.randrange(1, 40), draw.uniform(0, 3 if starts else 0.3))

    def wrong(self, whole: Path) -> list[str]:
        """Everything that is not as after an undisturbed run, whose folder is `whole`; nothing if all is well."""
        home = Path(tempfile.mkdtemp(prefix="imf-", dir="/tmp"))  # short: Ray's sockets lie in it
        try:
            (home / "tmp").mkdir()
            (home / "x.yaml").write_text(yaml.safe_dump(tiny(**SWEEP)))
            told = self._hit(home)
            again = self._launched(home)
            with again:
                said = again.process.stdout.read()
                told += [f"again: {again.process.wait()}: {said}"] if again.process.wait(PATIENCE_S) else []
            return told + _differing(home / "runs" / "x", whole) + _left(home)
        finally:
            for id in _of(home):
                os.kill(id, signal.SIGKILL)
            shutil.rmtree(home, ignore_errors=True)

    def _launched(self, home: Path) -> Launched:
        words = (*PROGRAM, "sweep", "x.yaml", "--mlflow", "off", "--no-figures", "--where", self.where)
        return Launched(words, home, TMPDIR=str(home / "tmp"))

    def _hit(self, home: Path) -> list[str]:
        with self._launched(home) as running:
            os.set_blocking(running.process.stdout.fileno(), True)
            rounds = home / "runs/x/tables/rounds"
            until = time.monotonic() + PATIENCE_S
            while self.files >= 0 and running.process.poll() is None and time.monotonic() < until:
                if rounds.is_dir() and len(list(rounds.iterdir())) >= self.files:
                    break
                time.sleep(0.02)
            time.sleep(self.delay_s)
            hit = self._inject(running)
            said = running.process.stdout.read()
            code = running.process.wait(PATIENCE_S)
        if hit and code not in self._codes():
            return [f"ended with {code}, not one of {self._codes()}: {said}"]
        return [f"a trace: {said}"] if "Traceback" in said or "*** SIG" in said else []

    def _inject(self, running: Launched) -> bool:
        """Whether there was still something to hit."""
        if running.process.poll() is not None:
            return False
        for number in SIGNALS.get(self.fault, ()):
            running.process.send_signal(number)
            time.sleep(0.1)
        if self.fault in SIGNALS:
            return True
        if self.where == "here" or self.fault.startswith("driver"):
            if self.fault == "driver and warden":
                for id in [id for id in _of(running.home) if warden.__file__ in command(id)]:
                    os.kill(id, signal.SIGKILL)
            running.process.send_signal(signal.SIGKILL)
            return True
        name = "ray::PackTrainable" if self.fault == "actor" else self.fault
        hit = [id for id in _of(running.home) if Path(command(id)[0]).name.startswith(name)]
        for id in hit[:1]:
            os.kill(id, signal.SIGKILL)
        return bool(hit)

    def _codes(self) -> tuple[int, ...]:
        """Exit codes that are right; 0 where the sweep was quicker."""
        if self.fault in SIGNALS:
            number = SIGNALS[self.fault][0]
            # -number: before Python has started, which nobody can hear.
            return (0, 128 + number, *((-number,) if self.files < 0 and self.delay_s < 1 else ()))
        return {"actor": (0,), "raylet": (0, 2), "gcs_server": (0, 2)}.get(self.fault, (0, -signal.SIGKILL))


def _of(home: Path) -> list[int]:
    """Processes that have this home folder."""
    wanted, found = f"HOME={home}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (place / "environ").read_bytes().split(b"\0") and alive(int(place.name)):
                found.append(int(place.name))
        except OSError:
            continue
    return found


def _differing(folder: Path, whole: Path) -> list[str]:
    """Tables that are not those of an undisturbed run, row by row."""
    return [
        f"the table {table} differs"
        for table in TABLES
        if not rows_of(folder, table).equals(rows_of(whole, table), null_equal=True)
    ]


def _left(home: Path) -> list[str]:
    """Processes (and with them whatever listens) and files that are there after a clean end and should not be."""
    try:
        within(60, lambda: not _of(home))
    except AssertionError:
        running = {id: " ".join(command(id))[:100] for id in _of(home)}
        return [f"still running: {running}"]
    files = [path for path in (home / "runs").rglob("*") if ".part" in path.name or path.parent.name == "damaged"]
    return [f"left: {path}" for path in [*files, *(home / "tmp").glob("impray-*")]]
