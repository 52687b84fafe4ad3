"""What runs on every node for doctor. The class is sent by value, and imports nothing at first that a bare Ray node lacks."""

from __future__ import annotations

import os
import time
from typing import Any

VERSIONS = ("ray", "torch", "numpy", "polars", "mlflow")
TORCH_S = 25.0  # the first import of torch from a cold disk


class Node:
    """An actor on one node, or a plain object for this process."""

    def now(self) -> float:
        """This machine's clock, in seconds."""
        return time.time()

    def facts(self, path: str, cuda: bool) -> dict[str, Any]:
        """What is there: versions, memory, disks, limits; never raises for what is not.

        Args:    path: of data files, "" for none. cuda: whether Ray sees GPUs here.
        """
        return {
            "versions": versions(),
            "memory": memory(),
            "cpus": _cpus(),
            "files": _files(),
            "shm": _free("/dev/shm"),
            "tmp": _free(os.environ.get("RAY_TMPDIR") or "/tmp"),
            "cache": _free(_cache()),
            "data": not path or os.path.exists(os.path.expanduser(path)),
            "gpu": _gpu(cuda),
        }

    def store(self, step: str, *arguments: Any) -> Any:  # noqa: ANN401
        """A step of `impray.service.doctor.storage`, by name."""
        try:
            from impray.service.doctor import storage
        except ImportError as error:
            return {"error": f"impray cannot be imported there ({error})"}
        return getattr(storage, step)(*arguments)


def versions() -> dict[str, str]:
    """Of Python and what matters here; "" for what is not installed."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    version_of = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            version_of[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            version_of[name] = ""
    return version_of | _impray()


def memory() -> dict[str, int]:
    """Bytes in all and free, within the limit of the container if there is one."""
    with open("/proc/meminfo") as file:
        pairs = dict(line.split(":") for line in file)
    total, free = (int(pairs[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        most, now = _number(limit), _number(used)
        if most is not None and now is not None and most < total:
            total, free = most, min(free, max(0, most - now))
    return {"total": total, "free": free}


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


def _files() -> int:
    """Open files that a process may have; Ray raises the soft limit to the hard one."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 2**31


def _gpu(cuda: bool) -> dict[str, Any]:
    """What torch sees, in a process of its own: Ray hides GPUs from those that asked for none. Empty where there can be none."""
    import subprocess
    import sys

    driver = _driver()
    if not cuda and not driver:
        return {}
    code = (
        "import json, warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import torch\n"
        "    gpus = {'count': torch.cuda.device_count() if torch.cuda.is_available() else 0, 'cuda': torch.version.cuda or ''}\n"
        "    gpus['memory'] = [torch.cuda.get_device_properties(i).total_memory for i in range(gpus['count'])]\n"
        "    try:\n"
        "        for i in range(gpus['count']): torch.ones(2, device=f'cuda:{i}').sum().item()\n"
        "        gpus['error'] = ''\n"
        "    except Exception as error: gpus['error'] = str(error).splitlines()[0][:200]\n"
        "gpus['error'] = gpus['error'] or (str(caught[-1].message).splitlines()[0][:200] if caught else '')\n"
        "print(json.dumps(gpus))"
    )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    env = {name: value for name, value in os.environ.items() if not (hidden and name == "CUDA_VISIBLE_DEVICES")}
    try:
        told = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=TORCH_S, check=True
        )
        import json

        gpus = json.loads(told.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        gpus = {"count": 0, "cuda": "", "memory": [], "error": f"torch cannot be asked ({type(error).__name__})"}
    return {**gpus, "driver": driver}


def _impray() -> dict[str, str]:
    """Its version, and a hash of its files: a checkout may be changed and keep its version."""
    import hashlib

    try:
        import impray
    except ImportError:
        return {"impray": "", "files": ""}
    folder, digest = os.path.dirname(impray.__file__ or ""), hashlib.blake2b(digest_size=6)
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                with open(os.path.join(place, name), "rb") as file:
                    digest.update(file.read())
    return {"impray": impray.__version__, "files": digest.hexdigest()}


def _free(place: str) -> dict[str, Any]:
    """Bytes in all and free of the disk that a place is on, or would be; and where the nearest folder is that exists."""
    place = os.path.abspath(os.path.expanduser(place))
    while not os.path.isdir(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    try:
        disk = os.statvfs(place)
    except OSError:
        return {"total": 0, "free": 0, "at": place}
    return {"total": disk.f_blocks * disk.f_frsize, "free": disk.f_bavail * disk.f_frsize, "at": place}


def _cache() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("IMPRAY_CACHE") or os.path.join(home, "impray")


def _number(place: str) -> int | None:
    try:
        with open(place) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _driver() -> str:
    """The version of NVIDIA's driver; "" where there is none."""
    import re

    try:
        with open("/proc/driver/nvidia/version") as file:
            match = re.search(r"Kernel Module\D*([\d.]+)", file.read())
    except OSError:
        return ""
    return match[1] if match else "unknown"
