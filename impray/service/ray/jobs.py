"""A sweep as a job of a Ray cluster that is reached from outside, through its dashboard: submit, follow, stop."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from impray.service.ray import access
from impray.service.ray.head import silent
from impray.spec.errors import Problem, SweepError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

CONNECT_S = 3.0
AGENT_S = 20.0
SWEEP = "impray.sweep"  # in a job's metadata: which sweep, into which place
# A job is stopped as by Ctrl-C, and has a minute to say what is done before it is killed.
STOPPED_BY = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "60"}


class Jobs:
    """The jobs of one cluster.

    Raises:  SweepError: nobody answers at the address within CONNECT_S, or not to us.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        with _told(address):
            _reachable(address)
            self._client = client_of(address)

    def running(self, sweep: str) -> str | None:
        """The job that is running this sweep, or waits to."""
        jobs = [job for job in self._all(sweep) if job.status in ("PENDING", "RUNNING")]
        return jobs[0].submission_id if jobs else None

    def submit(self, sweep: str, name: str, command: str, folder: str, more: Mapping[str, str]) -> str:
        """Start a command on the cluster, in a folder with the files of `folder`; the job's id."""
        id = f"impray-{name}-{sweep}-{len(self._all(sweep)) + 1}"
        environment = {"working_dir": folder, "env_vars": {**STOPPED_BY, **more}}
        with _told(self.address):
            return submitted(
                self._client, entrypoint=command, submission_id=id, runtime_env=environment, metadata={SWEEP: sweep}
            )

    def follow(self, id: str, say: Callable[[str], None]) -> int:
        """Pass on what a job prints, from its beginning, until it ends; its exit code."""

        async def tail() -> None:
            async for lines in self._client.tail_job_logs(id):
                say(lines)

        with _told(self.address):
            asyncio.run(tail())
            info = self._client.get_job_info(id)
        if info.status in ("PENDING", "RUNNING"):  # the connection ended before the job did
            raise SweepError(
                self.address, [Problem("--address", None, "the connection was lost; the job goes on there")]
            )
        if info.status == "STOPPED":
            return 130
        if info.driver_exit_code is None:
            say(f"the job ended without an exit code: {info.message}\n")
            return 1
        return info.driver_exit_code if info.driver_exit_code >= 0 else 128 - info.driver_exit_code

    def stop(self, id: str) -> None:
        """Stop a job as Ctrl-C would; returns at once."""
        with _told(self.address):
            self._client.stop_job(id)

    def _all(self, sweep: str) -> list[Any]:
        with _told(self.address):
            return [job for job in self._client.list_jobs() if (job.metadata or {}).get(SWEEP) == sweep]


def client_of(address: str) -> JobSubmissionClient:
    """A client that shows this machine's token, if there is one, and prints nothing."""
    os.environ.setdefault(access.MODE, "token" if access.has_token() else "disabled")
    from ray.job_submission import JobSubmissionClient

    for name in ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return JobSubmissionClient(address)


def submitted(client: JobSubmissionClient, **job: Any) -> str:  # noqa: ANN401
    """Submit a job; its id. A head that has just started takes jobs later than it answers: for AGENT_S it is tried again.

    Raises:  RuntimeError: the cluster does not take it.
    """
    end = time.monotonic() + AGENT_S
    while True:
        try:
            return client.submit_job(**job)
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(1)


def _reachable(address: str) -> None:
    """Ray's client would wait for minutes: for a connection, and for the first word of who takes it and says nothing.

    Raises:  OSError: nobody answers within CONNECT_S.
    """
    place, until = urlsplit(address), time.monotonic() + CONNECT_S
    port = place.port or (443 if place.scheme == "https" else 80)
    if why := silent(f"{place.hostname}:{port}", CONNECT_S):
        raise ConnectionError(why)
    if place.scheme == "https":  # whose certificate counts is Ray's client's to know
        return
    asked = http.client.HTTPConnection(place.hostname or "", port, timeout=max(1.0, until - time.monotonic()))
    with closing(asked):
        try:
            asked.request("GET", f"{place.path.rstrip('/')}/api/version")
            asked.getresponse()  # whatever it says: also that it wants a token
        except http.client.HTTPException as error:
            raise ConnectionError("what answers there is no dashboard of Ray's") from error


@contextmanager
def _told(address: str) -> Iterator[None]:
    """What Ray's client says, as an error of ours with what mends it."""
    try:
        yield
    except SweepError:
        raise
    except Exception as error:  # requests, aiohttp and Ray's own, of many kinds
        text = " ".join(str(error).split())
        if "401" in text or "403" in text or "authenticat" in text.lower() or "token" in text.lower():
            right = (
                "the cluster does not take this token; put the head's ~/.ray/auth_token in place of yours (mode 0600)"
            )
        elif isinstance(error, (OSError, ConnectionError)):
            why = getattr(error, "strerror", None) or text or type(error).__name__
            right = f"nobody answers there ({why}); is the tunnel open, as by `ray dashboard cluster.yaml`?"
        elif "ray[default]" in text:
            right = "needs the packages of clusters here: pip install 'impray[cluster]'"
        else:
            right = f"the cluster does not do it: {text[:300]}"
        raise SweepError("impray sweep", [Problem("--address", repr(address), right)]) from error
