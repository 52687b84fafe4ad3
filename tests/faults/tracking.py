"""A server of MLflow's that is killed while a sweep syncs to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from conftest import rows_of
from faults.fault import Fault, Moment, Setting
from service.launched import Launched, within

from impray.service.ray import head

STARTS_S = 240.0


class Server:
    """Its rows are in a file, so that it can be started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = _free_port()
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        stores = ["--backend-store-uri", f"sqlite:///{self.home}/server.db", "--artifacts-destination", "artifacts"]
        words = [sys.executable, "-m", "mlflow", "server", *stores, "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--workers", "1", "--allowed-hosts", f"127.0.0.1:{self.port}"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "HOME": str(self.home)}
        log = self.home / "server.log"
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                words,
                cwd=self.home,
                env={**os.environ, **quiet},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            within(STARTS_S, lambda: not head.silent(f"127.0.0.1:{self.port}", 1))
        except AssertionError as error:
            raise AssertionError(f"MLflow's server: {error}: {log.read_text()[-3000:]}") from None

    def kill(self) -> None:
        """With all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def trials(self) -> int:
        """Runs there of trials that have ended."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.uri)
        runs = client.search_runs([client.get_experiment_by_name("x").experiment_id], "attributes.status = 'FINISHED'")
        return len({run.data.tags["impray.trial"] for run in runs if "impray.trial" in run.data.tags})


def _free_port() -> int:
    """One that stays free while the server is down: the system gives those above to whoever connects to anything."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    first = 1024 + os.getpid() % (lowest - 1024)
    for port in (1024 + number % (lowest - 1024) for number in range(first, first + 1000)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is free")


@dataclass(frozen=True)
class Tracking(Fault):
    places = ("here", "here", "here", "ray")
    early = False  # a server that does not answer at first is another case: nothing is run

    @contextmanager
    def around(self, setting: Setting) -> Iterator[None]:
        server = setting.things["server"] = Server(setting.home)
        setting.mlflow = server.uri
        server.start()
        try:
            yield
        finally:
            server.kill()
            time.sleep(0.1)

    def hit(self, running: Launched, setting: Setting) -> bool:
        setting.things["server"].kill()
        return True

    def felt(self, moment: Moment, code: int | None, setting: Setting) -> bool:
        return code != 0

    def mend(self, setting: Setting) -> list[str]:
        """All trials are done before; then `impray mlflow sync` brings them there."""
        server, status = setting.things["server"], set(rows_of(setting.folder, "trials")["status"])
        server.kill()
        server.start()
        with setting.launched("mlflow", "sync", str(setting.folder), "--mlflow", server.uri) as running:
            code, said = setting.ended(running)
        told = [f"not all trials were done: {status}"] if status != {"done"} else []
        told += [f"mlflow sync: {code}: {said}"] if code else []
        there, asked = server.trials(), rows_of(setting.folder, "trials").height
        return told + ([f"{there} trials at the server, not {asked}"] if there != asked else [])

    def codes(self, moment: Moment) -> tuple[int, ...]:
        return (0, 2)
