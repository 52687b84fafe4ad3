"""What is looked at after a scenario: tables, processes, files, sockets. Needs /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from conftest import rows_of
from service.launched import alive, command, within

from impray.results.schema import KEYS, TABLES
from impray.results.store import Place
from impray.service.plan import listed
from impray.spec.sweep import Sweep

ENDS_S = 60.0
LISTENS = "0A"  # the state in /proc/net/tcp
LOOPBACK = "7F"  # the last byte shown of 127.0.0.1, alone and mapped into IPv6
LOOPBACK_6 = "00000000000000000000000001000000"


def of(home: Path) -> list[int]:
    """Processes that have this home folder."""
    wanted, found = f"HOME={home}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (place / "environ").read_bytes().split(b"\0") and alive(int(place.name)):
                found.append(int(place.name))
        except OSError:
            continue
    return found


# -- tables -----------------------------------------------------------------------------------------------------------


def differing(folder: Place, whole: Path) -> list[str]:
    """Tables that are not those of an undisturbed run, row by row."""
    return [
        f"the table {table} differs"
        for table in TABLES
        if not rows_of(folder, table).equals(rows_of(whole, table), null_equal=True)
    ]


def differing_lineages(folder: Place, whole: Path, sweep: Sweep) -> list[str]:
    """As `differing`, of a search: it has the trials that it asked for, and the rows of each are those of a grid that has it."""
    trials, told = rows_of(folder, "trials"), []
    if trials.height != sweep.search.trials or set(trials["status"]) != {"done"}:
        told.append(f"{trials.height} trials, not {sweep.search.trials}, or not all done: {set(trials['status'])}")
    if sweep.search.algorithm == "random":
        asked = {planned.trial.id for planned in listed(sweep)}
        told += [f"other trials than the YAML asks for: {set(trials['trial']) ^ asked}"] * (
            set(trials["trial"]) != asked
        )
    lineages = trials.select("lineages").explode("lineages").rename({"lineages": "lineage"})
    for table in (table for table in TABLES if KEYS[table][0] == "lineage"):
        right = rows_of(whole, table).join(lineages, on="lineage", how="semi").sort(KEYS[table])
        if not rows_of(folder, table).sort(KEYS[table]).equals(right, null_equal=True):
            told.append(f"the table {table} differs")
    return told + [f"failures: {rows_of(folder, 'failures')['error']}"] * bool(rows_of(folder, "failures").height)


# -- what is left -----------------------------------------------------------------------------------------------------


def left(home: Path, sets_aside: bool) -> list[str]:
    """Processes and files that are there after a clean end and should not be."""
    try:
        within(ENDS_S, lambda: not of(home))
    except AssertionError:
        return [f"still running: { {id: ' '.join(command(id))[:100] for id in of(home)} }"]
    files = [path for path in (home / "runs").rglob("*") if ".part" in path.name]
    files += [] if sets_aside else (home / "runs").glob("*/damaged/*")
    return [f"left: {path}" for path in [*files, *(home / "tmp").glob("impray-*")]]


@dataclass
class Listening:
    """The TCP sockets at which processes of a home folder have listened."""

    home: Path
    seen: dict[str, str] = field(default_factory=dict)  # the kernel's number of a socket -> address, process

    def look(self) -> None:
        sockets = _listening()
        for id in of(self.home):
            with suppress(OSError):
                for handle in os.scandir(f"/proc/{id}/fd"):
                    with suppress(OSError):
                        number = os.readlink(handle.path).removeprefix("socket:[").removesuffix("]")
                        if number in sockets:
                            self.seen[number] = f"{sockets[number]} of {' '.join(command(id))[:100]}"

    def open_to_others(self) -> list[str]:
        return [f"listened at {where}" for where in self.seen.values() if not _loopback(where.split(":")[0])]

    def left(self) -> list[str]:
        """Of those seen: whoever may have them now."""
        return [f"still listens: {self.seen[number]}" for number in _listening().keys() & self.seen.keys()]


def _listening() -> dict[str, str]:
    """The kernel's number of a socket -> its address as the kernel writes it, of all that listen."""
    found = {}
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            rows = (line.split() for line in Path(file).read_text().splitlines()[1:])
            found |= {row[9]: row[1] for row in rows if row[3] == LISTENS}
    return found


def _loopback(address: str) -> bool:
    return address == LOOPBACK_6 or address.endswith(LOOPBACK)
