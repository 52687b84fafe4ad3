"""Processes by a name that is theirs alone: files and folders carry it, so that what a killed process left can be told from what is in use.

4f1c09-a17be2-03d9f1-2841-918273     host, boot of it, space of process numbers; number, and its start in ticks since the boot
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

NAME = re.compile(r"([0-9a-f]{6})-([0-9a-f]{6})-([0-9a-f]{6})-(\d+)-(\d+)")
OLD_S = 24 * 3600.0  # what a process elsewhere left: none of ours takes that long over a file


@cache
def place() -> dict[str, str]:
    """This machine, this boot of it, and this space of process numbers: two containers may share a host's name."""
    machine = {"host": platform.node(), "boot": "", "pids": ""}
    with suppress(OSError):
        machine["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        machine["pids"] = os.readlink("/proc/self/ns/pid")
    return machine


def started(pid: int) -> str:
    """When a process started, in ticks since the boot, so that its number used again is not taken for it; "" if it is gone."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""


def name() -> str:
    """The name of this process; made of letters, digits and hyphens."""
    return "-".join([*_places(), str(os.getpid()), started(os.getpid()) or "0"])


@cache
def _places() -> tuple[str, ...]:
    return tuple(hashlib.blake2b(word.encode(), digest_size=3).hexdigest() for word in place().values())


def dead(text: str) -> bool | None:
    """Whether the process whose name is in a text has ended; None where that cannot be seen from here, or there is no name in it."""
    found = NAME.search(text)
    if found is None:
        return None
    host, boot, pids, number, since = found.groups()
    if host != _places()[0]:
        return None
    if boot != _places()[1]:
        return True
    if pids != _places()[2]:
        return None
    if since == "0":  # no /proc there
        return not _is_there(int(number))
    return started(int(number)) != since


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def left(path: Path) -> bool:
    """Whether a file is a killed process's: one that carries its name, or one of elsewhere that nobody has touched for OLD_S.

    What belongs to another user is never.
    """
    ended = dead(path.name)
    try:
        info = path.lstat()
    except OSError:
        return False
    return info.st_uid == os.geteuid() and (time.time() - info.st_mtime > OLD_S if ended is None else ended)
