"""moto's S3 over HTTP, one request at a time, as a program: prints its address, and ends when its standard input does.

moto looks whether an object is there and then writes it, so of two conditional PUTs at once both could win; and its own program
listens on a port that must be chosen before. Bodies are read before the lock is taken: a client that hangs holds nobody up.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class Quiet(MotoRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        pass


class OneAtATime:
    """A WSGI application whose requests are whole, and wait for each other."""

    def __init__(self) -> None:
        self.inner, self.lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        if len(body) < length:  # the client broke off: S3 keeps nothing of it
            start_response("400 Bad Request", [("Content-Length", "0")])
            return [b""]
        environ["wsgi.input"] = io.BytesIO(body)
        with self.lock:
            answer = self.inner(environ, start_response)
            try:
                return [b"".join(answer)]
            finally:
                getattr(answer, "close", lambda: None)()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", required=True)
    asked = parser.parse_args()
    server = make_server(asked.host, asked.port, OneAtATime(), threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address[:2]
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/{asked.bucket}", method="PUT")).close()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
