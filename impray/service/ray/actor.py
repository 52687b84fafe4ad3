"""The actor: one Tune trainable that owns a device slot and runs one pack after another; one `step()` is one round."""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Mapping
from threading import Thread
from typing import Any

from ray import tune

from impray.journey import run_pack
from impray.results import failures, goals
from impray.results.store import Store, opened
from impray.results.store.lease import LOOK_S, RUNNING, Watch, still, taken_over
from impray.service.device import use_device
from impray.service.ray.scheduling import compared
from impray.spec.errors import LineagesEnded, StorageError
from impray.spec.pack import Pack
from impray.spec.plugins.joined import receive
from impray.spec.plugins.loading import PluginError
from impray.spec.search import Criterion


class PackTrainable(tune.Trainable):
    """Tune's class trainable. Its checkpoint is an empty pointer: a restarted one replays finished rounds from the tables."""

    def setup(self, config: dict[str, Any]) -> None:
        os.environ["IMPRAY_WORKING_FOLDER"] = config["working_folder"]
        self.device = use_device(config["cpu"], config["gpu"])
        self._open(config)
        if self.epoch:
            Thread(target=_end_with_the_driver, args=(self.store, self.epoch), name="lease-watch", daemon=True).start()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Reuse this process, its imports and its data for the next pack."""
        self._open(new_config)
        return True

    def _open(self, config: Mapping[str, Any]) -> None:
        self.store, self.epoch = opened(config["store"]), config["epoch"]
        self.stop_early = Criterion.model_validate(config["stop_early"]) if config["stop_early"] else None
        self.unusable = config.get("given_up", "")
        if self.unusable:
            return
        try:
            receive(config["plugins"])
        except (
            PluginError
        ) as error:  # told in the first step: Tune would start an actor that fails here again and again
            self.unusable = str(error)
            return
        self.pack = Pack.model_validate_json(config["pack"])
        self.rounds = run_pack(self.pack, self.store, self.device)

    def step(self) -> dict[str, Any]:
        """Run the next round; a folder that takes nothing any more is told, so that the driver ends the sweep."""
        if self.unusable:
            return {"round": -1, "done": True, "failed": self.unusable, "unrecorded": True, **self._worst()}
        try:
            return self._round()
        except StorageError as error:
            return {"round": self.iteration, "done": True, "failed": str(error), "unwritable": True, **self._worst()}

    def _round(self) -> dict[str, Any]:
        """A Python error is a row in `failures` and ends this pack only; trying again would repeat it."""
        try:
            if self.epoch and not still(self.store, RUNNING, self.epoch):
                raise taken_over(self.store)
            round = next(self.rounds)
            if round == self.pack.rounds:
                for _ in self.rounds:  # what comes after the last round: the fates
                    pass
            return {"round": round, "done": round == self.pack.rounds, "failed": "", **self._progress(round)}
        except StorageError:
            raise
        except LineagesEnded as error:  # recorded one by one, and the rest of the pack has finished
            result = {"round": self.pack.rounds, "done": True, "failed": str(error), "lineages": error.lineages}
            return {**result, **self._worst()}
        except Exception as error:
            failures.write(self.store, self.pack, self.iteration, error, traceback.format_exc())
            return {
                "round": self.iteration,
                "done": True,
                "failed": f"{type(error).__name__}: {error}",
                **self._worst(),
            }

    def _progress(self, round: int) -> dict[str, float]:
        if self.stop_early is None:
            return {}
        ids = [lineage.id for lineage in self.pack.lineages]
        packs = None if self.pack.known else [part.id for part in self.pack.parts]
        value = goals.value(self.stop_early, self.store, ids, round, packs)
        return {"progress": compared(self.stop_early, value)}

    def _worst(self) -> dict[str, float]:
        return {} if self.stop_early is None else {"progress": compared(self.stop_early, math.nan)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: tables and checkpoints of the sweep's folder are the state."""

    def load_checkpoint(self, checkpoint: Any) -> None:  # noqa: ANN401
        """Nothing: `run_pack` skips what is done."""


def _end_with_the_driver(store: Store, epoch: int) -> None:
    """Ray ends the actors of a driver that it sees die. This is for the others: behind a broken network, or when another driver has
    taken the folder over in the middle of a long round.
    """
    watch = Watch(store, RUNNING, epoch)
    while watch.lives():
        time.sleep(LOOK_S)
    os._exit(1)
