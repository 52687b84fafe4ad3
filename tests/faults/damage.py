"""Files that are cut, flipped or gone: some of a sweep's folder after it was killed or has ended; those that Tune keeps, while it runs."""

from __future__ import annotations

import random
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.fault import Fault, Moment, Setting
from faults.processes import kill_driver
from service.launched import Launched

HOWS = ("cut", "flipped", "gone")


def damage(path: Path, how: str, at: float) -> None:
    """at: where, as a share of its length."""
    content = bytearray(path.read_bytes())
    place = int(at * len(content))
    if how == "gone" or not content:
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[:place])
    else:
        content[place] ^= 1 << place % 8
        path.write_bytes(content)


def kinds(folder: Path) -> list[list[Path]]:
    """The files of a folder, those that differ in numbers and hashes only together."""
    found: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.setdefault(re.sub(r"[0-9a-f]{6,}|\d+", "#", str(path.relative_to(folder))), []).append(path)
    return list(found.values())


@dataclass(frozen=True)
class Files(Fault):
    """`drawn_files`: of each how, which kind of file, which of that kind, and where in it, as shares.

    `finished`: after a sweep that has ended well; else it is killed.
    """

    places = ("here",)
    early = False
    sets_aside = True
    finished: bool = False
    drawn_files: tuple[tuple[str, float, float, float], ...] = ()

    @classmethod
    def drawn(cls, draw: random.Random, where: str) -> Files:
        files = tuple((how, draw.random(), draw.random(), draw.random()) for how in HOWS)
        return cls(finished=draw.random() < 0.5, drawn_files=files)

    def hit(self, running: Launched, setting: Setting) -> bool:
        if not self.finished:
            running.process.send_signal(signal.SIGKILL)
        return True

    def felt(self, moment: Moment, code: int | None, setting: Setting) -> bool:
        return code == (0 if self.finished else -signal.SIGKILL)

    def mend(self, setting: Setting) -> list[str]:
        for how, kind, which, at in self.drawn_files:
            of_kind = (there := kinds(Path(setting.folder)))[int(kind * len(there))]
            damage(of_kind[int(which * len(of_kind))], how, at)
        return []

    def codes(self, moment: Moment) -> tuple[int, ...]:
        return (0,) if self.finished else (0, -signal.SIGKILL)


@dataclass(frozen=True)
class TuneFiles(Fault):
    """Everything that Ray Tune keeps of its own; then the driver is killed, or goes on."""

    places = ("ray",)
    early = False
    algorithm: str = "random"
    how: str = "cut"
    at: float = 0.5
    killed: bool = True

    @classmethod
    def drawn(cls, draw: random.Random, where: str) -> TuneFiles:
        return cls(draw.choice(["random", "optuna"]), draw.choice(HOWS), draw.random(), draw.random() < 0.6)

    @property
    def changes(self) -> dict[str, Any]:
        goals = [{"measure": "accuracy", "reduce": "mean", "direction": "max"}] if self.algorithm == "optuna" else []
        return {"search.algorithm": self.algorithm, "search.trials": 6, "search.goals": goals}

    def hit(self, running: Launched, setting: Setting) -> bool:
        found = [path for path in (setting.home / "tmp").glob("impray-*/search-*/**/*") if path.is_file()]
        for path in found:
            damage(path, self.how, self.at)
        if self.killed:
            kill_driver(running, setting.home, warden_too=True)
        setting.things["found"] = found
        return True

    def felt(self, moment: Moment, code: int | None, setting: Setting) -> bool:
        return bool(setting.things["found"]) and (not self.killed or code == -signal.SIGKILL)

    def codes(self, moment: Moment) -> tuple[int, ...]:
        return (0, -signal.SIGKILL) if self.killed else (0,)
