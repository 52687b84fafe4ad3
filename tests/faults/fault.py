"""What every kind of fault is: where it befalls sweeps, what stands around them, how it comes and goes, and what is right afterwards."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from faults.checks import Listening
from service.launched import PROGRAM, Launched

from impray.results.store import Place, opened

PATIENCE_S = 480.0
LOOK_S = 2.0


@dataclass
class Setting:
    """A sweep's surroundings. `needed` gives a fixture of the tests by its name."""

    home: Path
    where: str
    needed: Callable[[str], Any]
    program: tuple[str, ...] = PROGRAM
    words: tuple[str, ...] = ()  # of the command that runs the sweep, beside those of every sweep here
    mlflow: str = "off"
    folder: Place = ""  # of its results
    environment: dict[str, str] = field(default_factory=dict)
    things: dict[str, Any] = field(default_factory=dict)  # of the fault
    listening: Listening = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.folder or self.home / "runs" / "x"
        self.listening = Listening(self.home)

    def sweep(self) -> Launched:
        """The command that runs the sweep; the same each time."""
        return self.launched("sweep", "x.yaml", "--mlflow", self.mlflow, "--no-figures", "--where", self.where)

    def launched(self, *words: str) -> Launched:
        """`impray` with these words."""
        more = self.words if words[0] == "sweep" else ()
        return Launched((*self.program, *words, *more), self.home, TMPDIR=str(self.home / "tmp"), **self.environment)

    def files(self) -> int:
        """Files of rows of rounds so far; a merged one is one."""
        return len(opened(self.folder).files("tables/rounds"))

    def ended(self, running: Launched) -> tuple[int | None, str]:
        """Exit code and output of a command that ends by itself; what listens until then is noted."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with suppress(subprocess.TimeoutExpired):
                said, _ = running.process.communicate(timeout=LOOK_S)
                return running.process.returncode, said
            self.listening.look()
        return None, f"did not end within {PATIENCE_S} s"


@dataclass(frozen=True)
class Moment:
    """After how many files of rows (-1: none, while the sweep starts) a fault comes, and how long after that."""

    files: int
    delay_s: float

    @property
    def early(self) -> bool:
        return self.files < 0

    def sooner(self) -> Moment:
        """For a fault that came too late. One that came too early for a sweep to meet with it comes when there is a first file."""
        return Moment(max(1, self.files // 2), 0.0)


@dataclass(frozen=True)
class Fault:
    """One kind. Its fields are all that is drawn of it beside place and moment."""

    places: ClassVar[tuple[str, ...]] = ("here", "here", "here", "ray")  # one that stands twice is drawn twice as often
    early: ClassVar[bool] = True  # whether it may come while the sweep starts
    sets_aside: ClassVar[bool] = False  # whether damaged files may be there in the end
    reached: ClassVar[bool] = False  # whether other machines must reach the sweep; else it listens at loopback only

    @classmethod
    def drawn(cls, draw: random.Random, where: str) -> Fault:
        return cls()

    @property
    def changes(self) -> dict[str, Any]:
        """Of the sweep, with dotted names."""
        return {}

    @contextmanager
    def around(self, setting: Setting) -> Iterator[None]:
        """What must stand before the sweep starts and until all is looked at."""
        yield

    def hit(self, running: Launched, setting: Setting) -> bool:
        """Let it come. Whether there was still something to hit."""
        raise NotImplementedError

    def mend(self, setting: Setting) -> list[str]:
        """After the sweep's end: take it away. What is wrong already."""
        return []

    def felt(self, moment: Moment, code: int | None, setting: Setting) -> bool:
        """Whether the sweep, which ended with this exit code, met with it. Told before it is taken away; where that cannot be known
        for certain: no."""
        return True

    def codes(self, moment: Moment) -> tuple[int, ...]:
        """Exit codes that are right of a sweep that was hit; 0 where it was quicker, or need not end for it."""
        return (0,)
