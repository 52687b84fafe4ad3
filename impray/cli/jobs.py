"""`impray sweep --address http://...`: the sweep runs as a job on a cluster; this process follows it and may go away."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import urlsplit

import typer

from impray import __version__
from impray.scratch import scratch
from impray.service import stopping

if TYPE_CHECKING:
    from impray.spec.errors import Problem

SENT_BY = "IMPRAY_SENT_BY"  # the version that sent a job, for the cluster's to compare with


def is_outside(address: str | None) -> TypeGuard[str]:
    """Whether an address is a dashboard's, to which jobs are sent."""
    return address is not None and address.startswith(("http://", "https://"))


def address_problems(address: str | None, out: str | Path, mlflow: str | None, stop: bool) -> list[Problem]:
    """What is wrong with an address, and with a place that the machine there cannot mean."""
    from impray.spec.errors import Problem

    if address is not None and address.startswith("ray://"):
        right = "Ray's client cannot run a sweep; use the dashboard's address, such as http://127.0.0.1:8265"
        return [Problem("--address", repr(address), right)]
    if address is not None and not is_outside(address) and "@" in address:
        return [Problem("--address", None, "holds a login, which Ray takes none of")]
    if not is_outside(address):
        right = "is for a cluster's dashboard, such as --address http://127.0.0.1:8265; here, press Ctrl-C"
        return [Problem("--stop", None, right)] if stop else []
    problems = login_problems(address)
    if mlflow is not None and "@" in urlsplit(mlflow).netloc:
        right = (
            "holds a login, which is not sent; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD on the cluster"
        )
        problems.append(Problem("--mlflow", f"'{urlsplit(mlflow).scheme}://...'", right))
    return problems + out_problems(out)


def login_problems(address: str) -> list[Problem]:
    """What is wrong with the address of a dashboard: it must not hold what is secret."""
    from impray.spec.errors import Problem

    if "@" not in urlsplit(address).netloc:
        return []
    right = "holds a login, which Ray takes none of; open a tunnel and use http://127.0.0.1:8265"
    return [Problem("--address", f"'{urlsplit(address).scheme}://...'", right)]


def out_problems(out: str | Path) -> list[Problem]:
    """What is wrong with a place for results on a cluster that is reached from outside."""
    from impray.results.store import in_bucket
    from impray.spec.errors import Problem

    if in_bucket(str(out)) or Path(out).is_absolute():
        return []
    right = "must be a place that the cluster sees: s3://bucket/runs, gs://bucket/runs, or an absolute path of a shared disk"
    return [Problem("--out", repr(str(out)), right)]


@dataclass(frozen=True)
class Sent:
    """What a cluster is sent: a sweep's YAML, its plugins, and those of the user's own scripts that draw its figures."""

    path: Path
    name: str
    plugins: Sequence[str] = ()
    scripts: Sequence[Path] = ()

    def laid(self, folder: Path) -> list[str]:
        """Copies all into a folder; the words after `impray sweep` that name it there."""
        file = f"{self.name}.yaml"
        (folder / file).write_bytes(self.path.read_bytes())
        for script in self.scripts:
            (folder / script.name).write_bytes(script.read_bytes())
        return [file, *_with_plugins(self.plugins, folder)]


def run(sent: Sent, words: list[str], out: str | Path, address: str, again: str, stop: bool) -> int:
    """Send a sweep to a cluster, or follow the job that is running it already; the exit code of `impray sweep` there.

    Args:    words: the options of `impray sweep` there, apart from file and address. again: the command that was typed.
    Raises:  SweepError: the cluster cannot be reached, or does not do it.
    """
    from impray.service.ray.jobs import Jobs

    jobs, name = Jobs(address), sent.name
    sweep = hashlib.blake2b(f"{name} {out}".encode(), digest_size=4).hexdigest()
    id = jobs.running(sweep)
    if stop:
        if id is None:
            typer.echo(f"no job runs {name} into {out}")
            return 0
        jobs.stop(id)
        typer.echo(f"asked to stop: {id}; go on with: {again}")
        return 0
    try:
        if id is not None:
            typer.echo(f"following {id}, which runs already; Ctrl-C leaves it running")
        else:
            with scratch("job") as folder:
                file, *more = sent.laid(folder)
                command = shlex.join(["impray", "sweep", file, *words, *more, "--address", "auto"])
                id = jobs.submit(sweep, name, command, str(folder), {SENT_BY: __version__})
            typer.echo(f"sent as {id}; Ctrl-C leaves it running")
        return jobs.follow(id, lambda text: typer.echo(text, nl=False))
    except KeyboardInterrupt:
        typer.echo(
            f"\nleft running: {id or 'what was sent, if anything'}\nfollow it with: {again}\nstop it with: {again} --stop",
            err=True,
        )
        return ending.code if (ending := stopping.current()) else 130


def _with_plugins(plugins: Sequence[str], folder: Path) -> list[str]:
    """Copy plugins beside the YAML that is sent; the option that names them there."""
    places = [f"{position}/{Path(plugin).name}" for position, plugin in enumerate(plugins)]
    for place, plugin in zip(places, plugins, strict=True):
        (folder / place).parent.mkdir()
        (folder / place).write_bytes(Path(plugin).read_bytes())
    return ["--set", f"plugins=[{', '.join(places)}]"] if places else []


def told_version() -> None:
    """On the cluster: a line if the machine that sent this job has another version."""
    sent_by = os.environ.get(SENT_BY)
    if sent_by is not None and sent_by != __version__:
        typer.echo(
            f"warning: sent by impray {sent_by}, and this cluster has {__version__}; run `ray up` again", err=True
        )
