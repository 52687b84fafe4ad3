"""The disk of the results: full, or read-only, until the sweep has ended. Needs mounts, as root has them."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.fault import Fault, Moment, Setting
from service.launched import Launched

SIZE = 16 << 20
FILLER = "filler"


def mount(*words: str | Path) -> None:
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no mounts are permitted here: {done.stderr.strip()}")


@dataclass(frozen=True)
class Disk(Fault):
    """The results lie on a disk of their own."""

    @contextmanager
    def around(self, setting: Setting) -> Iterator[None]:
        place = setting.home / "runs"
        place.mkdir()
        mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place)
        try:
            yield
        finally:
            while os.path.ismount(place):
                subprocess.run(["umount", "--lazy", place], check=True)

    def felt(self, moment: Moment, code: int | None, setting: Setting) -> bool:
        return code != 0

    def codes(self, moment: Moment) -> tuple[int, ...]:
        return (0, 2)


@dataclass(frozen=True)
class Full(Disk):
    """Something else fills it but for a few bytes."""

    spare: int = 0

    @classmethod
    def drawn(cls, draw: random.Random, where: str) -> Full:
        return cls(spare=draw.choice([0, 0, draw.randrange(1 << 16)]))

    def hit(self, running: Launched, setting: Setting) -> bool:
        filler = setting.home / "runs" / FILLER
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(filler, max(0, filler.stat().st_size - self.spare))
        return True

    def mend(self, setting: Setting) -> list[str]:
        (setting.home / "runs" / FILLER).unlink(missing_ok=True)
        return []


@dataclass(frozen=True)
class ReadOnly(Disk):
    """What is open for writing stays so, as a lock: over the folder the same one is mounted again."""

    def hit(self, running: Launched, setting: Setting) -> bool:
        place = setting.home / "runs"
        mount("--bind", place, place)
        mount("-o", "remount,bind,ro", place)
        return True

    def mend(self, setting: Setting) -> list[str]:
        place = setting.home / "runs"
        with suppress(OSError):
            (place / FILLER).touch()
            return ["the folder could be written to all the time"]
        subprocess.run(["umount", "--lazy", place], check=True)
        return []
