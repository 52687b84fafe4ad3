"""The warden: a small process beside the driver that outlives it, and ends what a killed driver leaves behind.

Ray ties its servers' lives to the driver's, but not its agents': after a kill -9 they may stay for ever, and so do the
folders. The warden ends the processes that carry the driver's mark in their environment, and nothing else; then it removes
the folders and ends. It is started as a file and not as a module: it needs the standard library only, and starts in 20 ms.

Where the warden was killed too, with its container say, the next sweep does the same: `clear`. Mark and folder carry the driver's name.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

MARK = "IMPRAY_RAY_MARK"  # in the environment of every process of a local Ray of ours
LOOK_EVERY_S = 2.0
_RAY_FOLDER = "ray-folder"  # in the scratch folder: where the driver's Ray put its session's, empty for none of its own
PATIENCE_S = 5.0  # for what ends by itself, and then for what was asked to


class Warden:
    """The driver's end. `scratch` is a folder for the driver: it is removed with all that is in it.

    Args:  ray_folder: where the driver's Ray will put its session's folder; None if the driver only joins a Ray.
    """

    def __init__(self, ray_folder: Path | None) -> None:
        from impray import processes, scratch

        self.mark = f"{processes.name()}-{uuid.uuid4().hex[:12]}"
        self.scratch = scratch.named(scratch.RAY, self.mark)
        self.scratch.mkdir(mode=0o700)
        (self.scratch / _RAY_FOLDER).write_text(str(ray_folder or ""))
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
        shutil.rmtree(self.scratch, ignore_errors=True)
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
        _remove_sessions(Path(ray_folder), driver, began)


def _remove_sessions(ray_folder: Path, driver: int, began: float) -> None:
    for session in ray_folder.glob(f"session_*_{driver}"):
        info = session.lstat()
        # Not that of an earlier process with this number, nor another user's.
        if info.st_mtime >= began - 1 and info.st_uid == os.geteuid():
            shutil.rmtree(session, ignore_errors=True)


def _wait(driver: int) -> bool:
    """Whether the driver said goodbye. A child of it may hold the pipe open: its own life counts as well."""
    while os.getppid() == driver:
        if select.select([0], [], [], LOOK_EVERY_S)[0]:
            return os.read(0, 16) == b"bye"
    return False


def clear() -> None:
    """What the warden of a killed driver would do, where it was killed as well."""
    from impray import processes, scratch

    folders = {path.name.removeprefix(f"{scratch.START}{scratch.RAY}-"): path for path in scratch.left(scratch.RAY)}
    for mark in {*folders, *(mark for mark in _marks() if processes.dead(mark))}:
        end(mark, patiently=False)
    for mark, folder in folders.items():
        with contextlib.suppress(OSError):
            told = folder / _RAY_FOLDER
            if ray_folder := told.read_text():
                _remove_sessions(Path(ray_folder), int(mark.split("-")[3]), told.stat().st_mtime)
        shutil.rmtree(folder, ignore_errors=True)


def _marks() -> set[str]:
    """All marks of this user's processes."""
    start = f"{MARK}=".encode()
    ids = [int(name) for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []
    words = (word for id in ids if id != os.getpid() for word in _environment(id))
    return {word.removeprefix(start).decode(errors="replace") for word in words if word.startswith(start)}


def end(mark: str, *, patiently: bool = True) -> None:
    """End all marked processes: given time, if `patiently`; asked, killed. Returns in any case."""
    for sign in (None, signal.SIGTERM, signal.SIGKILL)[0 if patiently else 1 :]:
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
