"""What doctor asks of Ray, in a process of its own: `python -m impray.service.ray.probes` reads one JSON object and writes one per stage.

A Ray that hangs, or ends its process (its C++ side does), then ends this one and not the command. Stages: `start` or `reach` and
`joined`, then `nodes`, `facts`, `storage`. Each is a line on what was the standard output; what Ray prints goes to the error output.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from impray.service.doctor import storage
from impray.service.ray import access
from impray.service.ray import nodes as on_nodes
from impray.service.ray.head import first_line as _first
from impray.service.ray.head import reach

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


if __name__ == "__main__":
    main()
