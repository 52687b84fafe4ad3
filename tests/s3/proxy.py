"""Stands before an HTTP server and does what networks and overloaded servers do; a program that needs nothing but Python.

Prints its address, reads what it should do from a JSON file whenever that changes, appends `kind METHOD path` for each fault to a
log, and ends when its standard input does. Shares are between 0 and 1 and are drawn from the seed, the request and how often that
request was seen before: the order in which requests of several clients arrive changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import socket
import struct
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

POLL_S = 0.03
SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
KINDS = ("unavailable", "hang", "cut_put", "lost_answer", "cut_answer")


@dataclass(frozen=True)
class Faults:
    """What goes wrong; all of it off unless asked for."""

    refuse: bool = False  # nobody listens, and what is open breaks off
    unavailable: float = 0.0  # share of requests answered with 503 SlowDown, not forwarded
    hang: float = 0.0  # ... read, not forwarded, and not answered for `hang_s`, then broken off
    cut_put: float = 0.0  # share of PUTs and POSTs with a body that break off in its middle, on both sides
    lost_answer: float = 0.0  # ... done by the server; the client never hears of it
    cut_answer: float = 0.0  # ... whose answer breaks off in the middle
    delay_s: float = 0.0  # before each request
    hang_s: float = 60.0
    match: str = ""  # a regular expression; faults befall only requests whose "METHOD /path?query" it is found in
    limit: int | None = None  # so many faults, then none (`refuse` and `delay_s` are not counted)


@dataclass
class Request:
    method: str
    target: str
    head: bytes
    length: int
    waits: bool  # for "100 Continue" before it sends its body

    @property
    def told(self) -> str:
        return f"{self.method} {self.target}"


def parsed(head: bytes) -> Request:
    """The head of a request, asking the server to close the connection after it."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    kept = [
        line for line in lines if line.partition(":")[0].strip().lower() not in ("connection", "expect", "keep-alive")
    ]
    forward = "\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1")
    return Request(method, target, forward, int(fields.get("content-length", 0)), "expect" in fields)


def closing(answer: bytes) -> bytes:
    """An answer after which the client uses the connection no more."""
    head, _, body = answer.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"keep-alive:"))]
    return b"\r\n".join([*kept, b"Connection: close"]) + b"\r\n\r\n" + body


def break_off(writer: asyncio.StreamWriter) -> None:
    """End a connection as a cable that is pulled and plugged in again: RST, no FIN."""
    opened = writer.get_extra_info("socket")
    with suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class Proxy:
    host: str
    port: int
    to: tuple[str, int]
    faults_file: Path
    log: Path
    seed: int
    faults: Faults = field(default_factory=Faults)
    seen: Counter = field(default_factory=Counter)
    happened: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def run(self) -> None:
        """Listen for ever, except while connections are refused."""
        listener: asyncio.Server | None = None
        stamp = None
        while True:
            with suppress(FileNotFoundError):
                now = (info := self.faults_file.stat()).st_mtime_ns, info.st_ino
                if now != stamp:
                    stamp, self.faults = now, Faults(**json.loads(self.faults_file.read_text()))
                    self.happened = 0
            if listener is None and not self.faults.refuse:
                listener = await asyncio.start_server(self.serve, self.host, self.port, limit=1 << 20)
                if not self.port:
                    self.port = listener.sockets[0].getsockname()[1]
                    print(f"http://{self.host}:{self.port}", flush=True)
            elif listener is not None and self.faults.refuse:
                listener.close()
                listener = None
                for writer in list(self.open):
                    break_off(writer)
            await asyncio.sleep(POLL_S)

    def drawn(self, request: Request) -> str:
        """The fault that befalls a request, "" for none."""
        faults = self.faults
        self.seen[request.told] += 1
        if not re.search(faults.match, request.told) or self.happened == faults.limit:
            return ""
        text = f"{self.seed} {request.told} {self.seen[request.told]}"
        draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
        for kind in KINDS:
            share = getattr(faults, kind)
            if kind == "cut_put" and not request.length:
                continue
            if draw < share:
                self.happened += 1
                with self.log.open("a") as log:
                    log.write(f"{kind} {request.told}\n")
                return kind
            draw -= share
        return ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, then the connection ends."""
        self.open.add(writer)
        try:
            request = parsed(await reader.readuntil(b"\r\n\r\n"))
            if request.waits:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await asyncio.sleep(self.faults.delay_s)
            kind = self.drawn(request)
            body = await reader.readexactly(request.length // 2 if kind == "cut_put" else request.length)
            if kind == "hang":
                await asyncio.sleep(self.faults.hang_s)
            answer = b""
            if kind == "unavailable":
                size = f"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {len(SLOW_DOWN)}\r\n\r\n"
                answer = size.encode() + SLOW_DOWN
            elif kind != "hang":
                answer = await self.forward(request, body, whole=kind != "cut_put")
            if kind in ("hang", "cut_put", "lost_answer"):
                return break_off(writer)
            answer = closing(answer)
            writer.write(answer[: len(answer) // 2] if kind == "cut_answer" else answer)
            await writer.drain()
            if kind == "cut_answer":
                return break_off(writer)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            break_off(writer)  # the client went away, or speaks something else; the server does not answer
        finally:
            self.open.discard(writer)
            writer.close()

    async def forward(self, request: Request, body: bytes, *, whole: bool) -> bytes:
        """The server's answer; empty where the request was not sent to its end."""
        reader, writer = await asyncio.open_connection(*self.to)
        try:
            writer.write(request.head + body)
            await writer.drain()
            if not whole:
                break_off(writer)
                return b""
            return await reader.read()
        finally:
            writer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--to", required=True, help="host:port")
    parser.add_argument("--faults", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    host, _, port = asked.to.rpartition(":")
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    proxy = Proxy(asked.host, asked.port, (host, int(port)), asked.faults, asked.log, asked.seed)
    asyncio.run(proxy.run())


if __name__ == "__main__":
    main()
