"""`ray up` with the shipped file, a sweep over three hosts of which one dies, `ray down`: as one does it, from a laptop.

The tests are one story and run in the order in which they stand here.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from conftest import assert_same_tables
from s3 import BUCKET, faulty, served

from cluster import hosts, launched
from cluster.launched import FILE, HEAD, INQUIRE, LAPTOP, WORKERS, Cluster, last, wait_for
from impray.results.tables import scan

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(hosts.missing()), reason=f"no hosts on this machine: {', '.join(hosts.missing())} missing"),
]
SWEEP = "tests/cluster/three_hosts.yaml"
ROUNDS = 5
SMALL = ("--set", "seeds=1", "--set", "rounds=3")
TABLES = ("rounds", "units", "fates", "masks")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    logs = tmp_path_factory.mktemp("three_hosts")
    with (
        hosts.network([HEAD, *WORKERS], LAPTOP) as net,
        served(hosts.BRIDGE, within=net.on_wire) as server,
        faulty(server, hosts.BRIDGE, within=net.on_wire) as proxy,
    ):
        cluster = Cluster(net, proxy, logs)
        launched.prepare(net, proxy.environment)
        yield cluster
        (logs / "timings.json").write_text(json.dumps(cluster.seconds, indent=2))


@pytest.fixture(autouse=True)
def told(cluster, capsys):
    """Timings are printed, and kept in a file: they are what an operator asks first."""
    before = dict(cluster.seconds)
    yield
    new = {part: seconds for part, seconds in cluster.seconds.items() if part not in before}
    with capsys.disabled():
        print("".join(f"\n  {part}: {seconds:g} s" for part, seconds in new.items()), flush=True)


@pytest.fixture(scope="module")
def alone(cluster):
    """The same sweeps by one process on one machine, in folders; they run beside the rest. `alone(name)` waits for one."""
    home = cluster.net[LAPTOP].root / hosts.HOME.strip("/")
    lines = [f"cd {hosts.CHECKOUT}"]
    for name, words in (("large", ()), ("small", SMALL)):
        command = ["impray", "sweep", SWEEP, "--where", "here", "--mlflow", "off", *words]
        lines.append(f"{shlex.join(command)} --out ~/{name} && touch ~/{name}.done")
    with cluster.running(LAPTOP, " && ".join(lines), "alone.log") as (process, _):

        def folder(name: str) -> Path:
            done = home / f"{name}.done"
            wait_for(f"one machine's sweep {name}", done.exists, 300, None if done.exists() else process)
            return home / name / "three_hosts"

        yield folder


def test_ray_up_brings_every_host_in(cluster, alone):
    with cluster.timed("all nodes in, from the start of ray up"):
        with cluster.timed("ray up"):
            (cluster.logs / "up.log").write_text(cluster.laptop(f"ray up -y {FILE}", timeout_s=300))
        with cluster.running(HEAD, f"python {INQUIRE} nodes", "nodes.log") as (process, log):
            wait_for("three nodes", lambda: len(last(log).get("alive", ())) == 3, 240, process)
    wanted = sorted(cluster.net[name].address for name in (HEAD, *WORKERS))
    assert last(log)["alive"] == wanted


def inner(name: str, *words: str) -> list[str]:
    """The command that runs the sweep on the cluster, typed on one of its hosts; its results in the bucket."""
    return ["impray", "sweep", SWEEP, "--address", "auto", "--out", f"s3://{BUCKET}/{name}", "--mlflow", "off", *words]


def sweep(name: str, *words: str) -> str:
    """The command line that runs the sweep on the head, typed on the laptop."""
    return f"cd {hosts.CHECKOUT} && ray exec {FILE} {shlex.quote('cd ~/impray && ' + shlex.join(inner(name, *words)))}"


def through_tunnel(name: str, *words: str) -> str:
    """The command line that sends the sweep to the head as a job, typed on the laptop; the dashboard is reached through ssh only."""
    command = ["impray", "sweep", SWEEP, "--address", "http://127.0.0.1:8265", "--out", f"s3://{BUCKET}/{name}"]
    tunnel = f"ssh -N -o BatchMode=yes -o ExitOnForwardFailure=yes -L 127.0.0.1:8265:127.0.0.1:8265 {HEAD}"
    return f"cd {hosts.CHECKOUT} && {{ {tunnel} & sleep 1; {shlex.join([*command, '--mlflow', 'off', *words])}; }}"


def ended_well(process: subprocess.Popen, log: Path, timeout_s: float) -> None:
    try:
        code = process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        code = "none: it did not end"
    assert code == 0, f"{code}\n{log.read_text(errors='replace')[-4000:]}"


def test_a_host_that_dies_in_the_middle_changes_no_number(cluster, alone):
    place = f"s3://{BUCKET}/killed/three_hosts"
    with (
        cluster.timed("sweep, one host killed"),
        cluster.running(LAPTOP, through_tunnel("killed"), "killed.log") as (driver, log),
        cluster.running(HEAD, f"python {INQUIRE} nodes", "nodes-killed.log") as (_, nodes),
        cluster.running(HEAD, f"python {INQUIRE} rows {place} {ROUNDS}", "rows.log") as (_, rows),
    ):
        # Several have written, and one of the workers is in the middle of a pack. (The third may still start its actor.)
        def in_the_middle() -> str:
            seen = last(rows).get("hosts", {})
            busy = [name for name in WORKERS if seen.get(name, [0, 0])[1] > 0]
            return busy[0] if busy and len(seen) >= 2 else ""

        victim = cluster.net[wait_for("rows of several hosts", in_the_middle, 150, driver)]
        victim.kill()
        killed = time.time()
        wait_for("Ray notices", lambda: len(last(nodes)["alive"]) == 2, 120)
        cluster.seconds["kill -> noticed by Ray"] = round(last(nodes)["at"] - killed, 1)
        ended_well(driver, log, 300)
    found = cluster.mirrored(place, "killed")
    assert_same_tables(found, alone("large"), TABLES)
    written = scan("rounds", found).select("lineage", "round", "host", "written_at").collect()
    begun = written.filter(pl.col("host") == victim.name)
    at = pl.from_epoch(pl.lit(int(killed * 1e6)), time_unit="us").dt.replace_time_zone("UTC")
    assert begun.filter(pl.col("written_at").cast(pl.Datetime("us", "UTC")) > at).is_empty()
    others = written.filter(pl.col("host") != victim.name).join(begun.select("lineage").unique(), on="lineage")
    assert others.height > 0, "the victim died between two packs"
    first = others["written_at"].cast(pl.Datetime("us", "UTC")).min()
    cluster.seconds["kill -> first row of its pack by another host"] = round(first.timestamp() - killed, 1)


def test_a_host_that_comes_back_joins_again(cluster):
    """Nobody types anything: the head's autoscaler has waited for its ssh server."""
    victim = next(cluster.net[name] for name in WORKERS if cluster.net[name].process is None)
    victim.start()
    with (
        cluster.timed("power back -> node in again"),
        cluster.running(HEAD, f"python {INQUIRE} nodes", "nodes-again.log") as (process, log),
    ):
        wait_for("three nodes", lambda: len(last(log).get("alive", ())) == 3, 180, process)


def test_results_are_seen_from_the_laptop(cluster):
    place = f"s3://{BUCKET}/killed/three_hosts"
    assert "18" in cluster.laptop(f"impray status {place}")
    assert json.loads(cluster.laptop(f"impray top {place} --json"))


def under_way(rows: Path) -> bool:
    """Some packs are done and most are not. (Where packs are shorter than an actor's start, one host may do them all.)"""
    return sum(count for count, _ in last(rows).get("hosts", {}).values()) >= 15


def test_a_driver_that_is_killed_is_taken_over_from_another_host(cluster, alone):
    place, other = f"s3://{BUCKET}/driver/three_hosts", WORKERS[1]
    command = sweep("driver", *SMALL)
    # On the other host as on the head: `ray exec` goes to the head only.
    there = f"cd ~/impray && {shlex.join(inner('driver', *SMALL))}"
    with cluster.running(HEAD, f"python {INQUIRE} rows {place} 3", "rows-driver.log") as (_, rows):
        with cluster.running(LAPTOP, command, "driver.log") as (driver, _):
            wait_for("a few rows", lambda: under_way(rows), 120, driver)
            with pytest.raises(hosts.CommandFailed, match="ended with 2"):
                cluster.net[other].run(there)  # two at once: the second is told who works there
            epoch = last(rows)["epoch"]
            pids = (
                cluster.net[HEAD]
                .run("ps -eo pid,args --no-headers | grep 'venv/bin/[i]mpray sweep' | cut -c1-8")
                .split()
            )
            assert pids
            cluster.net[HEAD].run(f"kill -9 {' '.join(pids)}")
            killed = time.time()
        with cluster.running(other, there, "driver-again.log") as (again, log):
            wait_for("another driver holds the lease", lambda: last(rows)["epoch"] > epoch, 60, again)
            cluster.seconds["driver killed -> sweep taken over from another host"] = round(last(rows)["at"] - killed, 1)
            ended_well(again, log, 300)
    assert_same_tables(cluster.mirrored(place, "driver"), alone("small"), TABLES)


def test_a_store_that_stumbles_changes_no_number(cluster, alone):
    place = f"s3://{BUCKET}/faults/three_hosts"
    with (
        cluster.timed("sweep, store with faults"),
        cluster.running(HEAD, f"python {INQUIRE} rows {place} 3", "rows-faults.log") as (_, rows),
        cluster.running(LAPTOP, sweep("faults", *SMALL), "faults.log") as (driver, log),
    ):
        wait_for("a few rows", lambda: under_way(rows), 120, driver)
        cluster.s3.set(refuse=True)
        time.sleep(5)
        cluster.s3.set(unavailable=0.05, cut_put=0.05, lost_answer=0.05, cut_answer=0.02, hang=0.01, hang_s=3)
        ended_well(driver, log, 400)
        cluster.s3.set()
    happened = cluster.s3.happened()
    assert {"unavailable", "cut_put", "lost_answer", "cut_answer"} <= set(happened), happened
    assert_same_tables(cluster.mirrored(place, "faults"), alone("small"), TABLES)


def test_ray_down_leaves_nothing(cluster):
    cluster.laptop(f"ray exec {FILE} 'pkill -f [m]lflow.server'")  # as docs/cluster.md says: MLflow may stay
    with cluster.timed("ray down"):
        cluster.laptop(f"ray down -y {FILE}")
    for name in (HEAD, *WORKERS):
        with cluster.timed(f"ray down -> nothing left on {name}"):
            wait_for(f"nothing left on {name}", lambda name=name: not left(cluster, name), 120)


def left(cluster: Cluster, name: str) -> list[str]:
    """What runs on a host beside its process 1 and its ssh server."""
    return [line for line in cluster.net[name].processes()[1:] if not line.startswith("sshd: ")]
