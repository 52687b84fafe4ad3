"""What tests of doctor ask of its findings."""

import socket
import threading
from contextlib import contextmanager

from impray.results.ledger import Ledger
from impray.service import doctor
from impray.service.ray import nodes as on_nodes

EMPTY = Ledger()


def levels(findings, what):
    return [finding.level for finding in findings if finding.what == what]


def worst(findings):
    return max((doctor.LEVELS.index(finding.level) for finding in findings), default=0)


def mended(findings):
    return all(finding.mend for finding in findings if finding.level != "ok")


@contextmanager
def listening(*, answers=False):
    """A port where connections are taken and nothing is ever said, or (`answers`) what no Ray says."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            kept = []
            try:
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    if answers:
                        connection.sendall(b"220 mail\r\n")
            except OSError:
                for connection in kept:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def facts(**changes):
    """A node that is as this machine is, but for `changes`."""
    room = {"total": 10**12, "free": 10**12, "at": "/"}
    said = {"versions": on_nodes.versions(), "memory": {"total": 10**12, "free": 10**12}, "cpus": 8, "files": 10**5}
    said |= {"shm": room, "tmp": room, "cache": room, "data": True, "gpu": {}, "ahead_s": 0.001}
    return {**said, **changes}
