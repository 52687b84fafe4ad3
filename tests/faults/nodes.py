"""A node of a cluster of three that is lost. The nodes are of this machine; tests/cluster has hosts."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from faults.fault import Fault, Setting
from service.launched import Launched

from impray.service.ray import warden

PROGRAM = """
import sys
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "dashboard_agent_listen_port": 0, "object_store_memory": 100 << 20}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
others = [cluster.add_node(**node) for _ in range(2)]
cluster.wait_for_nodes()
print("address", cluster.address, *(one.all_processes["raylet"][0].process.pid for one in others), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Node(Fault):
    """The raylet of one of the two that are not the head; what runs on its node ends with it."""

    places = ("ray",)
    early = False
    reached = True  # a driver on a cluster listens where the nodes can reach it
    which: int = 0

    @classmethod
    def drawn(cls, draw: random.Random, where: str) -> Node:
        return cls(which=draw.randrange(2))

    @contextmanager
    def around(self, setting: Setting) -> Iterator[None]:
        home = setting.home / "cluster"  # its processes are not the sweep's: Ray's nodes listen at more than loopback
        home.mkdir()
        without = {"RAY_AUTH_MODE": "disabled"}
        own = {
            warden.MARK: f"a-cluster-of-{setting.home.name}",
            "SPT_NOENV": "1",
            "RAY_TMPDIR": str(setting.home / "r"),
        }
        with Launched((sys.executable, "-c", PROGRAM), home, **without, **own) as cluster:
            assert cluster.process.stdout is not None
            for line in cluster.process.stdout:
                if line.startswith("address "):
                    _, address, *raylets = line.split()
                    break
            else:
                raise RuntimeError("the cluster did not start")
            setting.things["raylet"] = int(raylets[self.which])
            setting.words, setting.environment = ("--address", address), without
            yield

    def hit(self, running: Launched, setting: Setting) -> bool:
        os.kill(setting.things["raylet"], signal.SIGKILL)
        return True
