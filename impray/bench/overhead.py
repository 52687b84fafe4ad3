"""The share of a sweep's wall time that is not training or measuring: Ray, tables, MLflow, idle slots."""

from __future__ import annotations

import os
import time

import polars as pl
from rich.console import Console

from impray.results import tables
from impray.scratch import scratch
from impray.service import driver
from impray.service.progress import Progress
from impray.service.ray.pool import RayPool
from impray.service.syncing import Syncing
from impray.shipped import shipped
from impray.spec.counts import fits
from impray.spec.load import load


def compare() -> dict:
    """Runs the quickstart in a new folder, without its figures, and compares busy seconds with slots x wall seconds."""
    file = shipped("sweeps") / "quickstart.yaml"
    sweep = load(file)
    with scratch("bench") as folder:
        request = driver.Request(sweep, "quickstart", folder / "quickstart")
        start = time.perf_counter()
        with open(os.devnull, "w") as nowhere:
            console = Console(file=nowhere)
            listeners = [Progress(console), Syncing(None, console.print)]
            report = driver.run(request, RayPool(), listeners, console)
        wall = time.perf_counter() - start - report.seconds["ray start"] - report.seconds["ray stop"]
        busy = tables.scan("rounds", request.folder).select(pl.col("wall_s").sum()).collect().item()
    slots = max(1, fits(sweep.resources.cpu, os.cpu_count() or 1))
    share = 1 - busy / (slots * wall)
    parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in report.seconds.items())
    return {
        "name": "overhead of the quickstart",
        "ours": 100 * share,
        "reference": None,
        "ratio": None,
        "unit": "% of slots x wall time not spent training or measuring",
        "note": f"{slots} slots, {busy:.1f} s busy in {wall:.1f} s wall, start and stop of Ray apart, one run; {parts}.",
    }
