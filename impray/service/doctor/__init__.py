"""What a sweep will meet, looked at before it does: versions, token, Ray and its nodes, storage, MLflow, room.

Every check runs at once in a thread of its own and has its own time: one that hangs is told as such and holds up nothing. What may end
a process or hang for good (Ray) is asked in another process. Nothing is changed but for files that are removed again.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from impray.results.store import Place, in_bucket, opened, within
from impray.service.doctor import cluster, here, remote, storage, tracking
from impray.service.doctor.finding import LEVELS, Finding, Level, ok, warn, wrong
from impray.service.doctor.needs import Needs, needs
from impray.spec.errors import ImprayError
from impray.spec.sweep import Sweep
from impray.spec.text import size

__all__ = ["LEVELS", "DoctorRequest", "Check", "Finding", "Level", "examine", "run"]

QUICK_S, SERVICE_S, NEEDS_S = 10.0, 15.0, 40.0
KNOWN_S = 10.0  # for reading what is done; more is not worth the wait


@dataclass(frozen=True)
class DoctorRequest:
    """What `impray doctor` was asked: what a sweep would be started with."""

    out: Place = "runs"
    given: bool = True  # whether someone has said where sweeps go; else that is not looked at on a cluster that is asked from outside
    address: str | None = None  # of a cluster; None is a local Ray
    mlflow: str | None = None
    sweep: Sweep | None = None
    name: str = ""  # of the sweep
    text: str = ""  # its YAML, for a cluster that is asked from outside


@dataclass(frozen=True)
class Check:
    """Something to look at, in at most so many seconds."""

    what: str
    seconds: float
    findings: Callable[[], Iterable[Finding]]
    told: queue.Queue[Finding | None] = field(default_factory=queue.Queue)


def examine(asked: DoctorRequest, doing: Callable[[str], None] = lambda what: None) -> Iterator[Finding]:
    """Findings, as they become known.

    Args:    doing: hears what is waited for.
    """
    return run(checks(asked), doing)


def checks(asked: DoctorRequest) -> list[Check]:
    """What is looked at, in the order in which it is told."""
    if asked.address is not None and asked.address.startswith(("http://", "https://")):
        return [
            Check("versions", QUICK_S, here.versions),
            Check("token", QUICK_S, lambda: [*here.token(cluster=True), *here.mode()]),
            Check("cluster", remote.GIVE_UP_S + 5, lambda: _remote(asked)),
        ]
    local = asked.address is None
    alone = [Check("local Ray", QUICK_S, here.room), Check("recorded cluster", QUICK_S, here.recorded)] if local else []
    return [
        Check("versions", QUICK_S, here.versions),
        Check("token", QUICK_S, lambda: here.token(cluster=not local)),
        *alone,
        Check("open files", QUICK_S, here.limits),
        Check("MLflow", SERVICE_S, lambda: tracking.tracking(asked.mlflow, str(asked.out))),
        *([Check("disk", NEEDS_S, lambda: _room(asked))] if asked.sweep else []),
        Check("Ray", cluster.GIVE_UP_S + 10, lambda: cluster.cluster(asked.address, asked.out, _needs(asked))),
    ]


def run(these: list[Check], doing: Callable[[str], None] = lambda what: None) -> Iterator[Finding]:
    """The findings of all checks, in their order. Raises nothing of theirs: a check that breaks is a finding."""
    start = time.monotonic()
    for check in these:
        threading.Thread(target=_worked, args=(check,), name=f"doctor-{check.what}", daemon=True).start()
    for check in these:
        doing(check.what)
        while True:
            try:
                finding = check.told.get(timeout=max(0.01, start + check.seconds - time.monotonic()))
            except queue.Empty:
                yield wrong(
                    check.what, f"no answer within {check.seconds:g} s", "whatever it waits for hangs: look there"
                )
                break
            if finding is None:
                break
            yield finding


def _worked(check: Check) -> None:
    try:
        for finding in check.findings():
            check.told.put(finding)
    except (ImprayError, OSError) as error:
        check.told.put(wrong(check.what, str(error).splitlines()[0], "mend that, then run this again"))
    except Exception as error:  # ours: told beside all the others, which are worth having
        value = f"cannot be looked at ({type(error).__name__}: {error})"
        check.told.put(wrong(check.what, value, "a fault of doctor's own: please report it"))
    finally:
        check.told.put(None)


# -- what the sweep needs ---------------------------------------------------------------------------------------------


def _needs(asked: DoctorRequest) -> Needs | None:
    """Of what is left to do; of all of it where the folder's tables cannot be read (the sweep will say why)."""
    if asked.sweep is None:
        return None
    from impray.results import ledger

    slots = len(os.sched_getaffinity(0))
    try:
        done = storage.limited(KNOWN_S, ledger.read, within(asked.out, asked.name))
    except (ImprayError, OSError):
        done = ledger.Ledger()
    return needs(asked.sweep, done, slots)


def _room(asked: DoctorRequest) -> Iterator[Finding]:
    """The disk of the results against what they will take. A bucket has room."""
    needed = _needs(asked)
    assert needed is not None
    told = f"{needed.lineages} lineages to run take about {size(needed.disk)}, checkpoints {size(needed.checkpoints)} of it"
    if in_bucket(str(asked.out)):
        yield ok("disk", told)
        return
    place = storage.nearest(opened(asked.out).absolute)
    there = os.statvfs(place)
    free = there.f_bavail * there.f_frsize
    value = f"{size(free)} free at {place}; {told}"
    mend = "free some space, or choose another --out; fewer rounds, seeds or trials take less"
    if needed.disk > free:
        yield wrong("disk", value, mend)
    elif needed.disk > 0.8 * free:
        yield warn("disk", value, mend)
    else:
        yield ok("disk", value)


def _remote(asked: DoctorRequest) -> Iterator[Finding]:
    out = str(asked.out) if asked.given else None
    return remote.cluster(asked.address or "", out, asked.mlflow, asked.name, asked.text)
