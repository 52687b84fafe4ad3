"""A Ray of two nodes with the token on, for as long as the standard input is open; says its address. Run as a program.

With the word `dashboard` it has a job server too. Its files are in a folder of its own: no other Ray of this machine takes it for the
last one that was started.
"""

import os
import shutil
import socket
import sys
import tempfile

SCRATCH = tempfile.mkdtemp(prefix="two-nodes-", dir="/tmp")  # short: the names of its sockets are limited
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": SCRATCH}

if __name__ == "__main__":
    from impray.service.ray.access import ask_for_token

    ask_for_token(None)  # a machine on which no Ray has run has none, and then Ray does not start

    from ray.cluster_utils import Cluster

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    node = {"num_cpus": 1, "dashboard_agent_listen_port": 0}  # a fixed one may be taken by another Ray of this machine
    head = {**node, "include_dashboard": "dashboard" in sys.argv, "dashboard_host": "127.0.0.1", "dashboard_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(**node)
        print(cluster.address, cluster.head_node.webui_url, flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()
        shutil.rmtree(SCRATCH, ignore_errors=True)
