"""What every node told, against this machine and against what the sweep needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from impray.service.doctor import here
from impray.service.doctor.finding import Finding, alike, ok, warn, wrong
from impray.service.doctor.needs import HEAD_BYTES, NODE_BYTES, Needs
from impray.spec.text import size

SKEW_S, MUCH_SKEW_S = 1.0, 30.0  # S3 refuses signatures that are off by minutes


def judged(resources: Mapping[str, Any], facts: Mapping[str, Any], needed: Needs | None) -> Iterator[Finding]:
    """Findings about nodes.

    Args:    resources: what Ray counts, by node. facts: what `impray.service.ray.nodes` told, by node. needed: by the sweep, if one
             was named.
    """
    for name, answer in facts.items():
        if "error" in answer:
            mend = "see the log of its raylet, or end that node"
            yield wrong("nodes", f"node {name}: {answer['error']}", mend)
    told = {name: answer for name, answer in facts.items() if "error" not in answer}
    yield from _versions(told)
    yield from _clocks({name: answer["ahead_s"] for name, answer in told.items()})
    yield from _gpus(resources, told)
    yield from _limits(resources, told)
    if needed is not None:
        yield from _against(resources, told, needed)


def _versions(told: Mapping[str, Any]) -> Iterator[Finding]:
    from impray.service.ray.nodes import versions

    mine = versions()
    same = True
    for which, pairs in alike({name: tuple(answer["versions"].items()) for name, answer in told.items()}):
        theirs: dict[str, str] = dict(pairs)
        other = {name: theirs.get(name, "") for name, version in mine.items() if theirs.get(name, "") != version}
        same = same and not other
        if "impray" in other or "files" in other:
            other.pop("files" if "impray" in other else "", None)
        grave = [
            name
            for name in other
            if name in ("ray", "impray") or (name == "python" and _minor(other[name]) != _minor(mine[name]))
        ]
        for names, report in ((grave, wrong), ([name for name in other if name not in grave], warn)):
            if names:
                value = ", ".join(_difference(name, other[name], mine[name]) for name in names)
                yield report("versions", f"{which}: {value}", _version_mend(names))
    if told and same:
        yield ok("versions", f"the same on {len(told)} {'node' if len(told) == 1 else 'nodes'} as here")


def _difference(name: str, theirs: str, mine: str) -> str:
    if name == "files":
        return f"files of impray differ ({theirs}, here {mine})"
    return f"{name} {theirs or 'is not installed'} (here {mine or 'none'})"


def _version_mend(names: list[str]) -> str:
    if "files" in names or "impray" in names:
        return "install this checkout there: ray up copies it (file_mounts), or pip install it on each node"
    return "pip install -r constraints.txt on each node, and here"


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _clocks(ahead: Mapping[str, float]) -> Iterator[Finding]:
    off = {name: seconds for name, seconds in ahead.items() if abs(seconds) > SKEW_S}
    for name, seconds in off.items():
        value = f"node {name} is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine"
        mend = "turn on time synchronisation there: timedatectl set-ntp true, or chronyd"
        yield wrong("clock", value, mend) if abs(seconds) > MUCH_SKEW_S else warn("clock", value, mend)
    if ahead and not off:
        yield ok("clock", f"nodes within {max(0.01, *(abs(s) for s in ahead.values())):.2f} s of this machine")


def _gpus(resources: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[Finding]:
    seen = {}
    for name, answer in told.items():
        gpu = answer["gpu"]
        seen[name] = (
            resources[name]["gpu"],
            gpu.get("count", 0),
            gpu.get("driver", ""),
            gpu.get("cuda", ""),
            gpu.get("error", ""),
        )
    for which, (by_ray, by_torch, driver, cuda, error) in alike(seen):
        build = f"driver {driver or 'none'}, torch for CUDA {cuda or 'none'}"
        if by_ray != by_torch or error:
            value = f"{which}: Ray counts {by_ray:g}, torch sees {by_torch} ({build}{f': {error}' if error else ''})"
            yield wrong("GPUs", value, _gpu_mend(by_ray, by_torch, driver, cuda))
        elif by_ray:
            yield ok("GPUs", f"{which}: {by_ray:g}, by Ray and by torch ({build})")
    if told and not any(by_ray or by_torch or error for by_ray, by_torch, *_, error in seen.values()):
        yield ok("GPUs", "none")


def _gpu_mend(by_ray: float, by_torch: int, driver: str, cuda: str) -> str:
    if not driver:
        return "install NVIDIA's driver there, or start its Ray with --num-gpus 0"
    if not cuda:
        return "its torch is built for CPUs: install the CUDA build there"
    if by_torch < by_ray:
        return "a driver at least as new as torch's CUDA (nvidia-smi tells), or --num-gpus as many as there are"
    return "start its Ray with --num-gpus as many as there are; CUDA_VISIBLE_DEVICES hides the others"


def _limits(resources: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[Finding]:
    few = {name: answer["files"] for name, answer in told.items() if answer["files"] < here.OPEN_FILES}
    for which, count in alike(few):
        mend = f"ulimit -Hn {here.OPEN_FILES} before its ray start, or a higher nofile in /etc/security/limits.conf"
        yield warn("open files", f"{which}: at most {count}", mend)
    for name, answer in told.items():
        tmp, shm = answer["tmp"], answer["shm"]
        if tmp["free"] < (1 - here.RAY_DISK) * tmp["total"]:
            value = f"node {name}: {size(tmp['free'])} free of {size(tmp['total'])} at {tmp['at']}; Ray refuses objects on so full a disk"
            yield warn("temporary files", value, "free some space there, or start its Ray with another --temp-dir")
        if shm["total"] <= here.SHM_BYTES:
            value = f"node {name}: /dev/shm holds {size(shm['total'])}; objects that do not fit go to disk, slowly"
            yield warn("shared memory", value, "in a container: --shm-size=1g")
    cores = {name: (resources[name]["cpu"], answer["cpus"]) for name, answer in told.items()}
    for which, (by_ray, has) in alike(cores):
        if by_ray > has:
            value = f"{which}: Ray counts {by_ray:g} CPUs, there are {has}: actors would share cores, and wait for each other"
            yield warn("CPUs", value, f"start its Ray with --num-cpus {has}")


# -- against what the sweep needs -------------------------------------------------------------------------------------


def _against(resources: Mapping[str, Any], told: Mapping[str, Any], needed: Needs) -> Iterator[Finding]:
    slots = {name: needed.slots(node["cpu"], node["gpu"]) for name, node in resources.items() if name in told}
    asked = f"{needed.cpu:g} CPU" + (f" and {needed.gpu:g} GPU" if needed.gpu else "")
    if not any(slots.values()) and needed.packs:
        mend = "lower resources in the sweep, or add nodes (an autoscaling cluster does so by itself)"
        yield warn("slots", f"a pack asks for {asked}, and no node of now has that", mend)
    elif needed.packs:
        yield ok("slots", f"{sum(slots.values())} packs at once ({asked} each), {needed.packs} to run")
    yield from _memory(resources, told, needed, slots)
    yield from _disks(told, needed)


def _memory(
    resources: Mapping[str, Any], told: Mapping[str, Any], needed: Needs, slots: Mapping[str, int]
) -> Iterator[Finding]:
    short = False
    for name, answer in told.items():
        ray = HEAD_BYTES if resources[name]["head"] else NODE_BYTES
        want, memory = slots[name] * needed.actor, answer["memory"]
        value = f"node {name}: {slots[name]} actors of about {size(needed.actor)} each, "
        value += f"{size(memory['free'])} free of {size(memory['total'])}"
        mend = "raise resources.cpu in the sweep (fewer at once), or take nodes with more memory"
        if want + ray > memory["total"]:
            yield wrong("memory", value, mend)
        elif want > memory["free"]:
            yield warn("memory", value, f"end what else runs there; or {mend}")
        else:
            continue
        short = True
    if told and not short and needed.packs:
        yield ok(
            "memory", f"an actor takes about {size(needed.actor)}; every node has room for its {max(slots.values())}"
        )
    for name, answer in told.items():
        gpu_bytes = min(answer["gpu"].get("memory") or [0])
        share = gpu_bytes * min(1.0, needed.gpu)
        if share and needed.device > share:
            value = (
                f"node {name}: a pack's tensors take about {size(needed.device)}, its share of a GPU is {size(share)}"
            )
            yield warn("GPU memory", value, "raise resources.gpu, or name fewer axes in search.pack")


def _disks(told: Mapping[str, Any], needed: Needs) -> Iterator[Finding]:
    blind = [name for name, answer in told.items() if not answer["data"]]
    if blind:
        mend = "copy the files to the same place on every node, or give a URI such as s3://bucket/folder"
        yield wrong("data", f"{needed.path} is not on {', '.join(blind)}", mend)
    elif needed.path and told:
        yield ok("data", f"{needed.path} is on every node")
    for name, answer in told.items():
        cache = answer["cache"]
        if needed.data > cache["free"]:
            value = (
                f"node {name}: {size(cache['free'])} free at {cache['at']}, the converted data take {size(needed.data)}"
            )
            yield wrong("cache", value, "free some space there, or set IMPRAY_CACHE to a folder on another disk")
