"""Process 1 of a host: its file system, its name, its ssh server; then it reaps, and ends when its standard input does.

Started by `hosts.py` in new PID, mount, UTS and IPC namespaces and in the host's network namespace, with one argument, JSON:
`disk` (a folder that stays when the host dies), `shared` (one that all hosts have), `name`, `address`, `hosts` (the text of
/etc/hosts), `home`, `show` (folders that stay visible although what they lie in is replaced), `python` (the folder of the program
python3.11), `cpus`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

OWN = ("/tmp", "/var/tmp", "/mnt", "/media", "/srv")  # empty on a new host; and its home, which is on its disk, too
SSH = "/etc/impray-ssh"  # put there by hosts.py: keys, authorized_keys, sshd_config


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def see(path: str, root: Path) -> None:
    """Show a folder of the real machine at the same place, read only."""
    target = root / path.lstrip("/")
    target.mkdir(parents=True, exist_ok=True)
    mount("--bind", path, str(target))
    mount("-o", "remount,bind,ro", str(target))


def file_system(asked: dict) -> Path:
    """The real root, copied on write, with everything that one host would learn of another replaced. Returns where it is."""
    disk, root = Path(asked["disk"]), Path(asked["disk"]) / "root"
    for name in ("root", "upper", "work", "own"):
        (disk / name).mkdir(exist_ok=True)
    mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work", "host", str(root))
    for path in (*OWN, asked["home"]):
        own = disk / "own" / path.strip("/").replace("/", "-")
        own.mkdir(exist_ok=True, mode=0o700 if path == asked["home"] else 0o1777)
        own.chmod(0o700 if path == asked["home"] else 0o1777)
        (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        mount("--bind", str(own), str(root / path.lstrip("/")))
    hidden = tuple(f"{path}/" for path in (*OWN, asked["home"]))
    for path in asked["show"]:
        if path.startswith(hidden):
            see(path, root)
    (root / "shared").mkdir(exist_ok=True)
    mount("--bind", asked["shared"], str(root / "shared"))
    mount("-t", "tmpfs", "-o", "mode=755", "run", str(root / "run"))
    (root / "run/sshd").mkdir(mode=0o755)
    mount("--rbind", "/dev", str(root / "dev"))
    mount("-t", "tmpfs", "-o", "mode=1777", "shm", str(root / "dev/shm"))
    mount("-t", "proc", "proc", str(root / "proc"))
    mount("-t", "sysfs", "sysfs", str(root / "sys"))
    # os.cpu_count() is what this file says, and Ray believes it: a host of one CPU runs one pack.
    online = disk / "online"
    online.write_text("0\n" if asked["cpus"] == 1 else f"0-{asked['cpus'] - 1}\n")
    mount("--bind", str(online), str(root / "sys/devices/system/cpu/online"))
    (root / "etc/hosts").write_text(asked["hosts"])
    for name in ("resolv.conf", "hostname"):  # nobody to ask: names that are not in /etc/hosts fail at once
        (root / "etc" / name).unlink(missing_ok=True)
        (root / "etc" / name).write_text(f"{asked['name']}\n" if name == "hostname" else "")
    # A link to it in /usr/local/bin would mislead `python3.11 -m venv`: it takes the link's folder for Python's home.
    (root / "etc/profile.d/python.sh").write_text(f"export PATH={asked['python']}:$PATH\n")
    return root


def enter(root: Path) -> None:
    """The host's file system becomes the only one."""
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "."], check=True)
    subprocess.run(["umount", "--lazy", "."], check=True)
    os.chdir("/")


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)  # and with process 1 the kernel ends all others of its namespace


def main() -> None:
    asked = json.loads(sys.argv[1])
    enter(file_system(asked))
    socket.sethostname(asked["name"])
    os.environ.clear()
    os.environ.update(HOME=asked["home"], PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", f"{SSH}/sshd_config", "-o", f"ListenAddress={asked['address']}"]
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the tests
    print("ready", flush=True)
    threading.Thread(target=end_with_input, daemon=True).start()
    while True:
        os.wait()  # sshd is always one of them, until it dies: then this raises, and the host goes down


if __name__ == "__main__":
    main()
