"""The head of a Ray: whether it answers before a sweep joins it, and whether it goes on answering while the sweep runs.

Ray's own client tries for 20 s to join, and for 60 s to find a head again that is gone; then it ends the process from C++.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from impray.service.ray import access
from impray.spec.errors import Problem, SweepError

REACH_S = 3.0  # for all that is asked of a head before joining it
LOOK_S, LOOKS = 1.0, 3  # a head is gone after so many looks in vain, one after the other


def reach(address: str) -> dict[str, Any]:
    """Where the head is, whether its port answers, and what it says to a call without, and with, the token of this machine.

    Returns: `address` (host:port) or `error`; `alive`; `open`: it takes calls without a token; `token`: how this machine's was taken:
             none, taken, refused; `ray`: its version. Within REACH_S.
    """
    until = time.monotonic() + REACH_S
    try:
        from ray._private.services import canonicalize_bootstrap_address

        head = canonicalize_bootstrap_address(address)
    except Exception as error:
        return {"error": first_line(error)}
    if not head:
        return {"error": "no cluster runs on this machine, and none is recorded here"}
    if why := silent(head, REACH_S):
        return {"address": head, "alive": False, "error": f"{head} does not answer ({why})"}
    return {"address": head, **_greeted(head, until)}


def silent(address: str, seconds: float) -> str:
    """Why nothing takes a connection at host:port within so many seconds; empty if something does.

    In a thread of its own: the search for a name's address has no end that could be set.
    """
    said: list[str] = []

    def connect() -> None:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
            said.append("")
        except (OSError, ValueError, OverflowError) as error:
            said.append(first_line(error))

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else "timed out"


def _greeted(address: str, until: float) -> dict[str, Any]:
    """Ray's own client tries for 20 s and then says "Failed to connect", whatever is wrong; one call without it says what."""
    import grpc

    token = _token()
    alive: dict[str, Any] = {"alive": True, "open": False, "token": "refused" if token else "none", "ray": ""}
    try:
        alive["ray"], alive["open"] = _call(address, "", until), True
        alive["token"] = "taken" if token else "none"
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:  # type: ignore[attr-defined]
            return {"alive": False, "error": f"{address} answers, but not as a head of Ray ({error.code().name})"}  # type: ignore[attr-defined]
    if token and not alive["open"]:
        try:
            alive["ray"], alive["token"] = _call(address, token, until), "taken"
        except grpc.RpcError:
            pass
    return alive


def _call(address: str, token: str, until: float) -> str:
    """The version of the Ray at an address."""
    import grpc
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
        headers = [("authorization", f"Bearer {token}")] if token else []
        request = gcs_service_pb2.CheckAliveRequest()  # type: ignore[attr-defined]  # made as it is imported
        answer = stub.CheckAlive(request, metadata=headers, timeout=max(0.5, until - time.monotonic()))
    return answer.ray_version


def _token() -> str:
    from impray.service.doctor.here import token_of

    return token_of()[0]


def check(address: str) -> None:
    """Whether a sweep can join the Ray at an address: auto, or host:port. To be called before ray is imported.

    Raises:  SweepError: it cannot; within REACH_S of ray's import.
    """

    def refused(why: str) -> SweepError:
        return SweepError("impray sweep", [Problem("--address", repr(address), why)])

    if why := unreachable(address):  # first what needs no import of ray
        raise refused(why)
    without = None
    try:
        access.ask_for_token(address)
    except SweepError as error:  # counts only where somebody answers
        without = error
    if os.environ.get("RAY_USE_TLS", "").lower() in ("1", "true"):  # to a call without certificates it says nothing
        said: dict[str, Any] = {"alive": True, "open": True}
    else:
        said = reach(address)
    if not said.get("alive"):
        raise refused(f"no Ray cluster answers there ({said['error']})")
    if without is not None:
        raise without
    if not said["open"] and said["token"] == "refused":
        raise refused("the token there is another one than here: copy the head's ~/.ray/auth_token here")
    if not said["open"] and not access.with_token():
        raise refused(f"it uses a token; set {access.MODE}=token")


def unreachable(address: str) -> str:
    """Why nobody can answer at host:port; empty for other addresses, or if somebody may."""
    if "://" in address or ":" not in address:
        return ""
    why = silent(address, REACH_S)
    return f"no Ray cluster answers there ({why})" if why else ""


def first_line(error: BaseException) -> str:
    """The line of an error that says most: Ray's begin with a frame, and end with the cause."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    line = lines[-1] if lines and "ray::" in lines[0] else next(iter(lines), type(error).__name__)
    return line[:300]


# -- while a sweep runs -----------------------------------------------------------------------------------------------


class Vigil:
    """Looks every LOOK_S whether Ray's servers take connections, from a thread of its own.

    Args:    places: name of a server -> host:port. patience_s: how long they may be silent before they count as gone; one of another
             machine may be started again. gone: is told which is, once, and how long it has been silent; so is `late`, after LOOKS.
    """

    def __init__(
        self,
        places: dict[str, str],
        patience_s: float,
        gone: Callable[[str, float], None],
        late: Callable[[str, float], None] = lambda place, seconds: None,
    ) -> None:
        self.places, self.patience_s, self.gone, self.late = places, patience_s, gone, late
        self._over = threading.Event()
        threading.Thread(target=self._look, name="ray-vigil", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        since, looks = time.monotonic(), 0
        while not self._over.wait(LOOK_S):
            silent_one = next((name for name, place in self.places.items() if silent(place, 2 * LOOK_S)), None)
            if silent_one is None:
                since, looks = time.monotonic(), 0
                continue
            looks += 1
            seconds = time.monotonic() - since
            if looks >= LOOKS and seconds >= self.patience_s and not self._over.is_set():
                self.gone(silent_one, seconds)
                return
            if looks == LOOKS and not self._over.is_set():
                self.late(silent_one, seconds)


def servers() -> dict[str, str]:
    """Where the servers of the Ray that this process has joined listen, without which nothing runs: the head's, this node's."""
    import ray

    context = ray.get_runtime_context()
    places = {"its head (gcs_server)": context.gcs_address}
    for node in ray.nodes():
        if node["NodeID"] == context.get_node_id():
            places["its raylet on this machine"] = f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
    return places
