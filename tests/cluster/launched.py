"""The shipped cluster file on hosts: its marked lines replaced, and the machines such that its commands run without the internet."""

from __future__ import annotations

import json
import re
import shlex
import site
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3 import BUCKET, Proxy

from cluster.hosts import CHECKOUT, HOME, Host, Network

FILE = f"{HOME}/cluster.local.yaml"
HEAD, WORKERS, LAPTOP = "head", ("one", "two"), "laptop"
INQUIRE = f"~/impray/{Path(__file__).with_name('inquire.py').relative_to(CHECKOUT)}"
# pip finds every package in the shared environment and has nothing to fetch; the project itself it installs for real.
# (This option is read the wrong way round: "false" turns isolation off.)
PIP = "[global]\nno-index = true\nroot-user-action = ignore\n[install]\nno-build-isolation = false\n"
SCRIPT = "#!{home}/venv/bin/python\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n"
SCRIPTS = {"ray": ("ray.scripts.scripts", "main"), "mlflow": ("mlflow.cli", "cli")}


@dataclass
class Cluster:
    """Three hosts with Ray, and the laptop that launched them."""

    net: Network
    s3: Proxy
    logs: Path
    seconds: dict[str, float] = field(default_factory=dict)  # what took how long

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[part] = round(time.monotonic() - start, 1)

    def laptop(self, line: str, timeout_s: float = 120) -> str:
        """Run a command line in the checkout on the laptop."""
        return self.net[LAPTOP].run(f"cd {CHECKOUT} && {line}", timeout_s=timeout_s)

    @contextmanager
    def running(self, host: str, line: str, log: str) -> Iterator[tuple[subprocess.Popen, Path]]:
        """A command line that runs while the `with` does; what it prints goes to a file."""
        path = self.logs / log
        with self.net[host].running(line, path) as process:
            yield process, path

    def mirrored(self, uri: str, name: str) -> Path:
        """Everything under a place in the bucket as a folder of this machine."""
        self.net[LAPTOP].run(f"python {CHECKOUT}/tests/cluster/inquire.py mirror {uri} /shared/{name}", timeout_s=120)
        return self.net.shared / name

    def monitor(self) -> str:
        """What the head's autoscaler said last, for a test that fails."""
        return self.net[HEAD].run("tail -n 60 /tmp/ray/session_latest/logs/monitor.* 2>/dev/null || true")


def last(log: Path) -> dict[str, Any]:
    """The last whole line of JSON in a file that is being written; {} before the first."""
    lines = log.read_text(errors="replace").splitlines(keepends=True) if log.exists() else []
    whole = [line for line in lines if line.startswith("{") and line.endswith("}\n")]
    return json.loads(whole[-1]) if whole else {}


def wait_for(what: str, true: Callable[[], Any], patience_s: float, ended: subprocess.Popen | None = None) -> Any:
    """Wait until something is true. `ended`: a process that must not end before."""
    end = time.monotonic() + patience_s
    while not (found := true()):
        if ended is not None and ended.poll() is not None and not true():
            raise AssertionError(f"{what}: ended before, with {ended.returncode}")
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        time.sleep(0.2)
    return found


def marked(net: Network, store: str) -> str:
    """The shipped file for these hosts. Only lines that it marks with a number are another."""
    values = {
        "1": f"  head_ip: {net[HEAD].address}",
        "2": f"  worker_ips: [{', '.join(net[name].address for name in WORKERS)}]",
        "3": "  ssh_user: root",
        "4": "  ssh_private_key: ~/.ssh/id_ed25519",
        "5": f"  - echo export STORE={store} >> ~/.impray_env",
    }
    lines = (CHECKOUT / "cluster.local.yaml").read_text().splitlines()
    seen = []
    for index, line in enumerate(lines):
        found = re.search(r"\S.* # (\d)\.", line)
        if found and not line.lstrip().startswith("#"):
            lines[index] = values[found[1]]
            seen.append(found[1])
    assert seen == sorted(values), f"marked lines of cluster.local.yaml: {seen}"
    return "\n".join(lines) + "\n"


def prepare(net: Network, environment: dict[str, str]) -> None:
    """Machines as they are before anybody types `ray up`.

    `environment`: what every login on them has, as a machine with a role in a cloud has its credentials.
    """
    for host in net.hosts.values():
        _prepare(host, environment)
    laptop = net[LAPTOP]  # a newcomer's after `make install`, activation, and the token
    write(laptop, f"{HOME}/venv/lib/python3.11/site-packages/checkout.pth", f"{CHECKOUT}\n")
    write(laptop, f"{HOME}/venv/bin/impray", SCRIPT.format(home=HOME, module="impray.cli", name="main"), "755")
    write(
        laptop, f"{HOME}/.bashrc", f"export PATH={HOME}/venv/bin:$PATH RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0\n"
    )
    laptop.run("ray get-auth-token --generate > /dev/null && chmod 600 ~/.ray/auth_token")
    write(laptop, FILE, marked(net, f"s3://{BUCKET}"))


def _prepare(host: Host, environment: dict[str, str]) -> None:
    """On it `python3.11 -m venv ~/venv` and `pip install` have nothing left to download."""
    packages = next(path for path in site.getsitepackages() if path.endswith("site-packages"))
    venv = f"{HOME}/venv"
    host.run(f"{sys.base_prefix}/bin/python3.11 -m venv --without-pip {venv}")
    # Packages only: what a .pth file of the shared environment would start, such as another checkout of the project, stays out.
    write(host, f"{venv}/lib/python3.11/site-packages/shared.pth", f"{packages}\n")
    for script, (module, name) in SCRIPTS.items():
        write(host, f"{venv}/bin/{script}", SCRIPT.format(home=HOME, module=module, name=name), "755")
    write(host, f"{HOME}/.bashrc", "")
    write(host, "/etc/pip.conf", PIP)
    write(host, "/etc/profile.d/store.sh", "".join(f"export {k}={shlex.quote(v)}\n" for k, v in environment.items()))


def write(host: Host, path: str, text: str, mode: str = "644") -> None:
    host.run(f"printf %s {shlex.quote(text)} > {path} && chmod {mode} {path}")
