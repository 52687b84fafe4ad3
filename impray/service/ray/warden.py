"""The warden: a small process beside the driver that outlives it, and ends what a killed driver leaves behind.

Ray ties its servers' lives to the driver's, but not its agents': after a kill -9 they may stay for ever, and so do the
folders. The warden ends the processes that carry the driver's mark in their environment, and nothing else; then it removes
the folders and ends. It is started as a file and not as a module: it needs the standard library only, and starts in 20 ms.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

MARK = "IMPRAY_RAY_MARK"  # in the environment of every process of a local Ray of ours
LOOK_EVERY_S = 2.0
PATIENCE_S = 5.0  # for what ends by itself, and then for what was asked to


class Warden:
    """The driver's end. `scratch` is a folder for the driver to make: it is removed with all that is in it.

    Args:  ray_folder: where the driver's Ray will put its session's folder; None if the driver only joins a Ray.
    """

    def __init__(self, ray_folder: Path | None) -> None:
        self.mark = uuid.uuid4().hex
        self.scratch = Path(tempfile.gettempdir(), f"impray-tune-{self.mark[:12]}")
        words = [sys.executable, "-I", "-S", __file__, str(os.getpid()), self.mark, str(self.scratch)]
        words += [str(ray_folder)] if ray_folder else []
        # A session of its own: Ctrl-C is for the driver. No pipe of the driver's: who reads those waits until they close.
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        """For the processes of a local Ray. Without the second word those that give themselves a name write over the first."""
        return {MARK: self.mark, "SPT_NOENV": "1"}

    def goodbye(self) -> None:
        """The driver has tidied up: the warden ends at once if nothing that is marked is left. May be called again."""
        pipe = self._process.stdin
        assert pipe is not None
        if not pipe.closed:
            with contextlib.suppress(BrokenPipeError):  # someone ended the warden
                pipe.write(b"bye")
                pipe.close()


def marked(mark: str) -> list[int]:
    """Process ids of all that were started with this mark; none where there is no /proc."""
    wanted = f"{MARK}={mark}".encode()
    ids = [int(name) for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []
    return [id for id in ids if id != os.getpid() and wanted in _environment(id)]


def _environment(id: int) -> list[bytes]:
    try:
        return Path(f"/proc/{id}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is someone else's
        return []


def watch(driver: int, mark: str, scratch: str, ray_folder: str | None = None) -> None:
    """Wait for the driver's end, then tidy up after it. After a goodbye Ray's folder stays: its logs may be wanted."""
    began = time.time()
    parted = _wait(driver)
    end(mark)
    shutil.rmtree(scratch, ignore_errors=True)
    if ray_folder and not parted:
        for session in Path(ray_folder).glob(f"session_*_{driver}"):
            if session.lstat().st_mtime >= began - 1:  # not that of an earlier process with this number
                shutil.rmtree(session, ignore_errors=True)


def _wait(driver: int) -> bool:
    """Whether the driver said goodbye. A child of it may hold the pipe open: its own life counts as well."""
    while os.getppid() == driver:
        if select.select([0], [], [], LOOK_EVERY_S)[0]:
            return os.read(0, 16) == b"bye"
    return False


def end(mark: str) -> None:
    """End all marked processes: given time, asked, killed. Returns in any case."""
    for sign in (None, signal.SIGTERM, signal.SIGKILL):
        left = marked(mark)
        for id in left:
            if sign is not None:
                _signal(id, mark, sign)
        until = time.monotonic() + PATIENCE_S
        while left and time.monotonic() < until:
            time.sleep(0.2)
            left = marked(mark)
        if not left:
            return


def _signal(id: int, mark: str, sign: signal.Signals) -> None:
    """The number may be another process's by now: what is looked at is what is signalled."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        handle = os.pidfd_open(id)
        try:
            if f"{MARK}={mark}".encode() in _environment(id):
                signal.pidfd_send_signal(handle, sign)
        finally:
            os.close(handle)


if __name__ == "__main__":
    watch(int(sys.argv[1]), *sys.argv[2:])
