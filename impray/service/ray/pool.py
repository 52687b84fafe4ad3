"""Packs on Ray: Tune gives each to an actor that owns a device slot, reuses the actor, and starts it again when it dies."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impray.service import stopping
from impray.service.pool import Events, Proposals, Work
from impray.service.ray import access, fetched, head, warden
from impray.service.ray.warden import Warden
from impray.spec.counts import fits
from impray.spec.errors import PoolError, Problem, SweepError
from impray.spec.plugins.joined import sent
from impray.spec.sweep import Sweep

if TYPE_CHECKING:
    from impray.service.ray.search import PackSearcher

# Set before ray is imported: quiet, no loggers of its own, no usage report, none of it listening beyond this machine.
ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000000",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# Read as ray is imported. With it, SIGTERM would print a stack of C++ and end the process at once.
OF_THE_DRIVER = {"RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1"}
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)  # actors inherit them; torch is pinned again in each

PATIENCE_S = 45.0  # with the head of a cluster, which may be started again; Ray's own client ends the process after 60
GIVE_UP_S = 6.0  # for a way out of Ray that has lost a server


def connect(address: str | None, sweep: Sweep, environment: Mapping[str, str] | None = None) -> int:
    """Start a local Ray, or join the one at `address`; returns how many packs can run at once (at least 1).

    Args:    environment: what the processes of a local Ray have in theirs besides.
    Raises:  SweepError: nobody answers at `address`, or not without a token, or this machine has not what one pack asks for
             (a cluster may still grow).
             Stopped: the command was asked to end while Ray started.
    """
    threads = {name: str(max(1, int(sweep.resources.cpu))) for name in THREADS}
    for name, value in {**ENVIRONMENT, **threads}.items():
        os.environ.setdefault(name, value)
    if address is None:
        access.ask_for_token(None)
    else:
        check(address)
    # Ray decides as it is imported whether it listens on this machine alone.
    with access.only_here({**OF_THE_DRIVER, **(access.LOOPBACK if address is None else {})}):
        import ray
    with access.only_here({**access.LOOPBACK, **(environment or {})} if address is None else {}):
        _init(address)
    stopping.again()  # Ray has its own way with SIGTERM
    stopping.due()

    if address is None:
        _enough(ray.cluster_resources(), sweep)
        return slots(ray.cluster_resources(), sweep)
    # Workers that the autoscaler has not fetched yet: one pack would keep the others from ever being asked for.
    coming = fetched.most()
    there = ray.cluster_resources()
    return slots({name: max(there.get(name, 0), coming.get(name, 0)) for name in {*there, *coming}}, sweep)


def check(address: str) -> None:
    """See `head.check`; ray is imported as a driver needs it.

    Raises:  SweepError: no Ray answers there, or not to us.
    """
    with access.only_here(OF_THE_DRIVER):
        head.check(address)


def _init(address: str | None) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    if ray.is_initialized():
        return
    # "local" and not None: without it ray joins whatever stale cluster a file on disk still names.
    # A cluster that is joined has its own dashboard, and refuses to be told about one.
    dashboard = False if address is None else None
    try:
        _started(address or "local", dashboard)
    except AuthenticationError as error:
        why = "the token there is another one than here: copy the head's ~/.ray/auth_token here"
        raise SweepError("impray sweep", [Problem("--address", repr(address), why)]) from error
    except (ConnectionError, ValueError) as error:
        why = f"no Ray cluster answers there ({str(error).splitlines()[0]})"
        why += "" if access.with_token() else f"; if it uses a token, set {access.MODE}=token"
        raise SweepError("impray sweep", [Problem("--address", repr(address), why)]) from error


def _started(address: str, dashboard: bool | None) -> None:
    """Ray gives its own processes 30 s to start, whatever else the machine does: a second try finds them in memory."""
    import ray

    for last in (address != "local", True):
        try:
            ray.init(address, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
            return
        except Exception as error:  # it raises bare Exceptions
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise
            if last:
                right = "Ray's processes did not start within 30 s; is the machine busy, or its memory full? Then run this again"
                raise SweepError("impray sweep", [Problem("--where", "'ray'", right)]) from error


def _enough(resources: Mapping[str, float], sweep: Sweep) -> None:
    """Tune would wait for ever for what a local Ray will never have."""
    asked = {"cpu": sweep.resources.cpu, "gpu": sweep.resources.gpu}
    short = {
        name: resources.get(name.upper(), 0) for name, count in asked.items() if count > resources.get(name.upper(), 0)
    }
    if short:
        disconnect()
        problems = [Problem(f"resources.{n}", f"{asked[n]:g}", f"this machine has {has:g}") for n, has in short.items()]
        raise SweepError("impray sweep", problems)


def slots(resources: Mapping[str, float], sweep: Sweep) -> int:
    """Packs that fit at once."""
    asked = sweep.resources
    fit = [fits(asked.cpu, resources.get("CPU", 0))]
    if asked.gpu > 0:
        fit.append(fits(asked.gpu, resources.get("GPU", 0)))
    return max(1, min(fit))


def disconnect() -> None:
    if "ray" in sys.modules:  # its import may have been cut short
        import ray

        ray.shutdown()


class RayPool:
    """Ray's actors: of a local Ray that is started and ended with the pool, or of the cluster at `address`."""

    name = "ray"

    def __init__(self, address: str | None = None) -> None:
        self.address, self.elsewhere = address, address is not None

    def open(self, sweep: Sweep) -> int:
        self._warden = Warden(_ray_folder() if self.address is None else None)
        self._vigil: head.Vigil | None = None
        self._gone = ""
        try:
            slots = connect(self.address, sweep, self._warden.environment)
            self._vigil = head.Vigil(head.servers(), PATIENCE_S if self.address else 0.0, self._is_gone, self._is_late)
            return slots
        except BaseException as error:
            stopping.again()
            with stopping.softly():
                self.close()  # also after Ctrl-C: Ray starts its servers one after the other
            if isinstance(error, SystemExit):  # Ray's own answer to a SIGTERM that comes while it starts
                stopping.hear(signal.SIGTERM)
            raise

    def close(self) -> None:
        if self._vigil is not None:
            self._vigil.close()
        if self._gone and self.address is None:
            warden.end(self._warden.mark, patiently=False)  # the others of a Ray that has lost one would wait for it
        disconnect()
        self._warden.goodbye()

    def run(self, work: Work, proposals: Proposals, events: Events) -> bool:
        with stopping.softly():
            try:
                _run(work, proposals, events, self._warden.scratch, lambda: bool(self._gone) or stopping.asked())
            except KeyboardInterrupt:
                if not self._gone and not stopping.asked():
                    raise
        if self._gone:
            raise PoolError(self._gone, told=stopping.current() is not None)
        # Where nobody hears signals for it, Tune takes Ctrl-C for an end: the driver sees what is left.
        return stopping.asked()

    def _is_gone(self, server: str, seconds: float) -> None:
        """In the vigil's thread: the main one may wait for a server that is not there."""
        self._gone = f"Ray has ended: {server} has not answered for {seconds:.0f} s; nothing is lost"
        if ending := stopping.current():
            ending.say(self._gone)
            ending.within(GIVE_UP_S, 2)

    def _is_late(self, server: str, seconds: float) -> None:
        if ending := stopping.current():
            ending.say(f"Ray: {server} has not answered for {seconds:.0f} s; waiting up to {PATIENCE_S:.0f} s")


def _ray_folder() -> Path:
    """Where a local Ray puts its sessions; as Ray chooses it."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray")


def _run(work: Work, proposals: Proposals, events: Events, scratch: Path, over: Callable[[], bool]) -> None:
    """Search with Tune, and again for packs that it gave up by itself, and for the parts of those that failed as it ended."""
    from impray.service.ray.search import PackSearcher

    for name in ("ray", "ray.tune"):  # they print the traces of actors that die; what matters of them is told by ours
        logging.getLogger(name).setLevel(logging.CRITICAL)
    searcher = PackSearcher(proposals, events, work.store, last=False)
    _search(work, searcher, scratch, over)
    # After Ctrl-C, which Tune takes for an end, packs are open.
    while (searcher.lost or proposals.left) and not searcher.open and searcher.unwritable is None and not over():
        searcher = PackSearcher(proposals, events, work.store, searcher.lost)
        _search(work, searcher, scratch, over)


def _search(work: Work, searcher: PackSearcher, scratch: Path, over: Callable[[], bool]) -> None:
    """Raises:  StorageError: the store takes nothing any more."""
    from ray import tune

    from impray.service.ray.actor import PackTrainable
    from impray.service.ray.scheduling import scheduler
    from impray.service.ray.search import Announcer

    sweep = work.sweep
    # With a searcher Tune has one trial waiting at a time. Where a round takes less than an actor's start, the actor that
    # is free takes it each time, and no second one ever starts. Optuna is asked as late as possible.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1" if sweep.search.algorithm == "optuna" else "16"
    resources = {"cpu": sweep.resources.cpu, "gpu": sweep.resources.gpu}
    trainable: Any = tune.with_resources(
        PackTrainable, tune.PlacementGroupFactory([{k.upper(): v for k, v in resources.items() if v}])
    )
    tuner = tune.Tuner(
        trainable,
        param_space=_settings(work),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=10**9,  # the proposals say when it is enough
            scheduler=scheduler(sweep, work.rungs),
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"search-{len(list(scratch.glob('search-*')))}",
            storage_path=str(scratch),  # Tune's own files: thrown away, the tables are the truth
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=-1),  # `Announcer` says when it is enough
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[Announcer(searcher, searcher.events, over)],
        ),
    )
    with access.only_here({"TUNE_DISABLE_SIGINT_HANDLER": "1"} if stopping.current() else {}):
        tuner.fit()
    if searcher.unwritable is not None:
        raise searcher.unwritable


def _settings(work: Work) -> dict[str, Any]:
    """What each actor is given beside its pack."""
    stop = work.sweep.search.stop_early
    return {
        "cpu": work.sweep.resources.cpu,
        "gpu": work.sweep.resources.gpu,
        "store": work.store.absolute,
        "epoch": work.epoch,
        "working_folder": os.getcwd(),
        "plugins": sent(work.sweep),
        "stop_early": stop.model_dump(exclude={"grace", "factor"}) if stop else None,
    }
