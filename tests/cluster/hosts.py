"""Hosts on a private wire, each with its own network, processes, name, disk, home and ssh server. Needs root.

    with network(["head", "one", "two"], laptop="laptop") as net:
        net["laptop"].run("ssh head hostname")
        net["one"].kill()          # a power cut; .start() brings it back with its disk
        net["two"].cut()           # its cable; .mend()

The file system is the real one, copied on write: a host sees the checkout and the virtual environment at their real places, and
nothing that it writes is seen by anybody but itself. `/shared` alone is the same folder on all hosts. Everything ends with the
`with`, and with this process if that is killed; what a killed one leaves under /run/netns is removed by the next.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "impray-"
NET = "10.77.0"
BRIDGE = f"{NET}.1"
NETNS = Path("/run/netns")
CHECKOUT = Path(__file__).parents[2]
HOME = "/root"
SHARED = "/shared"
PROGRAMS = ("ip", "unshare", "nsenter", "mount", "umount", "pivot_root", "ssh", "ssh-keygen", "rsync")
SSHD = """Port 22
HostKey /etc/impray-ssh/host_key
AuthorizedKeysFile /etc/impray-ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PidFile none
MaxStartups 100
LogLevel ERROR
"""


def missing() -> list[str]:
    """What this machine lacks for hosts; empty where they can be made."""
    lacks = [] if os.geteuid() == 0 else ["root"]
    lacks += [name for name in PROGRAMS if shutil.which(name) is None]
    lacks += [] if Path("/usr/sbin/sshd").exists() else ["sshd"]
    if "overlay" not in Path("/proc/filesystems").read_text():
        lacks.append("the file system overlay")
    if (
        not lacks
        and subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode
    ):
        lacks.append("the right to make namespaces")
    return lacks


def call(*words: str, **kwargs) -> str:
    """Run a command of the real machine; returns what it printed."""
    done = subprocess.run(words, capture_output=True, text=True, **kwargs)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class CommandFailed(Exception):
    """A command on a host that did not end with 0; its text is what the command printed."""


@dataclass
class Host:
    net: Network
    name: str
    address: str
    cpus: int
    process: subprocess.Popen | None = None
    pid: int = 0  # of its process 1, as the real machine counts

    @property
    def netns(self) -> str:
        return f"{self.net.label}-{self.name}"

    @property
    def root(self) -> Path:
        """Its file system, seen from the real machine; while it is up."""
        return Path(f"/proc/{self.pid}/root")

    # -- power -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Switch it on; returns when its ssh server is started."""
        assert self.process is None, f"{self.name} is on"
        self.mend()
        disk = self.net.disks / self.name
        call("nsenter", f"--mount=/proc/{self.net.holder.pid}/ns/mnt", "mkdir", "-p", str(disk))
        asked = {
            "disk": str(disk),
            "shared": str(self.net.disks / "shared"),
            "name": self.name,
            "address": self.address,
            "hosts": self.net.names(),
            "home": HOME,
            "show": _shown(),
            "python": str(Path(sys.base_prefix) / "bin"),
            "cpus": self.cpus,
        }
        command = ["nsenter", f"--mount=/proc/{self.net.holder.pid}/ns/mnt", f"--net={NETNS / self.netns}"]
        command += ["unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child"]
        command += [sys.executable, "-P", str(Path(__file__).with_name("inside.py")), json.dumps(asked)]
        with (self.net.seen / f"{self.name}.console").open("a") as console:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=console, text=True
            )
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            console = (self.net.seen / f"{self.name}.console").read_text()
            raise RuntimeError(f"{self.name} did not start:\n{console}")
        self.pid = int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def kill(self) -> None:
        """A power cut: the cable first, so that no process says good-bye."""
        self.cut()
        self.off()

    def off(self) -> None:
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process = None

    def cut(self) -> None:
        """Pull its cable."""
        call("ip", "-n", self.net.wire, "link", "set", self.name, "down")

    def mend(self) -> None:
        call("ip", "-n", self.net.wire, "link", "set", self.name, "up")

    # -- work --------------------------------------------------------------------------------------------------------

    def command(self, line: str, environment: dict[str, str] | None = None) -> list[str]:
        """What runs a command line of bash in it, in its home, as a login would."""
        words = ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root"]
        words += ["env", f"--chdir={HOME}", "-i", f"HOME={HOME}", "USER=root", "LANG=C.UTF-8", "TERM=dumb"]
        words += [f"{name}={value}" for name, value in (environment or {}).items()]
        return [*words, "bash", "--login", "-c", f"[ -f ~/.bashrc ] && . ~/.bashrc; {line}"]

    def run(self, line: str, *, timeout_s: float = 60, environment: dict[str, str] | None = None) -> str:
        """Run a command line; returns what it printed.

        Raises:  CommandFailed: it ended with something else than 0. TimeoutExpired: it is ended then.
        """
        done = subprocess.run(
            self.command(line, environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
        if done.returncode:
            raise CommandFailed(f"{self.name}$ {line}\nended with {done.returncode}\n{done.stdout}")
        return done.stdout

    @contextmanager
    def running(self, line: str, log: Path, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen]:
        """A command line that runs while the `with` does; what it prints goes to a file of the real machine."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.command(line, environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with suppress(
                ProcessLookupError
            ):  # nsenter's child would outlive it: the group is bash and what bash started
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)

    def processes(self) -> list[str]:
        """Command lines of all that runs in it."""
        return [
            line
            for line in self.run("ps -eo args --no-headers").splitlines()
            if not line.startswith(("ps -eo", "bash --login -c"))
        ]


@dataclass
class Network:
    """A bridge in a network namespace of its own, so that the real machine has no part in it."""

    label: str
    disks: Path
    holder: subprocess.Popen
    hosts: dict[str, Host] = field(default_factory=dict)

    @property
    def wire(self) -> str:
        return f"{self.label}-wire"

    @property
    def on_wire(self) -> list[str]:
        """Words before a command that is to run at the bridge's address, with the real file system."""
        return ["ip", "netns", "exec", self.wire]

    @property
    def seen(self) -> Path:
        """The folder of all disks, seen from the real machine."""
        return Path(f"/proc/{self.holder.pid}/root{self.disks}")

    @property
    def shared(self) -> Path:
        """The hosts' /shared, seen from the real machine."""
        return self.seen / "shared"

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def names(self) -> str:
        lines = ["127.0.0.1 localhost", *(f"{host.address} {host.name}" for host in self.hosts.values())]
        return "\n".join(lines) + "\n"

    def add(self, name: str, cpus: int) -> Host:
        """Plug a host in; it is off."""
        host = Host(self, name, f"{NET}.{len(self.hosts) + 10}", cpus)
        self.hosts[name] = host
        call("ip", "netns", "add", host.netns)
        call("ip", "-n", self.wire, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", host.netns)
        call("ip", "-n", self.wire, "link", "set", name, "master", "bridge", "up")
        for words in (
            f"address add {host.address}/24 dev eth0",
            "link set lo up",
            "link set eth0 up",
            f"route add default via {BRIDGE}",  # without one Ray takes 127.0.0.1 for its address
        ):
            call("ip", "-n", host.netns, *words.split())
        return host


def _shown() -> list[str]:
    """What a host must see although /tmp, homes and so on are its own: the checkout and Python."""
    return list(
        dict.fromkeys(str(path) for path in (CHECKOUT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()))
    )


def _label() -> str:
    """Names carry this process, and when it started: numbers of processes come again."""
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    return f"{PREFIX}{os.getpid()}-{started}"


def remove_stale() -> None:
    """Remove what runs that were killed have left."""
    for path in NETNS.glob(f"{PREFIX}*-*-*") if NETNS.exists() else ():
        pid, started = path.name.removeprefix(PREFIX).split("-")[:2]
        stat = Path(f"/proc/{pid}/stat")
        alive = stat.exists() and stat.read_text().rpartition(")")[2].split()[19] == started
        if not alive:
            call("ip", "netns", "delete", path.name)
    for folder in Path("/tmp").glob(f"{PREFIX}disks-*"):
        if not Path(f"/proc/{folder.name.rpartition('-')[2]}").exists():
            with suppress(OSError):
                folder.rmdir()  # a mount point; what was mounted is gone with its namespace


@contextmanager
def network(names: Sequence[str], laptop: str = "laptop", cpus: int = 1) -> Iterator[Network]:
    """Hosts by name, and one more; all switched on. Each reaches each other as root over ssh with the laptop's key."""
    remove_stale()
    label, disks = _label(), Path(f"/tmp/{PREFIX}disks-{os.getpid()}")
    disks.mkdir(mode=0o700, exist_ok=True)
    # Disks are in memory, in a mount namespace that this process holds: the real machine never sees them.
    held = f"mount -t tmpfs -o mode=755 disks {disks} && mkdir -m 1777 {disks}/shared && echo ready && exec cat"
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    net = Network(label, disks, holder)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "ready\n", "no mount namespace"
        call("ip", "netns", "add", net.wire)
        call("ip", "-n", net.wire, "link", "add", "bridge", "type", "bridge")
        call("ip", "-n", net.wire, "address", "add", f"{BRIDGE}/24", "dev", "bridge")
        call("ip", "-n", net.wire, "link", "set", "lo", "up")
        call("ip", "-n", net.wire, "link", "set", "bridge", "up")
        for name in (*names, laptop):
            net.add(name, cpus)
        _keys(net)
        for host in net.hosts.values():
            host.start()
        _answering(net[laptop], names)
        yield net
    finally:
        for host in net.hosts.values():
            host.off()
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.close()
        holder.wait(timeout=10)
        holder.stdout.close()
        for path in NETNS.glob(f"{label}-*"):
            call("ip", "netns", "delete", path.name)
        disks.rmdir()


def _keys(net: Network) -> None:
    """Keys made for this run, on disks that go with it: one per host, and the laptop's own."""
    seen = net.seen
    new = seen / "new"
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", str(new))
    for host in net.hosts.values():
        ssh = seen / host.name / "upper/etc/impray-ssh"
        ssh.mkdir(parents=True)
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", str(ssh / "host_key"))
        (ssh / "sshd_config").write_text(SSHD)
        shutil.copy(new.with_suffix(".pub"), ssh / "authorized_keys")
    laptop = list(net.hosts.values())[-1]
    own = seen / laptop.name / "own" / HOME.strip("/") / ".ssh"
    own.mkdir(parents=True, mode=0o700)
    new.rename(own / "id_ed25519")
    new.with_suffix(".pub").rename(own / "id_ed25519.pub")
    known = [
        f"{host.name},{host.address} {(seen / host.name / 'upper/etc/impray-ssh/host_key.pub').read_text()}"
        for host in net.hosts.values()
    ]
    (own / "known_hosts").write_text("".join(known))


def _answering(laptop: Host, names: Sequence[str], patience_s: float = 20) -> None:
    """Wait until every ssh server takes a login."""
    end = time.monotonic() + patience_s
    for name in names:
        while True:
            try:
                said = laptop.run(f"ssh -o BatchMode=yes -o ConnectTimeout=5 {name} hostname")
                assert said.strip() == name, said
                break
            except CommandFailed:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)


if __name__ == "__main__":  # for .ci/run: what is missing, one a line
    print("\n".join(missing()))
