"""Hosts are alone with what is theirs, die as machines do, and leave nothing on the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster import hosts

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(hosts.missing()), reason=f"no hosts on this machine: {', '.join(hosts.missing())} missing"),
]


@pytest.fixture(scope="module")
def net():
    with hosts.network(["one", "two"]) as net:
        yield net


def ssh(net: hosts.Network, name: str, command: str) -> str:
    return net["laptop"].run(f"ssh -o BatchMode=yes -o ConnectTimeout=2 {name} {command}").strip()


def test_what_a_host_writes_is_seen_by_no_other_and_not_by_the_real_machine(net):
    for folder in ("/tmp", hosts.HOME, "/etc", "/opt"):
        path = f"{folder}/written-{os.getpid()}"
        net["one"].run(f"echo x > {path}")
        assert not Path(path).exists()
        with pytest.raises(hosts.CommandFailed):
            net["two"].run(f"test -e {path}")
    net["one"].run("echo x > /shared/for-all")
    assert net["two"].run("cat /shared/for-all") == "x\n" == (net.shared / "for-all").read_text()


def test_a_host_has_its_own_name_processes_and_address(net):
    assert [ssh(net, name, "hostname") for name in ("one", "two")] == ["one", "two"]
    assert len(net["one"].processes()) < 10  # process 1, the ssh server, a login that ends
    assert net["one"].run("ls ~/.ssh 2> /dev/null || echo none") == "none\n"  # nothing of the real home
    with pytest.raises(OSError):
        os.stat(f"/sys/class/net/{net['one'].name}")
    # Nobody but the wire: no way out, and no waiting for one.
    began = time.monotonic()
    assert net["one"].run("getent hosts example.org || echo nobody") == "nobody\n"
    assert time.monotonic() - began < 5


def test_one_cpu_is_what_python_sees(net):
    assert net["one"].run("python3.11 -c 'import os; print(os.cpu_count())'") == "1\n"


def test_a_power_cut_ends_all_processes_and_keeps_the_disk(net):
    net["one"].run("echo kept > ~/kept; setsid --fork sleep 600 > /dev/null 2>&1")
    pid = net["one"].pid
    net["one"].kill()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(hosts.CommandFailed):
        ssh(net, "one", "true")
    net["one"].start()
    assert net["one"].run("cat ~/kept") == "kept\n"
    assert not [line for line in net["one"].processes() if "sleep" in line]


def test_a_cable_is_pulled_and_plugged_in_again(net):
    net["two"].cut()
    with pytest.raises(hosts.CommandFailed):
        ssh(net, "two", "true")
    net["two"].mend()
    assert ssh(net, "two", "hostname") == "two"


KILLED = """
import sys, time
from cluster import hosts
with hosts.network(["one"]) as net:
    print(net.label, net["one"].pid, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_leaves_is_gone_with_the_next():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert process.stdout is not None
    label, pid = process.stdout.readline().split()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():  # hosts end with the process that made them
        assert time.monotonic() < end
        time.sleep(0.05)
    assert list(hosts.NETNS.glob(f"{label}-*"))
    hosts.remove_stale()
    assert not list(hosts.NETNS.glob(f"{label}-*"))
