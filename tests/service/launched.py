"""Sweeps and Rays in processes of their own, for tests that look at them from outside and kill them. Needs /proc."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import yaml
from conftest import tiny

from impray.service.ray import warden

PROGRAM = (sys.executable, "-m", "impray.cli")
ACTOR = "Trainable"  # in the name of an actor's process: Tune's of the class that it makes of ours, or the method that it is in
# Before a command: it hears these signals, also where the tests were started with nohup or in the background of a script. `env` becomes
# the command, so the number of the process is the command's.
HEARING = ("env", "--default-signal=HUP,INT,TERM")
# Many rounds that take long: it runs until it is killed.
LONG = {
    "rounds": 100,
    "seeds": 1,
    "measures": ["accuracy"],
    "methods": ["imp"],
    "search": {},
    "trial.prune.fraction": 0.001,
    "trial.train.steps": 20_000,
}


class Launched:
    """A process; whatever is left of its Ray is ended when the test is over."""

    def __init__(self, words, home: Path, **environment: str) -> None:
        values = {**os.environ, **environment, "HOME": str(home), "TMPDIR": environment.get("TMPDIR", "/tmp")}
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS", warden.MARK):
            if name not in environment:
                values.pop(name, None)
        self.home = home
        self.process = subprocess.Popen(
            (*HEARING, *words),
            env=values,
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.mark = environment.get(warden.MARK, "")

    def __enter__(self) -> "Launched":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.communicate()
        if self.mark:
            warden.end(self.mark)

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def warden(self) -> tuple[int, Path]:
        """The number of its warden, and the folder that it removes."""
        for id in map(int, filter(str.isdigit, os.listdir("/proc"))):
            words = command(id)
            if len(words) > 6 and words[3] == warden.__file__ and words[4] == str(self.process.pid):
                self.mark = words[5]
                return id, Path(words[6])
        raise LookupError

    def actors(self) -> list[int]:
        return [id for id in warden.marked(self.mark) if ACTOR in command(id)[0]]


def sweep(home: Path, *words: str, **environment: str) -> Launched:
    """`impray sweep` of a long tiny sweep, in a home folder of its own."""
    home.mkdir(exist_ok=True)
    (home / "x.yaml").write_text(yaml.safe_dump(tiny(**LONG), sort_keys=False))
    return Launched((*PROGRAM, "sweep", "x.yaml", "--mlflow", "off", "--no-figures", *words), home, **environment)


def command(id: int) -> list[str]:
    try:
        return Path(f"/proc/{id}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return [""]


def alive(id: int) -> bool:
    """Whether a process runs; one that ended and was not fetched does not."""
    try:
        return Path(f"/proc/{id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def within(seconds: float, true, launched: Launched | None = None):
    """Wait until `true()` is; its value. Tells what a process that ended instead had said."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := true():
                return found
        except LookupError:
            pass
        if launched is not None and launched.process.poll() is not None:
            raise AssertionError(f"ended with {launched.process.returncode}: {launched.process.stdout.read()}")
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


def modes(token: Path) -> tuple[int, int]:
    """Permissions of a token's folder and file."""
    return stat.S_IMODE(token.parent.stat().st_mode), stat.S_IMODE(token.stat().st_mode)
