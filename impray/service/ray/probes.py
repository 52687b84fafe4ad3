"""What doctor asks of Ray, in a process of its own: `python -m impray.service.ray.probes` reads one JSON object and writes one per stage.

A Ray that hangs, or ends its process (its C++ side does), then ends this one and not the command. Stages: `start` or `reach` and
`joined`, then `nodes`, `facts`, `storage`. Each is a line on what was the standard output; what Ray prints goes to the error output.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from impray.service.doctor import storage
from impray.service.ray import access
from impray.service.ray import nodes as on_nodes

REACH_S = 4.0
ANSWER_S = 12.0  # for a node to start a worker and answer
FACTS_S, STEP_S = 30.0, 15.0  # for what it is, with torch and CUDA from a cold disk; for a step of the storage check


def main() -> None:
    """Ask in order, tell each stage as it ends."""
    out = os.dup(1)
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through Ray's own goodbye
    asked = json.load(sys.stdin)

    def tell(stage: str, answer: object) -> None:
        os.write(out, (json.dumps({"stage": stage, "said": answer}) + "\n").encode())

    probe(asked, tell)


def probe(asked: Mapping[str, Any], tell: Callable[[str, object], None]) -> None:
    """Join or start a Ray, and ask its nodes.

    Args:    asked: `address` (None: a local Ray), `scratch` (a folder to try, where sweeps go), `path` (of data files).
    """
    address = asked["address"]
    if address is not None:
        head = reach(address)
        tell("reach", head)
        if not head.get("alive") or not (head["open"] or head["token"] == "taken"):
            return  # Ray would try for 20 s
        address = head["address"]
    start = time.monotonic()
    try:
        _init(address)
    except Exception as error:  # whatever it is, it is what the sweep would meet
        tell("joined", {"error": _first(error)})
        return
    tell("joined", {"seconds": time.monotonic() - start})
    try:
        _ask_nodes(asked, tell)
    finally:
        import ray

        ray.shutdown()


def _init(address: str | None) -> None:
    """As a sweep does: a local Ray listens on 127.0.0.1 only, for which ray must not have been imported before."""
    if address is None:
        access.ask_for_token(None)
    with access.only_here(access.LOOPBACK if address is None else {}):
        import ray

        dashboard = False if address is None else None
        ray.init(address or "local", include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)


def reach(address: str) -> dict[str, Any]:
    """Where the head is, whether its port answers, and what it says to a call without, and with, the token of this machine.

    Returns: `address` (host:port) or `error`; `alive`; `open`: it takes calls without a token; `token`: how this machine's was taken:
             none, taken, refused; `ray`: its version.
    """
    try:
        from ray._private.services import canonicalize_bootstrap_address

        head = canonicalize_bootstrap_address(address)
    except Exception as error:
        return {"error": _first(error)}
    if not head:
        return {"error": "no cluster runs on this machine, and none is recorded here"}
    host, _, port = head.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=REACH_S):
            pass
    except (OSError, ValueError) as error:
        return {"address": head, "alive": False, "error": f"{head} does not answer ({_first(error)})"}
    return {"address": head, **_greeted(head)}


def _greeted(address: str) -> dict[str, Any]:
    """Ray's own client tries for 20 s and then says "Failed to connect", whatever is wrong; one call without it says what."""
    import grpc

    token = _token()
    alive: dict[str, Any] = {"alive": True, "open": False, "token": "refused" if token else "none", "ray": ""}
    try:
        alive["ray"], alive["open"] = _call(address, ""), True
        alive["token"] = "taken" if token else "none"
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:  # type: ignore[attr-defined]
            return {"alive": False, "error": f"{address} answers, but not as a head of Ray ({error.code().name})"}  # type: ignore[attr-defined]
    if token and not alive["open"]:
        try:
            alive["ray"], alive["token"] = _call(address, token), "taken"
        except grpc.RpcError:
            pass
    return alive


def _call(address: str, token: str) -> str:
    """The version of the Ray at an address."""
    import grpc
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
        headers = [("authorization", f"Bearer {token}")] if token else []
        request = gcs_service_pb2.CheckAliveRequest()  # type: ignore[attr-defined]  # made as it is imported
        answer = stub.CheckAlive(request, metadata=headers, timeout=REACH_S)
    return answer.ray_version


def _token() -> str:
    from impray.service.doctor.here import token_of

    return token_of()[0]


# -- on the nodes -----------------------------------------------------------------------------------------------------


def _ask_nodes(asked: Mapping[str, Any], tell: Callable[[str, object], None]) -> None:
    import ray

    ray.cloudpickle.register_pickle_by_value(on_nodes)  # type: ignore[attr-defined]  # a node may have another impray, or none
    alive = [node for node in ray.nodes() if node["Alive"]]
    names = _names(alive)
    resources = {names[node["NodeID"]]: _resources(node) for node in alive}
    tell("nodes", resources)
    actors = {names[node["NodeID"]]: _actor(node["NodeID"]) for node in alive}
    clocks = _answers({name: (actor.now, ()) for name, actor in actors.items()}, ANSWER_S)
    silent = {name: answer for name, answer in clocks.items() if isinstance(answer, dict)}
    for name in silent:
        del actors[name]
    skew = {name: _ahead(actor) for name, actor in actors.items()}
    of_each = {name: (asked["path"], resources[name]["gpu"] > 0) for name in actors}
    facts = _answers({name: (actor.facts, of_each[name]) for name, actor in actors.items()}, FACTS_S)
    for name, answer in facts.items():
        if "error" not in answer:
            answer["ahead_s"] = skew[name]
    tell("facts", {**facts, **silent})
    tell("storage", _stored(asked, {name: actor for name, actor in actors.items() if "error" not in facts[name]}))


def _names(alive: list[dict[str, Any]]) -> dict[str, str]:
    """What a person calls a node: its address, and where several share one the start of its id too."""
    hosts = [node["NodeManagerAddress"] for node in alive]
    return {
        node["NodeID"]: host if hosts.count(host) == 1 else f"{host}-{node['NodeID'][:6]}"
        for node, host in zip(alive, hosts, strict=True)
    }


def _resources(node: Mapping[str, Any]) -> dict[str, float]:
    has = node["Resources"]
    head = float("node:__internal_head__" in has)
    return {"cpu": has.get("CPU", 0.0), "gpu": has.get("GPU", 0.0), "memory": has.get("memory", 0.0), "head": head}


def _actor(node: str) -> Any:  # noqa: ANN401
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    pinned = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(on_nodes.Node).options(num_cpus=0, scheduling_strategy=pinned).remote()


def _answers(calls: Mapping[str, tuple[Any, tuple]], seconds: float) -> dict[str, Any]:
    """Each call's answer, all made at once; who does not answer in time has an `error`."""
    return _collected({name: method.remote(*arguments) for name, (method, arguments) in calls.items()}, seconds)


def _collected(refs: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    import ray

    ready = set(ray.wait(list(refs.values()), num_returns=len(refs), timeout=seconds)[0]) if refs else set()
    answers: dict[str, Any] = {}
    for name, ref in refs.items():
        try:
            answers[name] = ray.get(ref, timeout=5) if ref in ready else {"error": f"no answer within {seconds:g} s"}
        except Exception as error:  # the node died, or its Python cannot read ours
            answers[name] = {"error": _first(error)}
    return answers


def _ahead(actor: Any) -> float:  # noqa: ANN401
    """How far a node's clock is ahead of this one, in seconds; from the fastest of a few answers."""
    import ray

    best = (float("inf"), 0.0)
    for _ in range(5):
        start, clock = time.time(), time.perf_counter()
        try:
            there = float(ray.get(actor.now.remote(), timeout=ANSWER_S))  # type: ignore[arg-type]
        except Exception:
            break
        took = time.perf_counter() - clock
        best = min(best, (took, there - start - took / 2))
    return best[1]


def _stored(asked: Mapping[str, Any], actors: Mapping[str, Any]) -> dict[str, Any]:
    here = on_nodes.Node()

    def ask(step: str, arguments: Mapping[str, tuple]) -> dict[str, Any]:
        refs = {
            name: actors[name].store.remote(step, *values) for name, values in arguments.items() if name != storage.HERE
        }
        # This process takes its turn while the nodes take theirs: all of them write over one file at once.
        mine = {storage.HERE: here.store(step, *arguments[storage.HERE])} if storage.HERE in arguments else {}
        return mine | _collected(refs, STEP_S)

    told = storage.tried(asked["scratch"], [storage.HERE, *actors], ask)
    return vars(told)


def _first(error: BaseException) -> str:
    """The line of an error that says most: Ray's begin with a frame, and end with the cause."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    line = lines[-1] if lines and "ray::" in lines[0] else next(iter(lines), type(error).__name__)
    return line[:300]


if __name__ == "__main__":
    main()
