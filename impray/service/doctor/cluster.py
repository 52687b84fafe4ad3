"""Asking Ray through a process of its own, and what its answers mean: the head, its token, and every node."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from impray.results.store import Place, in_bucket, opened, within
from impray.service.doctor import here, nodes, storage
from impray.service.doctor.finding import Finding, ok, warn, wrong
from impray.service.doctor.needs import Needs
from impray.service.ray.access import with_token

GIVE_UP_S = 75.0  # for all stages; each has its own, shorter time
STOP_S = 5.0
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_AUTH_MODE": "token",
    "OMP_NUM_THREADS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def stages(asked: Mapping[str, Any], module: str = "impray.service.ray.probes") -> Iterator[tuple[str, Any]]:
    """What that module tells, stage by stage, as it comes; the last is (`ended`, why) if it was cut short."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**QUIET, **os.environ},
        start_new_session=True,  # Ctrl-C is for this process, which then ends that one
    ) as process:
        timer = threading.Timer(GIVE_UP_S, process.terminate)
        timer.start()
        atexit.register(_end, process)  # Ctrl-C is heard by the main thread, and this is another
        stderr_lines: list[str] = []
        reader = threading.Thread(target=lambda: stderr_lines.extend(process.stderr or ()), daemon=True)
        reader.start()
        start = time.monotonic()
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(dict(asked)))
            process.stdin.close()
            for line in process.stdout:
                message = json.loads(line)
                yield message["stage"], message["said"]
            if process.wait() != 0:
                late = time.monotonic() - start >= GIVE_UP_S
                reader.join(1)
                last = next((line.strip() for line in reversed(stderr_lines) if line.strip()), "it said nothing")
                yield "ended", f"no answer within {GIVE_UP_S:g} s" if late else last[:300]
        finally:
            timer.cancel()
            _end(process)
            atexit.unregister(_end)


def _end(process: subprocess.Popen) -> None:
    """Through Ray's own goodbye where it takes it, so that a local Ray does not stay."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def cluster(address: str | None, out: Place, needed: Needs | None) -> Iterator[Finding]:
    """All that a Ray and its nodes show, as it becomes known.

    Args:    address: of a cluster; None starts a local Ray. out: where sweeps' folders go. needed: by the sweep, if one was named.
    """
    out = str(out) if in_bucket(str(out)) else opened(out).absolute
    scratch = str(within(out, f".impray-doctor-{uuid.uuid4().hex[:8]}"))
    asked = {"address": address, "scratch": scratch, "path": needed.path if needed else ""}
    resources: dict[str, Any] = {}
    tidy = False
    try:
        for stage, answer in stages(asked):
            if stage == "reach":
                yield from reached(str(address), answer)
            elif stage == "joined":
                yield _joined(address, answer)
            elif stage == "nodes":
                resources = answer
                yield _counted(answer)
            elif stage == "facts":
                yield from nodes.judged(resources, answer, needed)
            elif stage == "storage":
                tidy = True
                yield from storage.judged(storage.Answer(**answer), out)
            else:
                yield wrong("Ray", f"asking it ended early: {answer}", f"ray status{_at(address)} may say more")
        if not tidy:  # no Ray to ask: what can be seen from here is seen
            tidy = True
            yield from storage.judged(storage.tried(scratch, [storage.HERE], _alone), out)
    finally:
        if not tidy and not in_bucket(out):
            storage.clear(scratch, storage.nearest(out))


def _alone(step: str, arguments: Mapping[str, tuple]) -> dict[str, Any]:
    return {name: getattr(storage, step)(*values) for name, values in arguments.items()}


def _at(address: str | None) -> str:
    return f" --address {address}" if address and ":" in address and "//" not in address else ""


# -- the head ---------------------------------------------------------------------------------------------------------


def reached(address: str, answer: Mapping[str, Any]) -> list[Finding]:
    """What the head says to a call without, and with, the token."""
    if "address" not in answer:
        mend = "start one with ray start --head (with RAY_AUTH_MODE=token), or run this on its head"
        return [wrong("address", f"{address}: {answer['error']}", mend)]
    if not answer["alive"]:
        mend = "start the head, open its port (6379) to this machine, or use --address http://... through a tunnel"
        return [wrong("address", answer["error"], mend)]
    place = answer["address"]
    if answer["token"] in ("refused", "none") and not answer["open"]:
        value = f"{place} asks for a token, and " + (
            "none is here" if answer["token"] == "none" else "ours is another one"
        )
        value += "; Ray would try for 20 s and say only that it failed to connect"
        where = here.token_of()[1]
        mend = f"copy ~/.ray/auth_token from the head{f' to {where}' if where else ', or its text into RAY_AUTH_TOKEN'}"
        findings = [wrong("token", value, f"{mend}; export RAY_AUTH_MODE=token")]
        return [ok("address", f"{place} answers"), *findings]
    findings = [ok("address", f"{place} answers, Ray {answer['ray']}")]
    if answer["open"]:
        mend = "restart it with RAY_AUTH_MODE=token in every ray start: who reaches the port can run anything there"
        findings.append(warn("token", f"{place} takes calls without a token", mend))
    elif not with_token():
        value = f"{place} asks for a token, and RAY_AUTH_MODE is not token here: Ray's own commands fail to connect after 20 s"
        findings.append(wrong("token", value, "export RAY_AUTH_MODE=token"))
    else:
        findings.append(ok("token", "the cluster takes ours"))
    return findings


def _joined(address: str | None, answer: Mapping[str, Any]) -> Finding:
    what = "a local Ray" if address is None else "the cluster"
    if "error" not in answer:
        return ok("Ray", f"{what} {'started' if address is None else 'joined'} in {answer['seconds']:.1f} s")
    mend = "free memory and disk, end other Rays; its logs: /tmp/ray/session_latest/logs"
    if "ersion mismatch" in answer["error"]:
        mend = "the same Python and Ray here and there: pip install -r constraints.txt on both"
    return wrong("Ray", f"{what}: {answer['error']}", mend)


def _counted(resources: Mapping[str, Mapping[str, float]]) -> Finding:
    cpus, gpus = (sum(node[name] for node in resources.values()) for name in ("cpu", "gpu"))
    count = len(resources)
    return ok("nodes", f"{count} {'node' if count == 1 else 'nodes'}, {cpus:g} CPUs, {gpus:g} GPUs")
