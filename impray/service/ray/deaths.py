"""What becomes of a pack whose actor dies: it goes on, unless it has died too often without finishing a round in between.

A machine that is taken away, or crashes, says nothing of the pack: that has a budget of its own, so that a sweep of weeks on spot
machines does not use up a pack's retries. An actor that dies on a machine that lives (killed for memory, a crash in native code)
costs a retry; one death costs one, however often Tune tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

RETRIES = 3  # of a round whose actor died; a Python error is not tried again
LOSSES = 100  # machines that may be lost under a pack in one round


@dataclass
class Deaths:
    """Of one pack since it last finished a round. `lost` names machines that are gone; asked late, since Ray notices late."""

    lost: Callable[[], set[str]]
    machines: dict[str, str | None] = field(default_factory=dict)  # actor -> its machine, where that is known

    def note(self, actor: str, machine: str | None) -> None:
        self.machines[actor] = machine

    def finished_round(self) -> None:
        self.machines.clear()

    @property
    def losses(self) -> int:
        """Deaths that came with their machine."""
        lost = self.lost()
        return sum(machine in lost for machine in self.machines.values())

    def too_many(self) -> str:
        """Why the pack is given up; "" if it is tried again."""
        losses = self.losses
        if len(self.machines) - losses > RETRIES:
            return f"its actor died {RETRIES + 1} times in one round"
        return f"it lost {losses} machines in one round" if losses > LOSSES else ""


def machine_of(actor: str) -> str | None:
    """The id of the machine that an actor was on, also once it is dead; None where Ray does not know."""
    from ray._private.state import actors  # what is public of it needs a dashboard

    return actors(actor).get("Address", {}).get("NodeID") or None


def lost_machines() -> set[str]:
    """Ids of machines that were in the cluster and are gone."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if not node["Alive"]}
