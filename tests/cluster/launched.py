"""The shipped cluster file on hosts: its marked lines replaced, and the machines such that its commands run without the internet."""

from __future__ import annotations

import re
import shlex
import site
import sys
import time
from pathlib import Path

from cluster.hosts import CHECKOUT, HOME, CommandFailed, Host, Network

FILE = f"{HOME}/cluster.local.yaml"
WORKERS = ("one", "two")
# pip finds every package in the shared environment and has nothing to fetch; the project itself it installs for real.
# (This option is read the wrong way round: "false" turns isolation off.)
PIP = "[global]\nno-index = true\nroot-user-action = ignore\n[install]\nno-build-isolation = false\n"
SCRIPT = "#!{home}/venv/bin/python\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n"
SCRIPTS = {"ray": ("ray.scripts.scripts", "main"), "mlflow": ("mlflow.cli", "cli")}
ALIVE = (
    "import os, ray; ray.init('auto', log_to_driver=False, logging_level='ERROR'); "
    "print('nodes:', *sorted(n['NodeManagerAddress'] for n in ray.nodes() if n['Alive']))"
)


def marked(net: Network, store: str) -> str:
    """The shipped file for these hosts. Only lines that it marks with a number are another."""
    values = {
        "1": f"  head_ip: {net['head'].address}",
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


def prepare(host: Host, environment: dict[str, str]) -> None:
    """A machine on which `python3.11 -m venv ~/venv` and `pip install` have nothing left to download.

    `environment`: what every login on it has, as a machine with a role in a cloud has its credentials.
    """
    packages = next(path for path in site.getsitepackages() if path.endswith("site-packages"))
    venv = f"{HOME}/venv"
    host.run(f"{Path(sys.base_prefix)}/bin/python3.11 -m venv --without-pip {venv}")
    # Packages only: what a .pth file of the shared environment would start, such as another checkout of the project, stays out.
    write(host, f"{venv}/lib/python3.11/site-packages/shared.pth", f"{packages}\n")
    for script, (module, name) in SCRIPTS.items():
        write(host, f"{venv}/bin/{script}", SCRIPT.format(home=HOME, module=module, name=name), "755")
    write(host, f"{HOME}/.bashrc", "")
    write(host, "/etc/pip.conf", PIP)
    write(host, "/etc/profile.d/store.sh", "".join(f"export {k}={shlex.quote(v)}\n" for k, v in environment.items()))


def prepare_laptop(host: Host, environment: dict[str, str]) -> None:
    """As a newcomer's after `make install`, activation, and the token."""
    prepare(host, environment)
    write(host, f"{HOME}/venv/lib/python3.11/site-packages/checkout.pth", f"{CHECKOUT}\n")
    write(host, f"{HOME}/venv/bin/impray", SCRIPT.format(home=HOME, module="impray.cli", name="main"), "755")
    write(host, f"{HOME}/.bashrc", f"export PATH={HOME}/venv/bin:$PATH RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0\n")
    host.run("ray get-auth-token --generate > /dev/null && chmod 600 ~/.ray/auth_token")


def write(host: Host, path: str, text: str, mode: str = "644") -> None:
    host.run(f"printf %s {shlex.quote(text)} > {path} && chmod {mode} {path}")


def nodes(net: Network) -> list[str]:
    """Addresses of the nodes that Ray has, asked on the head."""
    said = net["head"].run(f"python -c {shlex.quote(ALIVE)}")
    return next(line for line in said.splitlines() if line.startswith("nodes:")).split()[1:]


def wait_for_nodes(net: Network, count: int, patience_s: float = 180) -> None:
    end = time.monotonic() + patience_s
    while True:
        try:
            found = nodes(net)
        except CommandFailed as error:
            found = [str(error)[-300:]]
        if len(found) == count:
            return
        assert time.monotonic() < end, f"{count} nodes expected, found {found}\n{monitor(net)}"
        time.sleep(1)


def monitor(net: Network) -> str:
    """What the head's autoscaler said last, for a test that fails."""
    return net["head"].run("tail -n 60 /tmp/ray/session_latest/logs/monitor.* 2>/dev/null || true")


def laptop(net: Network, line: str, **kwargs) -> str:
    """Run a command line in the checkout on the laptop."""
    return net["laptop"].run(f"cd {CHECKOUT} && {line}", **kwargs)
