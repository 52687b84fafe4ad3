"""An address where nobody answers is told in time; so is a Ray that loses its head, or its raylet, while a sweep runs."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml
from conftest import assert_same_tables, sweep_into, tiny, tiny_sweep
from service.doctor.findings import listening
from service.launched import PROGRAM, Launched, alive, command, within

from impray.service.children import child
from impray.service.ray import head, warden
from impray.service.ray.jobs import Jobs
from impray.spec.errors import SweepError

IN_TIME_S = 5.0


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("answers", [None, False, True], ids=["closed", "silent", "not Ray"])
@pytest.mark.parametrize("kind", ["host:port", "http"])
def test_an_address_where_nobody_answers_is_told_in_time(answers, kind, monkeypatch, tmp_path):
    import ray  # noqa: F401 - its import counts for the sweep, not here

    monkeypatch.setenv("HOME", str(tmp_path))  # without a token: whether anybody answers comes first
    with listening(answers=bool(answers)) as port:
        address = f"127.0.0.1:{closed_port() if answers is None else port}"
        start = time.monotonic()
        with pytest.raises(SweepError, match="no Ray cluster answers there|nobody answers there"):
            head.check(address) if kind == "host:port" else Jobs(f"http://{address}")
        assert time.monotonic() - start < IN_TIME_S


def test_auto_where_no_cluster_runs_is_told_in_time(monkeypatch, tmp_path):
    import ray  # noqa: F401

    # What Ray looks up where no cluster runs; another Ray may run on this machine.
    def nobody(address):
        raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setattr("ray._private.services.canonicalize_bootstrap_address", nobody)
    monkeypatch.setenv("HOME", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(SweepError, match="no Ray cluster answers there"):
        head.check("auto")
    assert time.monotonic() - start < IN_TIME_S


def test_the_command_tells_it_before_anything_is_made(tmp_path):
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(tiny()))
    words = [*PROGRAM, "sweep", "x.yaml", "--address", f"127.0.0.1:{closed_port()}"]
    said = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert said.returncode == 2 and "no Ray cluster answers there" in said.stderr and "Traceback" not in said.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


# -- while it runs ----------------------------------------------------------------------------------------------------


def test_a_vigil_tells_once_that_a_server_is_gone_and_nothing_while_it_answers(monkeypatch):
    monkeypatch.setattr(head, "LOOK_S", 0.05)
    told, late, gone = [], [], threading.Event()

    def is_gone(name: str, seconds: float) -> None:
        told.append(name)
        gone.set()

    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        places = {name: f"127.0.0.1:{server.getsockname()[1]}" for name, server in (("a", one), ("b", other))}
        vigil = head.Vigil(places, 0.5, is_gone, lambda name, seconds: late.append(name))
        time.sleep(0.4)
        assert not told and not late
        other.close()
        start = time.monotonic()
        assert gone.wait(10) and time.monotonic() - start > 0.4
    assert told == ["b"] and late == ["b"]
    vigil.close()


def test_a_vigil_that_is_over_tells_nothing(monkeypatch):
    monkeypatch.setattr(head, "LOOK_S", 0.05)
    told = []
    vigil = head.Vigil({"a": f"127.0.0.1:{closed_port()}"}, 0.3, lambda name, seconds: told.append(name))
    vigil.close()
    time.sleep(0.6)
    assert not told


LONG = {"rounds": 30, "trial.train.steps": 1500, "measures": ["accuracy"], "seeds": 1, "methods": ["imp"]}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("server", ["gcs_server", "raylet"])
def test_a_server_of_ray_that_is_killed_is_told_in_ten_seconds_and_the_same_command_goes_on(tmp_path, server):
    home = tmp_path / "home"
    home.mkdir()
    (home / "x.yaml").write_text(yaml.safe_dump(tiny(**LONG)))
    words = (*PROGRAM, "sweep", "x.yaml", "--mlflow", "off", "--no-figures")
    with Launched(words, home) as running:
        within(60, running.warden, running)
        for line in running.process.stdout:
            if "round 1/" in line:
                break
        os.kill(next(id for id in warden.marked(running.mark) if Path(command(id)[0]).name == server), signal.SIGKILL)
        start = time.monotonic()
        for line in running.process.stdout:
            if line.startswith("Ray has ended: "):
                break
        assert server in line and time.monotonic() - start < 10
        said = running.process.stdout.read()
        assert running.process.wait(60) == 2 and "go on with: impray sweep x.yaml" in said, said
        assert "Traceback" not in said and len(said.splitlines()) < 10, said
        within(60, lambda: not warden.marked(running.mark))
    with Launched(words, home) as again:
        said = again.process.stdout.read()
        assert again.process.wait(180) == 0, said
    sweep_into(tmp_path / "whole", tiny_sweep(**LONG))
    assert_same_tables(home / "runs" / "x", tmp_path / "whole", ("rounds", "fates", "trials"))


# -- servers that a command starts ------------------------------------------------------------------------------------

PARENT = "sh -c 'sleep 600 & echo $!; wait'"
DEAF = 'trap "" TERM; sh -c \'trap "" TERM; sleep 600 & echo $!; wait; wait\''


@pytest.mark.parametrize("script", [PARENT, DEAF], ids=["obeys", "deaf"])
def test_a_child_ends_with_all_that_it_started(script, monkeypatch):
    monkeypatch.setattr("impray.service.children.STOP_S", 0.5)
    with child(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        grandchild = int(process.stdout.readline())
        assert alive(grandchild)
    within(10, lambda: not alive(grandchild))
    assert process.returncode is not None


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_the_mlflow_ui_ends_with_its_servers(tmp_path, number):
    sweep_into(tmp_path / "x", tiny_sweep(rounds=1, measures=["accuracy"]), mlflow=None)
    port = closed_port()
    words = (*PROGRAM, "mlflow", "ui", str(tmp_path / "x"), "--port", str(port))
    with Launched(words, tmp_path) as running:
        within(120, lambda: not head.silent(f"127.0.0.1:{port}", 1), running)
        servers = descendants(running.process.pid)
        assert servers
        running.process.send_signal(number)
        assert running.process.wait(30) == 128 + number
        within(10, lambda: not any(map(alive, servers)))
        assert head.silent(f"127.0.0.1:{port}", 1)


def descendants(id: int) -> set[int]:
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, new = set(), {id}
    while new := {one for one, parent in parents.items() if parent in new} - found:
        found |= new
    return found
