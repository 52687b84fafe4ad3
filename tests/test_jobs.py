"""`impray sweep --address http://...` against a head of this machine, with a token, its dashboard on 127.0.0.1."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from conftest import assert_same_tables, sweep_into, tiny, tiny_sweep
from service.launched import HEARING

TOKEN = "a-token-of-the-tests-0123456789abcdef"
BIN = str(Path(sys.executable).parent)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "IMPRAY_"))}
    path = os.pathsep.join(p for p in (str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH")) if p)
    home = tmp_path_factory.mktemp("home")
    return {
        **kept,
        "IMPRAY_KERNELS": os.environ["IMPRAY_KERNELS"],  # nothing is compiled anew
        "HOME": str(home),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@pytest.fixture(scope="module")
def dashboard(environment):
    """A head's dashboard; everything it starts ends with it."""
    import tempfile

    port, page = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="imj") as folder:  # short: sockets lie in it
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
        command += ["--node-ip-address=127.0.0.1", "--num-cpus=2", f"--temp-dir={folder}"]
        command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={page}", "--include-dashboard=true"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]  # another Ray may have the usual one
        head = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            address = f"http://127.0.0.1:{page}"
            wait_for(address, head)
            yield address
        finally:
            head.terminate()
            head.wait(60)


def wait_for(address, head):
    deadline = time.monotonic() + 120
    request = urllib.request.Request(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {TOKEN}"})
    while True:
        assert head.poll() is None and time.monotonic() < deadline, "the head did not start"
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)


def start(environment, *words):
    command = [*HEARING, sys.executable, "-m", "impray.cli", "sweep", "--mlflow", "off", *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def called(environment, *words, timeout=150):
    process = start(environment, *words)
    output, _ = process.communicate(timeout=timeout)
    return process.returncode, output


def written(folder, **changes):
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny(**changes)))
    return path


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_sent_as_a_job_gives_the_tables_of_one_run_here(dashboard, environment, tmp_path):
    file = written(tmp_path)
    code, output = called(environment, file, "--set", "rounds=2", "--address", dashboard, "--out", tmp_path / "out")
    assert code == 0 and "sent as impray-tiny-" in output and "trials done" in output, output
    assert TOKEN not in output
    sweep_into(tmp_path / "here", tiny_sweep(rounds=2))
    assert_same_tables(tmp_path / "out" / "tiny", tmp_path / "here")
    code, output = called(environment, file, "--set", "rounds=2", "--address", dashboard, "--out", tmp_path / "out")
    assert code == 0 and "nothing to do" in output, output


@pytest.mark.ray
@pytest.mark.slow
def test_ctrl_c_leaves_it_running_and_the_same_command_follows_it(dashboard, environment, tmp_path):
    words = (written(tmp_path, **LONG), "--address", dashboard, "--out", tmp_path / "out")
    first = start(environment, *words)
    lines = []
    while not any("round 0/" in line for line in lines):
        lines.append(first.stdout.readline())
        assert lines[-1], lines
    first.send_signal(signal.SIGINT)
    rest = first.communicate(timeout=30)[0]
    assert first.returncode == 130 and "left running: impray-tiny-" in rest, rest
    again = start(environment, *words)
    line = again.stdout.readline()
    assert re.match(r"following impray-tiny-\S+-1, which runs already", line), line
    code, output = called(environment, *words, "--stop")
    assert code == 0 and "asked to stop" in output, output
    output = again.communicate(timeout=100)[0]
    assert again.returncode == 130 and "stopped: " in output, (
        output
    )  # by the sweep itself: what is done, as after Ctrl-C
    code, output = called(environment, *words, "--stop")
    assert code == 0 and "no job runs" in output


LONG = {"seeds": 2, "rounds": 30, "trial.train": {"steps": 1500, "batch": 8}, "measures": ["accuracy"]}


@pytest.mark.ray
@pytest.mark.slow
def test_the_exit_code_is_the_sweeps(dashboard, environment, tmp_path):
    file = written(tmp_path)
    code, output = called(environment, file, "--set", "resources.gpu=1", "--where", "here", "--address", dashboard)
    assert code == 2  # told here, before anything is sent
    taken = tmp_path / "taken"
    taken.write_text("a file in the folder's place")
    code, output = called(environment, file, "--address", dashboard, "--out", taken)
    assert code == 2 and "sent as" in output and "cannot be written" in output, output


@pytest.mark.ray
@pytest.mark.slow
def test_another_token_is_told_in_one_line(dashboard, environment, tmp_path):
    other = {**environment, "RAY_AUTH_TOKEN": "another-token-0123456789abcdef0123"}
    code, output = called(other, written(tmp_path), "--address", dashboard, "--out", tmp_path / "out")
    assert code == 2 and "does not take this token" in output and "Traceback" not in output, output
    assert "another-token" not in output and TOKEN not in output


def test_nobody_there_is_told_at_once(environment, tmp_path):
    begin = time.monotonic()
    address = f"http://127.0.0.1:{free_port()}"
    code, output = called(environment, written(tmp_path), "--address", address, "--out", "s3://bucket/runs")
    assert code == 2 and "nobody answers there" in output and time.monotonic() - begin < 20, output


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["--address", "http://h:1", "--out", "runs"], "a place that the cluster sees"),
        (["--address", "ray://h:1"], "use the dashboard's address"),
        (["--address", "http://me:secret@h:1", "--out", "s3://b/r"], "holds a login"),
        (
            ["--address", "http://h:1", "--out", "s3://b/r", "--mlflow", "http://me:secret@h"],
            "holds a login",
        ),
        (["--stop"], "is for a cluster's dashboard"),
        (["--out", "ftp://h/x"], "s3://"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything(environment, tmp_path, words, right):
    code, output = called(environment, written(tmp_path), *words)
    assert code == 2 and right in output and "secret" not in output, output


@pytest.fixture
def elsewhere(environment, tmp_path):
    """Where RAY_ADDRESS is one that nobody answers at: environment, address, and the words of a small sweep."""
    address = f"http://127.0.0.1:{free_port()}"
    file = written(tmp_path, seeds=1, rounds=1, methods=["imp"], measures=["accuracy"])
    return {**environment, "RAY_ADDRESS": address}, address, (file, "--no-figures", "--out", tmp_path / "out")


def test_ray_address_is_respected_and_said(elsewhere):
    there, address, words = elsewhere
    code, output = called(there, *words)
    assert code == 2 and f"Ray at {address} (RAY_ADDRESS" in output and "nobody answers" in output, output


@pytest.mark.slow
def test_ray_address_is_nothing_to_a_sweep_that_runs_here(elsewhere):
    there, _, words = elsewhere
    code, output = called(there, *words, "--where", "here")
    assert code == 0 and "RAY_ADDRESS" not in output, output
