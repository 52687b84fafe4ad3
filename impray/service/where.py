"""Where packs run, by name: `here` in this process, `ray` in actors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impray.service.pool import Pool
    from impray.spec.errors import Problem
    from impray.spec.sweep import Sweep

WHERE = ("here", "ray")


def problems(sweep: Sweep | None, where: str, address: str | None) -> list[Problem]:
    """What is wrong with a place for a sweep; None is a sweep that is wrong in itself."""
    from impray.spec.errors import Problem
    from impray.spec.wording import near

    wrong = []
    if where not in WHERE:
        wrong.append(Problem("--where", repr(where), f"must be {' or '.join(WHERE)}{near(where, WHERE)}"))
    elif where == "here" and sweep and (sweep.search.algorithm == "optuna" or sweep.search.stop_early):
        right = "runs grid and random searches without stop_early; use --where ray"
        wrong.append(Problem("--where", "'here'", right))
    if where == "here" and address is not None:
        wrong.append(Problem("--address", repr(address), "a cluster is for --where ray; leave one of them out"))
    return wrong


def pool(where: str, address: str | None) -> Pool:
    """The pool of that name; with ray: the cluster at `address`, or a local one. Nothing is started yet."""
    if where == "here":
        from impray.service.here import LocalPool

        return LocalPool()
    from impray.service.ray.pool import RayPool

    return RayPool(address)
