"""How much a cluster could have: what its autoscaler may still fetch counts for how packs are split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

# What `ray up` leaves on the head: the cluster file, with each node type's resources filled in.
BOOTSTRAP = "ray_bootstrap_config.yaml"


def most(home: Path | None = None) -> dict[str, float]:
    """The resources of all nodes that this head may ever have; empty where it is no head of a cluster that `ray up` made."""
    try:
        bootstrap = yaml.safe_load(((home or Path.home()) / BOOTSTRAP).read_text())
        return _most(bootstrap)
    except (OSError, yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError):
        return {}


def _most(bootstrap: Mapping[str, Any]) -> dict[str, float]:
    limit = int(bootstrap.get("max_workers", 0))
    total: dict[str, float] = {}
    for name, kind in bootstrap["available_node_types"].items():
        workers = min(limit, int(kind.get("max_workers", limit)))
        count = max(1, workers) if name == bootstrap.get("head_node_type") else workers
        for resource, amount in (kind.get("resources") or {}).items():
            if isinstance(amount, (int, float)):
                total[resource] = total.get(resource, 0.0) + count * amount
    return total
