"""What can be seen from this machine alone: versions, the token, whether a local Ray has room to start."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from impray.service.doctor.finding import Finding, ok, warn, wrong
from impray.service.ray.access import with_token
from impray.spec.text import size

CHIEF = ("ray", "torch", "polars", "mlflow")  # told one by one
OPEN_FILES = 4096
RAY_DISK = 0.95  # Ray takes no objects where a disk is fuller
SHM_BYTES = 64 << 20  # what a container has where nobody asked for more is just that
RAY_SOCKET = 107  # bytes: the longest name of a socket in a file system


def versions() -> list[Finding]:
    """Python and packages here against what pyproject.toml asks, and against constraints.txt."""
    import impray

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    told = ", ".join([f"Python {python}", f"impray {impray.__version__}", *(f"{name} {_has(name)}" for name in CHIEF)])
    problems = [wrong("versions", f"Python {python}", "use Python 3.11 or later")] if sys.version_info < (3, 11) else []
    for name, asked in _asked().items():
        has = _has(name)
        if has == "none" or not _fits(asked, has):
            right = f"pip install '{name}{asked}'" if asked else f"pip install {name}"
            problems.append(wrong("versions", f"{name} {has}; {asked or 'any'} is asked for", right))
    others = [f"{name} {_has(name)} for {pin}" for name, pin in _pinned().items() if _has(name) not in (pin, "none")]
    if others:
        right = "pip install -r constraints.txt, for the versions that the tests ran with"
        problems.append(warn("versions", ", ".join(others), right))
    return [ok("versions", told), *problems]


def _has(name: str) -> str:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return "none"


def _asked() -> dict[str, str]:
    """Package -> range, of what impray needs: from its checkout, else from what was installed."""
    file = _checkout() / "pyproject.toml"
    if file.is_file():
        import tomllib

        lines = tomllib.loads(file.read_text())["project"]["dependencies"]
    else:
        lines = [line for line in requires("impray") or [] if "extra ==" not in line]
    matches = (re.match(r"([\w.-]+)(?:\[[\w, -]+\])?\s*(.*)", line.partition(";")[0].strip()) for line in lines)
    return {match[1]: match[2].strip() for match in matches if match}


def _fits(asked: str, has: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(asked).contains(has, prereleases=True)


def _pinned() -> dict[str, str]:
    file = _checkout() / "constraints.txt"
    lines = file.read_text().splitlines() if file.is_file() else []
    pins = dict(line.split("==") for line in lines if "==" in line)
    return {name: pins[name] for name in CHIEF if name in pins}


def _checkout() -> Path:
    import impray

    return Path(impray.__file__).parent.parent


# -- the token --------------------------------------------------------------------------------------------------------


def token_of() -> tuple[str, Path | None]:
    """The token that Ray's clients here would send ("" for none), and its file if it is in one."""
    if text := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return text, None
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(given).expanduser() if given else Path.home() / ".ray" / "auth_token"
    try:
        return file.read_text().strip(), file
    except OSError:
        return "", file


def token(cluster: bool) -> list[Finding]:
    """Whether the token is on, there, and for its owner's eyes only; never what it is.

    Args:    cluster: whether one is to be joined; a local Ray makes its own token.
    """
    text, file = token_of()
    findings = []
    if not text and cluster:
        value = f"none in {file}" if file else "none"
        findings.append(warn("token", value, "copy the head's ~/.ray/auth_token here, and chmod 600 it"))
    elif not text:
        findings.append(ok("token", "none yet: a local Ray makes one"))
    elif file is None:
        findings.append(ok("token", "in RAY_AUTH_TOKEN"))
    else:
        mode = stat.S_IMODE(file.stat().st_mode)
        value = f"{file} has mode {mode:04o}"
        others = "others on this machine can read it"
        findings.append(
            warn("token", f"{value}: {others}", f"chmod 600 {file}") if mode & 0o077 else ok("token", value)
        )
    return findings


def mode() -> list[Finding]:
    """Whether Ray's own commands, and programs that join a cluster, would send the token."""
    if with_token():
        return [ok("token", "RAY_AUTH_MODE is token")]
    setting = "is not set" if "RAY_AUTH_MODE" not in os.environ else f"is {os.environ['RAY_AUTH_MODE']!r}"
    value = f"RAY_AUTH_MODE {setting}: ray status and ray job send no token (impray does)"
    return [warn("token", value, "export RAY_AUTH_MODE=token, here and before every ray start")]


# -- a local Ray ------------------------------------------------------------------------------------------------------


def limits() -> list[Finding]:
    """Open files, and the folder where Ray keeps its sockets."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = "no limit" if hard == resource.RLIM_INFINITY else str(hard)
    few = hard != resource.RLIM_INFINITY and hard < OPEN_FILES
    mend = f"ulimit -Hn {OPEN_FILES}, or a higher nofile in /etc/security/limits.conf"
    return [warn("open files", f"at most {most}: many actors need more", mend) if few else ok("open files", most)]


def room() -> list[Finding]:
    """Whether a local Ray can keep its files and objects: its folder, and shared memory."""
    folder = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray"
    findings = []
    longest = len(os.fsencode(f"{folder}/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"))
    if longest > RAY_SOCKET:
        findings.append(
            wrong("local Ray", f"{folder}: too long a path for its sockets", "set RAY_TMPDIR to a shorter one")
        )
    there = os.statvfs(next(path for path in (folder, *folder.parents) if path.is_dir()))
    free, full = there.f_bavail * there.f_frsize, 1 - there.f_bavail / max(1, there.f_blocks)
    if full > RAY_DISK:
        value = (
            f"{folder}: {100 * full:.0f} % full, {size(free)} free; Ray refuses objects above {100 * RAY_DISK:.0f} %"
        )
        findings.append(warn("local Ray", value, "free some space, or set RAY_TMPDIR to a folder on another disk"))
    shm = Path("/dev/shm")
    if not shm.is_dir() or not os.access(shm, os.W_OK):
        findings.append(warn("local Ray", "no /dev/shm: objects go to disk, slowly", "in a container: --shm-size=1g"))
    else:
        here = os.statvfs(shm)
        count = here.f_blocks * here.f_frsize
        if count <= SHM_BYTES:
            value = f"/dev/shm holds {size(count)}; objects that do not fit go to disk, slowly"
            findings.append(warn("local Ray", value, "in a container: --shm-size=1g"))
    return findings or [ok("local Ray", f"{folder} has {size(free)} free")]


def recorded() -> list[Finding]:
    """Whether a cluster is recorded on this machine that nobody answers for: `--address auto` and `ray status` would go there."""
    file = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
    try:
        address = file.read_text().strip()
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=3):
            return [ok("recorded cluster", f"{address} answers")]
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        value = f"{file} names a cluster that does not answer"
        return [warn("recorded cluster", value, f"rm {file}; a local sweep does not read it, --address auto does")]
