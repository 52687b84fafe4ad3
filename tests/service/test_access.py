"""Who reaches a local Ray: this machine only, with a token that only its owner reads."""

import os
import stat
from pathlib import Path

import pytest
from service.launched import command, sweep, within

from impray.service.ray import access, warden
from impray.spec.errors import SweepError

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


@pytest.mark.ray
def test_a_local_sweep_is_for_this_machine_and_this_user(tmp_path):
    with sweep(tmp_path / "home") as running:
        within(60, running.warden, running)
        within(120, running.actors, running)
        ids = [running.process.pid, *warden.marked(running.mark)]
        names = {Path(command(id)[0]).name for id in ids}
        assert {"gcs_server", "raylet", "ray::DashboardAgent", "ray::RuntimeEnvAgent"} <= names, names
        found = listening(ids)
        owners = set(found.values())
        assert {"gcs_server", "raylet", "ray::DashboardAgent", "ray::RuntimeEnvAgent"} <= owners and len(found) >= 7
        assert {found[place] for place in found if not is_loopback(place[0])} == ON_ALL_INTERFACES, found
        raylet = next(id for id in ids if command(id)[0].endswith("/raylet"))
        assert b"RAY_AUTH_MODE=token" in Path(f"/proc/{raylet}/environ").read_bytes().split(b"\0")
        token = running.home / ".ray" / "auth_token"
        assert modes(token) == (0o700, 0o600) and len(token.read_text()) == 64


def modes(token: Path) -> tuple[int, int]:
    return stat.S_IMODE(token.parent.stat().st_mode), stat.S_IMODE(token.stat().st_mode)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home folder, and no word about tokens in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (access.MODE, access.TOKEN, access.TOKEN_PATH):
        monkeypatch.setenv(name, "")  # put back at the end, even if what is tested sets it
        monkeypatch.delenv(name)
    monkeypatch.setattr(access.sys, "modules", {})  # as if ray had not been imported
    return tmp_path


def test_a_token_that_all_could_read_is_closed_and_kept(home):
    access.token_file().parent.mkdir(mode=0o755)
    access.token_file().write_text("mine")
    access.token_file().chmod(0o644)
    access.ask_for_token(None)
    assert modes(access.token_file()) == (0o700, 0o600) and access.token_file().read_text() == "mine"
    assert os.environ[access.MODE] == "token"


def test_a_token_is_made_once(home):
    access.ask_for_token(None)
    first = access.token_file().read_text()
    access.ask_for_token(None)
    assert access.token_file().read_text() == first and os.listdir(home / ".ray") == ["auth_token"]


def test_what_the_user_says_of_tokens_stays(home, monkeypatch):
    monkeypatch.setenv(access.MODE, "disabled")
    access.ask_for_token(None)
    access.ask_for_token("127.0.0.1:6379")
    assert os.environ[access.MODE] == "disabled" and not (home / ".ray").exists()


def test_a_token_elsewhere_is_enough(home, monkeypatch):
    (home / "elsewhere").write_text("x")
    monkeypatch.setenv(access.TOKEN_PATH, str(home / "elsewhere"))
    access.ask_for_token("127.0.0.1:6379")
    assert not (home / ".ray").exists()


def test_joining_without_a_token_says_how_to_get_one(home):
    with pytest.raises(SweepError) as told:
        access.ask_for_token("10.0.0.1:6379")
    assert all(
        word in str(told.value) for word in ("--address", "10.0.0.1:6379", "auth_token", f"{access.MODE}=disabled")
    )


def test_a_home_that_cannot_be_written_does_with_a_token_of_this_run(home, monkeypatch):
    (home / ".ray").write_text("a file, where the folder should be")
    access.ask_for_token(None)
    assert len(os.environ[access.TOKEN]) == 64


def test_the_environment_is_as_it_was(monkeypatch):
    monkeypatch.setenv("IMPRAY_ONE", "1")
    with pytest.raises(KeyError), access.only_here({"IMPRAY_ONE": "2", "IMPRAY_TWO": "2"}):
        assert (os.environ["IMPRAY_ONE"], os.environ["IMPRAY_TWO"]) == ("2", "2")
        raise KeyError
    assert os.environ["IMPRAY_ONE"] == "1" and "IMPRAY_TWO" not in os.environ
