"""Processes that are killed, and signals that ask a sweep to end."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from faults.checks import of
from faults.fault import Fault, Moment, Setting
from service.launched import ACTOR, Launched, command

from impray.service.ray import warden


def kill_driver(running: Launched, home: Path, *, warden_too: bool) -> None:
    """As the kernel does when memory runs out; with the warden, as when a container goes."""
    if warden_too:
        for id in [id for id in of(home) if warden.__file__ in command(id)]:
            os.kill(id, signal.SIGKILL)
    running.process.send_signal(signal.SIGKILL)


@dataclass(frozen=True)
class Driver(Fault):
    """The process of the command."""

    def hit(self, running: Launched, setting: Setting) -> bool:
        kill_driver(running, setting.home, warden_too=False)
        return True

    def felt(self, moment: Moment, code: int | None, setting: Setting) -> bool:
        return code == -signal.SIGKILL

    def codes(self, moment: Moment) -> tuple[int, ...]:
        return (0, -signal.SIGKILL)


@dataclass(frozen=True)
class DriverAndWarden(Driver):
    places = ("ray",)

    def hit(self, running: Launched, setting: Setting) -> bool:
        kill_driver(running, setting.home, warden_too=True)
        return True


@dataclass(frozen=True)
class OfRay(Fault):
    """A process of a local Ray, by what its name holds; of several, one."""

    places = ("ray",)
    early = False
    name: str = ""

    def hit(self, running: Launched, setting: Setting) -> bool:
        while running.process.poll() is None:
            for id in of(setting.home):
                if self.name in Path(command(id)[0]).name:
                    os.kill(id, signal.SIGKILL)
                    return True
            time.sleep(0.05)
        return False

    def codes(self, moment: Moment) -> tuple[int, ...]:
        return (0,) if self.name == ACTOR else (0, 2)


@dataclass(frozen=True)
class Signals(Fault):
    """One signal, or several of them in quick succession."""

    number: signal.Signals = signal.SIGTERM
    times: int = 1

    def hit(self, running: Launched, setting: Setting) -> bool:
        for _ in range(self.times):
            running.process.send_signal(self.number)
            time.sleep(0.1)
        return True

    def felt(self, moment: Moment, code: int | None, setting: Setting) -> bool:
        return code != 0

    def codes(self, moment: Moment) -> tuple[int, ...]:
        # -number: before Python has started, which nobody can hear.
        unheard = (-self.number,) if moment.early and moment.delay_s < 1 else ()
        return (0, 128 + self.number, *unheard)
