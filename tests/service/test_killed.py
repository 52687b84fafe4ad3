"""A sweep that is killed or interrupted loses nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import assert_same_tables, sweep_into, tiny, tiny_sweep
from service.launched import ACTOR, HEARING, command

LONG = {
    "rounds": 12,
    "trial.train": {"steps": 400, "batch": 8},
    "search.pack": [],
    "measures": ["accuracy", "kurtosis", {"spread": {"min_fan_in": 2}}],
}


def start(folder, file):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [*HEARING, sys.executable, "-m", "impray.cli", "sweep", str(file), "--out", str(folder), "--mlflow", "off"]
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_for_rounds(folder, count, process):
    deadline = time.monotonic() + 90
    while len(list(folder.rglob("tables/rounds/*.parquet"))) < count:
        assert process.poll() is None and time.monotonic() < deadline, "the sweep ended before it could be killed"
        time.sleep(0.01)


def actors(driver):
    """Those whose raylet is a child of this driver: other sweeps may run on this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if ACTOR in command(int(path.name))[0] and driver in ancestors(int(path.name)):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def ancestors(pid):
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "long"
    sweep_into(folder, tiny_sweep(**LONG))
    return folder


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(tiny(**LONG)))
    return path


@pytest.mark.ray
@pytest.mark.slow
def test_killing_the_driver_loses_nothing(tmp_path, file, uninterrupted):
    first = start(tmp_path, file)
    wait_for_rounds(tmp_path, 3, first)
    first.kill()
    first.wait()
    done = len(list(tmp_path.rglob("tables/rounds/*.parquet")))
    assert done < 26, "it was killed too late to show anything"
    second = start(tmp_path, file)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    assert_same_tables(tmp_path / "long", uninterrupted, ("rounds", "units", "fates", "trials"))


@pytest.mark.ray
@pytest.mark.slow
def test_killing_an_actor_loses_nothing(tmp_path, file, uninterrupted):
    process = start(tmp_path, file)
    wait_for_rounds(tmp_path, 2, process)
    killed = None
    while killed is None and process.poll() is None:
        for pid in actors(process.pid):
            os.kill(pid, signal.SIGKILL)
            killed = pid
            break
    output, _ = process.communicate(timeout=120)
    assert killed is not None and process.returncode == 0, output
    assert_same_tables(tmp_path / "long", uninterrupted, ("rounds", "units", "fates", "trials"))


@pytest.mark.ray
@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path, file, uninterrupted):
    process = start(tmp_path, file)
    wait_for_rounds(tmp_path, 3, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output and "go on with: impray sweep" in output and "trials done" in output
    second = start(tmp_path, file)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    assert_same_tables(tmp_path / "long", uninterrupted, ("rounds", "units", "fates", "trials"))
