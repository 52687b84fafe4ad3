"""A local sweep and its Ray: who reaches it (this machine, and its owner with a token), and what a killed driver leaves."""

import os
from pathlib import Path

import pytest
from service.launched import alive, command, modes, sweep, within

from impray.service.ray import warden

MINUTE = 60
# What of a local sweep listens on all interfaces, because Ray has no option for it. Nothing, in 2.60.
ON_ALL_INTERFACES: set[str] = set()
LISTENS = "0A"


def listening(ids: list[int]) -> dict[tuple[str, int], str]:
    """(address, port) of what these processes listen at -> the process's name. IPv4 in hexadecimal, as /proc has it."""
    owners = {}
    for id in ids:
        for place in Path(f"/proc/{id}/fd").iterdir():
            try:
                owners[os.readlink(place)] = Path(command(id)[0]).name
            except OSError:
                continue
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            owner = owners.get(f"socket:[{words[9]}]")
            if words[3] == LISTENS and owner is not None:
                address, port = words[1].split(":")
                found[address, int(port, 16)] = owner
    return found


def is_loopback(address: str) -> bool:
    """127.x.x.x, ::1, or 127.x.x.x as an IPv6 address; the words of /proc are in this machine's byte order (little-endian)."""
    return (
        address[-2:] == "7F"
        if len(address) == 8
        else address in ("0" * 24 + "01000000",) or (address.startswith("0" * 16 + "FFFF0000") and address[-2:] == "7F")
    )


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another user's sweep on the same machine, as it were."""
    with sweep(tmp_path_factory.mktemp("other")) as running:
        within(MINUTE, running.warden, running)
        within(2 * MINUTE, running.actors, running)
        yield running


@pytest.mark.slow
@pytest.mark.ray
def test_a_local_sweep_is_for_this_machine_and_this_user(other):
    ids = [other.process.pid, *warden.marked(other.mark)]
    names = {Path(command(id)[0]).name for id in ids}
    assert {"gcs_server", "raylet", "ray::DashboardAgent", "ray::RuntimeEnvAgent"} <= names, names
    found = listening(ids)
    owners = set(found.values())
    assert {"gcs_server", "raylet", "ray::DashboardAgent", "ray::RuntimeEnvAgent"} <= owners and len(found) >= 7
    assert {found[place] for place in found if not is_loopback(place[0])} == ON_ALL_INTERFACES, found
    raylet = next(id for id in ids if command(id)[0].endswith("/raylet"))
    assert b"RAY_AUTH_MODE=token" in Path(f"/proc/{raylet}/environ").read_bytes().split(b"\0")
    token = other.home / ".ray" / "auth_token"
    assert modes(token) == (0o700, 0o600) and len(token.read_text()) == 64


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("when", ["starting", "running"])
def test_a_killed_driver_leaves_nothing_and_another_ray_goes_on(tmp_path, other, when):
    with sweep(tmp_path) as killed:
        keeper, scratch = within(MINUTE, killed.warden, killed)
        if when == "running":
            within(2 * MINUTE, lambda: killed.actors() and scratch.is_dir(), killed)
        within(2 * MINUTE, lambda: warden.marked(killed.mark), killed)
        untouched = set(warden.marked(other.mark))
        killed.kill()
        within(MINUTE, lambda: not alive(keeper) and not warden.marked(killed.mark))
        assert not scratch.exists() and not list(Path("/tmp/ray").glob(f"session_*_{killed.process.pid}"))
        assert untouched <= set(warden.marked(other.mark)) and other.process.poll() is None
        assert other.warden()[1].is_dir()
