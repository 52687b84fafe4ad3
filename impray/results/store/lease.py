"""Leases: who works on something, where machines share no locks.

A lease called `running` is the files `leases/running-000000001.json`, `leases/running-000000002.json` and so on; the highest
number, its epoch, is in force. Taking a lease is creating the next file, which a store grants to exactly one of several
(`Store.create`): that is how every tie breaks. The holder writes its own file again every BEAT_S, with another number in it. Who
finds a file that is let go, or whose holder was a process of this machine that has died, takes the lease at once. Who sees a file
stay as it is for DEAD_S, by its own clock, holds the holder for dead and takes it too: no two machines' clocks are ever compared.

A holder that was only slow (stopped, or cut off from the store) may go on beside the next one until it looks: `Lease.ours`. That costs
time, never a number: what both write is the same, bit for bit, each file is written whole, and a lineage's numbers do not depend on
who computes them.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from impray.processes import place, started
from impray.results.store.base import File, Store
from impray.spec.errors import ImprayError, StorageError

BEAT_S = 5.0
RUNNING = "running"  # the lease of the one driver that works on a sweep's folder
ORPHAN_S = 40.0  # looked at every LOOK_S by each actor, so that an orphan ends within a minute
LOOK_S = 15.0
DEAD_S = 30.0  # six beats: a holder that swaps, or whose store stumbles, is not robbed


@dataclass
class Lease:
    """A lease that this process holds."""

    store: Store
    name: str
    epoch: int
    owner: str
    beats: int = 0
    free: threading.Event = field(default_factory=threading.Event)
    lost: bool = False

    @property
    def file(self) -> File:
        return self.store.file(_key(self.name, self.epoch))

    def ours(self) -> bool:
        """Whether nobody has taken it since. A store that does not answer leaves it as it was."""
        self.lost = self.lost or not still(self.store, self.name, self.epoch)
        return not self.lost

    def content(self, *, free: bool = False) -> bytes:
        self.beats += 1
        return json.dumps({**_who(), "owner": self.owner, "beat": self.beats, "free": free}).encode()

    def beat(self) -> None:
        """Say that the holder lives, until the lease is let go or lost."""
        store = self.store.hasty(BEAT_S)  # the next beat is worth more than this one's third try
        while not self.free.wait(BEAT_S) and not self.lost:
            # A full disk or a silent store: the work itself will meet it and say so.
            with suppress(ImprayError, OSError):
                store.write(self.file.key, self.content())
            self.lost = self.lost or not still(store, self.name, self.epoch)


@contextmanager
def lease(
    store: Store,
    name: str,
    *,
    wait: bool = True,
    alone: bool = False,
    say: Callable[[str], None] | None = None,
) -> Iterator[Lease | str]:
    """Hold a lease.

    Args:    wait: for as long as another holds it; else only until it is known to live. alone: whether the caller holds a lock of this
             machine's kernel, so that no other process here can be the holder. say: hears once if there is something to wait for.
    Yields:  the lease; where another lives and `wait` is False, who: a text.
    Raises:  StorageError: the store takes nothing, or does not answer.
    """
    taken = _taken(store, name, wait, alone, say)
    if isinstance(taken, str):
        yield taken
        return
    thread = threading.Thread(target=taken.beat, name=f"lease-{name}", daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        taken.free.set()
        thread.join()
        # Its file stays: an epoch that came twice would let a holder of the first believe that it still is one.
        with suppress(ImprayError, OSError):
            store = store.hasty(BEAT_S)
            if not taken.lost and _highest(store, name) == taken.epoch:
                store.write(taken.file.key, taken.content(free=True))


def _taken(store: Store, name: str, wait: bool, alone: bool, say: Callable[[str], None] | None) -> Lease | str:
    watched: tuple[int, bytes | None] | None = None  # what was seen of the holder, since when
    since = time.monotonic()
    told = False
    while True:
        epoch = _highest(store, name)
        content = _content(store, name, epoch) if epoch else None
        patience = DEAD_S if _read(content) else 2 * BEAT_S  # a holder that lives writes over a damaged file
        dead = watched == (epoch, content) and time.monotonic() - since >= patience
        if epoch == 0 or dead or _is_free(content, alone):
            lease = Lease(store, name, epoch + 1, uuid.uuid4().hex)
            if store.create(lease.file.key, lease.content()):
                _tidy(store, name, lease.epoch)
                return lease
            watched = None  # another was first
            continue
        if watched != (epoch, content):
            if watched is not None and not wait:
                return _holder(content)  # it has changed: the holder lives
            watched, since = (epoch, content), time.monotonic()
        if not told and say is not None:
            say(f"{_holder(content)} held {store} last; waiting up to {DEAD_S:.0f} s to see if that is still so")
            told = True
        time.sleep(BEAT_S / 5)


class Watch:
    """The life of a lease's holder, as seen by those who work for it on other machines."""

    def __init__(self, store: Store, name: str, epoch: int) -> None:
        self.store, self.name, self.epoch = store, name, epoch
        self._seen: bytes | None = None
        self._since = time.monotonic()

    def lives(self) -> bool:
        """Whether the lease is in force, and its holder has been heard of within ORPHAN_S; a store that does not answer says nothing."""
        try:
            if _highest(self.store, self.name) > self.epoch:
                return False
            content = self.store.read(_key(self.name, self.epoch))
        except (ImprayError, OSError):
            self._since = time.monotonic()
            return True
        if content != self._seen:
            self._seen, self._since = content, time.monotonic()
        return time.monotonic() - self._since < ORPHAN_S


def _content(store: Store, name: str, epoch: int) -> bytes | None:
    try:
        return store.read(_key(name, epoch))
    except IsADirectoryError:  # no holder would have made one
        return b'{"free": true}'


def still(store: Store, name: str, epoch: int) -> bool:
    """Whether the lease of this epoch is in force, asked by those who work for its holder. Silence of the store changes nothing."""
    with suppress(ImprayError, OSError):
        return _highest(store, name) <= epoch
    return True


def taken_over(store: Store) -> StorageError:
    """What those say who find that the lease of the driver is another's."""
    return StorageError(f"{store}: another impray sweep has taken this folder over; this one ends")


def _key(name: str, epoch: int) -> str:
    return f"leases/{name}-{epoch:09d}.json"


def _highest(store: Store, name: str) -> int:
    """The epoch in force; 0 before the first."""
    return max((epoch for epoch, _ in _epochs(store, name)), default=0)


def _epochs(store: Store, name: str) -> list[tuple[int, File]]:
    files = store.files("leases", [f"{name}-"])
    texts = [(file.name.removeprefix(f"{name}-").removesuffix(".json"), file) for file in files]
    return [(int(text), file) for text, file in texts if len(text) == 9 and text.isdigit()]


def _tidy(store: Store, name: str, epoch: int) -> None:
    """Files of epochs before the last one are of no use."""
    for old, file in _epochs(store, name):
        if old < epoch - 1:
            with suppress(ImprayError, OSError):
                file.delete()


# -- who holds it -----------------------------------------------------------------------------------------------------


def _who() -> dict[str, str | int]:
    return {**place(), "pid": os.getpid(), "started": started(os.getpid())}


def _read(content: bytes | None) -> dict:
    try:
        holder = json.loads(content or b"")
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _is_free(content: bytes | None, alone: bool) -> bool:
    """Whether its holder has let it go, or was a process of this machine that is no more."""
    holder = _read(content)
    if holder.get("free"):
        return True
    # The same boot, too: two machines of one name may share a disk whose locks each keeps for itself.
    if alone and all(holder.get(name) == place()[name] for name in ("host", "boot")):
        return True
    here = bool(place()["boot"]) and all(holder.get(name) == value for name, value in place().items())
    return here and bool(holder.get("started")) and started(int(holder.get("pid", 0))) != holder["started"]


def _holder(content: bytes | None) -> str:
    holder = _read(content)
    return f"process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= holder.keys() else "another process"
