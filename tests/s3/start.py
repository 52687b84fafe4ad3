"""Starts and ends the two programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUCKET = "runs"
TAKEN_S = 0.15  # the proxy looks every 0.03 s
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """`endpoint`: http://address:port."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What clients read to come here. The server knows no users: any key will do."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }


@dataclass(frozen=True)
class Proxy(Server):
    """A server behind faults."""

    folder: Path

    def set(self, **faults: Any) -> None:
        """Switch to these faults (fields of `s3.proxy.Faults`), and all others off. In effect when this returns."""
        aside = self.folder / "faults.next"
        aside.write_text(json.dumps(faults))
        os.replace(aside, self.folder / "faults.json")
        time.sleep(TAKEN_S)

    def happened(self) -> Counter[str]:
        """Faults since the start, by kind."""
        return Counter(line.partition(" ")[0] for line in self._lines())

    def befell(self) -> list[str]:
        """`kind METHOD /path` of each fault since the start, in order."""
        return self._lines()

    def _lines(self) -> list[str]:
        log = self.folder / "faults.log"
        return log.read_text().splitlines() if log.exists() else []


@contextmanager
def served(host: str = "127.0.0.1", *, within: Sequence[str] = (), python: str = sys.executable) -> Iterator[Server]:
    """An empty S3 server with the bucket `runs`.

    `within`: words before the command, such as `ip netns exec NAME`, where `host` is an address of another network.
    """
    with _running([*within, python, "-P", str(HERE / "server.py"), "--host", host, "--bucket", BUCKET]) as endpoint:
        yield Server(endpoint)


@contextmanager
def faulty(server: Server, host: str = "127.0.0.1", *, seed: int = 0, within: Sequence[str] = ()) -> Iterator[Proxy]:
    """A proxy before a server; without faults until `set` is called."""
    with tempfile.TemporaryDirectory(prefix="impray-proxy-") as name:
        folder = Path(name)
        (folder / "faults.json").write_text("{}")
        command = [*within, sys.executable, "-P", str(HERE / "proxy.py"), "--host", host, "--seed", str(seed)]
        command += ["--to", server.endpoint.removeprefix("http://")]
        command += ["--faults", str(folder / "faults.json"), "--log", str(folder / "faults.log")]
        with _running(command) as endpoint:
            yield Proxy(endpoint, folder)


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    """A program that prints its address and ends with its standard input: also where this process is killed."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"{command[-1]}: ended with {process.wait()} before it listened")
        yield address
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()
