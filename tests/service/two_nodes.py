"""A Ray of two nodes with the token on, for as long as the standard input is open; says its address. Run as a program."""

import os
import sys

os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

if __name__ == "__main__":
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": "dashboard" in sys.argv}
    )
    cluster.add_node(num_cpus=1)
    print(cluster.address, cluster.webui_url, flush=True)
    sys.stdin.read()
    cluster.shutdown()
