"""Small programs that run on a host: `python inquire.py WHAT ...`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def mirror(uri: str, folder: str) -> None:
    """Copy everything under a place in a bucket into a folder."""
    import obstore
    from obstore.store import from_url

    store = from_url(uri, client_options={"allow_http": True})
    for page in obstore.list(store):
        for found in page:
            target = Path(folder) / found["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(bytes(obstore.get(store, found["path"]).bytes()))


def rows(uri: str, last_round: str) -> None:
    """Again and again, a line of JSON: host -> [rows, lineages whose last row it wrote and that are not finished]; and the epoch
    of the lease of the sweep's driver."""
    import polars as pl

    from impray.results.store import opened
    from impray.results.tables import scan
    from impray.spec.errors import DataError

    while True:
        try:
            found = scan("rounds", uri).select("lineage", "round", "host").collect()
        except DataError:  # nothing is there yet
            time.sleep(0.5)
            continue
        last = found.sort("round").group_by("lineage").last()
        begun = last.filter(pl.col("round") < int(last_round))
        count = {
            host: [found.filter(pl.col("host") == host).height, begun.filter(pl.col("host") == host).height]
            for host in found["host"].unique().to_list()
        }
        epochs = [
            file.name.removesuffix(".json").rpartition("-")[2] for file in opened(uri).files("leases", ["running-"])
        ]
        print(json.dumps({"at": time.time(), "hosts": count, "epoch": int(max(epochs, default="0"))}), flush=True)
        time.sleep(0.5)


def nodes() -> None:
    """Again and again, a line of JSON: the addresses of Ray's nodes that are alive. On a host of the cluster."""
    import ray

    ray.init("auto", log_to_driver=False, logging_level="ERROR")
    while True:
        alive = sorted(node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"])
        print(json.dumps({"at": time.time(), "alive": alive}), flush=True)
        time.sleep(0.5)


if __name__ == "__main__":
    {"mirror": mirror, "rows": rows, "nodes": nodes}[sys.argv[1]](*sys.argv[2:])
