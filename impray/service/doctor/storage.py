"""Whether a place can hold sweeps: each of several machines writes there, and all see it. Steps, and what follows from their answers.

A step runs on every machine and never raises; `judged` reads what they told.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from impray.results.store import in_bucket, opened
from impray.service.doctor.finding import Finding, names, ok, warn, wrong
from impray.spec.errors import ImprayError

HERE = "here"
WRITES = 3
REACH_S, STEP_S = 5.0, 12.0  # for an answer at all; for a step
SEEN_S = 6.0  # NFS may keep an old listing for a few seconds
SLOW_S = 1.0  # per write: a round writes some three files, and its pack waits for them
SKEW_S, MUCH_SKEW_S = 2.0, 30.0  # a service tells whole seconds
BLOCK = 32 << 10  # bytes that are written over and over, and must never be read in part


def limited(seconds: float, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
    """What a call gives, if it does in time: a store that nobody answers for tries again for a minute.

    Raises:  TimeoutError.
    """
    answers: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def work() -> None:
        try:
            answers.put((True, call(*arguments)))
        except Exception as error:
            answers.put((False, error))

    threading.Thread(target=work, name="doctor-limited", daemon=True).start()
    try:
        well, answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if not well:
        raise answer
    return answer


def _step(step: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """What goes wrong is an answer."""

    def told(*arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        try:
            return limited(STEP_S, step, *arguments)
        except (ImprayError, OSError) as error:  # one that took too long, too
            return {"error": str(error).splitlines()[0]}
        except Exception as error:  # a library's own: still an answer, with its kind
            return {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}

    return told


@_step
def write(place: str, name: str) -> dict[str, Any]:
    """Write a file, three times; seconds per write, the store's clock against this one (a bucket), what was there before (a folder)."""
    answer: dict[str, Any] = {"existed": None}
    if in_bucket(place):
        answer["ahead_s"] = _reached(place)
    else:
        answer["existed"] = nearest(place)
    store = opened(place)
    start = time.perf_counter()
    for _ in range(WRITES):
        store.write(f"seen/{name}", name.encode())
    return answer | {"seconds": (time.perf_counter() - start) / WRITES}


@_step
def create(place: str, name: str) -> dict[str, Any]:
    """Whether this machine was the first to create a file that all want."""
    return {"won": opened(place).create("winner", name.encode())}


@_step
def seen(place: str, wanted: Sequence[str]) -> dict[str, Any]:
    """Which of the files that others wrote cannot be listed and read here."""
    store, until = opened(place), time.monotonic() + SEEN_S
    while True:
        listed = {file.name for file in store.files("seen")}
        missing = [name for name in wanted if name not in listed or store.read(f"seen/{name}") != name.encode()]
        if not missing or time.monotonic() > until:
            return {"missing": missing}
        time.sleep(0.3)


@_step
def replace(place: str, number: int) -> dict[str, Any]:
    """Write over a file that others write over too, and read it: how often a part of one was read."""
    store, torn = opened(place), 0
    for _ in range(4 if in_bucket(place) else 20):
        store.write("over", bytes([number % 251]) * BLOCK)
        content = store.read("over")
        torn += content is None or len(content) != BLOCK or len(set(content)) != 1
    return {"torn": torn}


@_step
def lock(place: str) -> dict[str, Any]:
    """Whether a lock of the kernel can be had at once: True, False where another holds it, None where there are none."""
    with opened(place).lock("lock", wait=False) as held:
        return {"held": held}


@_step
def clear(place: str, existed: str | None) -> dict[str, Any]:
    """Remove all of it, and the folders that were made for it."""
    store = opened(place)
    for key in ("winner", "over", "lock"):
        store.delete(key)
    for file in store.files("seen"):
        file.delete()
    if store.local is not None:
        folder = store.local / "seen"
        while existed and str(folder) != existed and str(folder).startswith(existed):
            with suppress(OSError):  # someone has put something there meanwhile, or it is gone
                folder.rmdir()
            folder = folder.parent
    return {}


def nearest(place: str) -> str:
    """The folder that is there already: the place itself, or the nearest above it."""
    folder = Path(place)
    while not folder.is_dir() and folder.parent != folder:
        folder = folder.parent
    return str(folder)


def _reached(place: str) -> float:
    """How far the service's clock is ahead of this one, in seconds.

    Raises:  OSError: nobody answers, or there is no such bucket. DoctorRequest first, because a store tries again for a minute.
    """
    bucket = place.partition("://")[2].partition("/")[0]
    asked = urllib.request.Request(f"{endpoint(place).rstrip('/')}/{bucket}", method="HEAD")
    try:
        with urllib.request.urlopen(asked, timeout=REACH_S) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as error:  # refused to strangers: it does answer
        date = error.headers.get("Date")
        if error.code == 404:
            raise OSError(f"{endpoint(place)} has no bucket {bucket}") from error
        region = error.headers.get("x-amz-bucket-region")
        if error.code in (301, 307) and region:
            raise OSError(f"the bucket {bucket} lies in {region}: AWS_REGION must say so") from error
    except urllib.error.URLError as error:
        raise OSError(f"{endpoint(place)} does not answer ({error.reason})") from error
    except TimeoutError as error:
        raise OSError(f"{endpoint(place)} does not answer within {REACH_S:g} s") from error
    return parsedate_to_datetime(date).timestamp() + 0.5 - time.time() if date else 0.0


def endpoint(place: str) -> str:
    """Where the service of a bucket listens."""
    if place.startswith("gs://"):
        return "https://storage.googleapis.com"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    given = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return given or f"https://s3.{region}.amazonaws.com"


# -- the whole of it, and what follows --------------------------------------------------------------------------------

# Step, arguments by machine -> answers by machine.
Ask = Callable[[str, Mapping[str, tuple]], Mapping[str, dict[str, Any]]]


@dataclass
class Answer:
    """What the machines answered, by machine; `here` is one of them."""

    writes: dict[str, dict[str, Any]]
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    creates: dict[str, dict[str, Any]] = field(default_factory=dict)
    replaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def writers(self) -> list[str]:
        return [name for name, answer in self.writes.items() if "error" not in answer]


def tried(place: str, machines: Sequence[str], ask: Ask) -> Answer:
    """All steps, each on all machines at once; those that cannot write are asked no more. Leaves nothing behind."""
    told = Answer(dict(ask("write", {name: (place, name) for name in machines})))
    writers = told.writers
    try:
        told.seen = dict(ask("seen", {name: (place, writers) for name in writers}))
        told.creates = dict(ask("create", {name: (place, name) for name in writers}))
        told.replaces = dict(ask("replace", {name: (place, number) for number, name in enumerate(writers)}))
        others = [name for name in writers if name != HERE]
        if HERE in writers:
            with opened(place).lock("lock", wait=False) as held:
                told.locks[HERE] = {"held": held}
                told.locks |= ask("lock", {name: (place,) for name in others})
    except (ImprayError, OSError) as error:
        told.locks[HERE] = {"error": str(error)}
    finally:
        # One after another: the last one finds the folder empty.
        for name in reversed(writers):
            ask("clear", {name: (place, told.writes[name]["existed"])})
    return told


def judged(told: Answer, out: str) -> list[Finding]:
    """What the answers mean for sweeps in `out`."""
    findings = _written(told, out)
    writers, bucket = told.writers, in_bucket(out)
    if not writers:
        return findings
    apart = {name: answer.get("missing", []) for name, answer in told.seen.items()}
    silent = {name: answer["error"] for name, answer in told.seen.items() if "error" in answer}
    findings += [
        wrong("storage seen", f"{names([n], 0)}: {why}", "mend that, or choose another --out")
        for n, why in silent.items()
    ]
    blind = [name for name, missing in apart.items() if missing]
    if blind:
        unseen = list(dict.fromkeys(other for name in blind for other in apart[name]))
        value = f"{names(blind, 0)} cannot see what {names(unseen, 0)} wrote: the same path, but not the same folder"
        return [
            *findings,
            wrong("storage seen", value, "give --out a folder that all nodes mount, or s3://bucket/runs"),
        ]
    if not silent:
        findings.append(ok("storage seen", f"each sees what all wrote, {_who(writers)}"))
    findings += _exclusive(told)
    return findings if bucket else [*findings, _locks(told)]


def _who(machines: list[str]) -> str:
    """`here and on 3 nodes`."""
    others = sum(name != HERE for name in machines)
    parts = ["here"] if HERE in machines else []
    parts += [f"on {others} {'node' if others == 1 else 'nodes'}"] if others else []
    return " and ".join(parts)


def _written(told: Answer, out: str) -> list[Finding]:
    findings = []
    reasons: dict[str, list[str]] = {}
    for name, answer in told.writes.items():
        if "error" in answer:
            reasons.setdefault(answer["error"], []).append(name)
    mend = (
        "check credentials, endpoint and network there"
        if in_bucket(out)
        else "make it writable there, or choose another --out"
    )
    for why, nodes in reasons.items():
        findings.append(wrong("storage write", f"{names(nodes, 0)}: {why}", mend))
    off = {name: told.writes[name].get("ahead_s", 0.0) for name in told.writers}
    for name in (name for name in off if abs(off[name]) > SKEW_S):
        value = f"{name}: the store's clock is {abs(off[name]):.0f} s {'ahead' if off[name] > 0 else 'behind'}"
        mend = "turn on time synchronisation there: signatures with a wrong time are refused"
        findings.append(wrong("clock", value, mend) if abs(off[name]) > MUCH_SKEW_S else warn("clock", value, mend))
    times = {name: told.writes[name]["seconds"] for name in told.writers}
    if times:
        slowest = max(times, key=lambda name: times[name])
        value = f"{out}: {1000 * times[slowest]:.3g} ms per write at the slowest ({slowest}), {_who(list(times))}"
        slow = "each round waits for a few writes: a store nearer to the nodes is faster"
        findings.append(warn("storage write", value, slow) if times[slowest] > SLOW_S else ok("storage write", value))
    return findings


def _exclusive(told: Answer) -> list[Finding]:
    """Of several that create one file exactly one may win, and no file may be read in part."""
    mend = "leases do not hold there: choose another --out, such as s3://bucket/runs"
    won = [name for name, answer in told.creates.items() if answer.get("won")]
    errors = [f"{name}: {answer['error']}" for name, answer in told.creates.items() if "error" in answer]
    torn = sum(answer.get("torn", 0) for answer in told.replaces.values())
    findings = [wrong("storage create", errors[0], mend)] if errors else []
    if not errors:
        right = len(won) == 1
        value = f"{len(won)} of {len(told.creates)} that created one file won"
        findings.append(ok("storage create", value) if right else wrong("storage create", value, mend))
    if torn:
        value = f"{torn} times a part of a file was read while another was moved into its place"
        findings.append(
            wrong("storage replace", value, "this file system is not fit for results: choose another --out")
        )
    else:
        findings.append(ok("storage replace", "files change in one step"))
    return findings


def _locks(told: Answer) -> Finding:
    held = {name: answer.get("held") for name, answer in told.locks.items()}
    here, others = held.get(HERE), [value for name, value in held.items() if name != HERE]
    if here is None or any(value is None for value in others):
        return ok("storage locks", "no locks of the kernel there: leases serve")
    if any(others):
        return ok("storage locks", "locks of the kernel hold on one machine, not between them: leases serve there")
    return ok("storage locks", "locks of the kernel hold" + (", between here and the nodes too" if others else ""))
