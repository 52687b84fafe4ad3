"""The warden in small, and on a cluster: nothing that runs and no scratch folder after a minute, and others' processes are let alone."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from service.launched import Launched, alive, sweep, within

from impray.service.ray import warden

MINUTE = 60
# A driver in small: processes with its mark (one deaf to SIGTERM), one without, a scratch folder, then what is asked for.
DRIVER = """
import os, subprocess, sys
from impray.service.ray.warden import Warden
warden = Warden(None)
marked = {**os.environ, **warden.environment}
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
started = [subprocess.Popen([sys.executable, "-c", deaf], env=marked), subprocess.Popen(["sleep", "600"], env=marked)]
started.append(subprocess.Popen(["sleep", "600"]))
(warden.scratch / "x").write_text("x")
if "fork" in sys.argv and not os.fork():
    import time
    time.sleep(600)
print(warden.scratch, warden._process.pid, *(one.pid for one in started), flush=True)
if "goodbye" in sys.argv:
    for one in started[:2]:
        one.kill()
    warden.goodbye()
    warden.goodbye()
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["alone", pytest.param("fork", marks=pytest.mark.slow)])
def test_the_warden_ends_what_is_marked_and_itself(tmp_path, how):
    """fork: a child of the driver holds the warden's pipe open."""
    with Launched((sys.executable, "-c", DRIVER, how), tmp_path) as driver:
        scratch, *ids = driver.process.stdout.readline().split()
        keeper, deaf, marked, other = map(int, ids)
        assert Path(scratch).is_dir() and all(map(alive, (keeper, deaf, marked, other)))
        time.sleep(1)
        assert alive(keeper) and alive(deaf), "nothing ends while the driver lives"
        driver.kill()
        within(MINUTE, lambda: not any(map(alive, (keeper, deaf, marked))))
        assert not Path(scratch).exists() and alive(other)
        forked = [id for id in others(driver) if id != other]
        for id in (other, *forked):
            subprocess.run(["kill", str(id)], check=True)


def others(driver: Launched) -> list[int]:
    """Processes without a mark that stand in this driver's home folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cwd").resolve() == driver.home and alive(int(place.name)):
                found.append(int(place.name))
        except OSError:
            continue
    return found


def test_after_a_goodbye_the_warden_goes(tmp_path):
    with Launched((sys.executable, "-c", DRIVER, "goodbye"), tmp_path) as driver:
        _, keeper, *_, other = driver.process.stdout.readline().split()
        within(MINUTE, lambda: not alive(int(keeper)))
        assert alive(int(other)) and driver.process.poll() is None
        subprocess.run(["kill", other], check=True)


CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
print("address", cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def short() -> Iterator[str]:
    """A folder for a cluster's files: other Rays of this machine look into the usual one. Ray's sockets need a short name."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.mark.ray
@pytest.mark.slow
def test_on_a_cluster_the_actors_of_a_killed_driver_end_and_the_cluster_goes_on(tmp_path, short):
    without = {"RAY_AUTH_MODE": "disabled"}
    mark = {warden.MARK: "a-cluster-of-the-tests", "SPT_NOENV": "1", "RAY_TMPDIR": short}
    with Launched((sys.executable, "-c", CLUSTER), tmp_path, **without, **mark) as cluster:
        address = next(line.split()[1] for line in cluster.process.stdout if line.startswith("address "))
        with sweep(tmp_path / "driver", "--address", address, **without) as driver:
            keeper, scratch = within(MINUTE, driver.warden, driver)
            actors = within(2 * MINUTE, cluster.actors, driver)
            assert scratch.is_dir()
            driver.kill()
            within(MINUTE, lambda: not alive(keeper) and not any(map(alive, actors)))
            assert not scratch.exists() and cluster.process.poll() is None
            assert len(warden.marked(cluster.mark)) > 2, "the cluster's own servers go on"
