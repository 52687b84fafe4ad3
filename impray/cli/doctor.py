"""`impray doctor`: what a sweep will meet, and how to mend what is wrong."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli import completing
from impray.cli.app import MlflowUri, answered, app, cluster_of, store_problems
from impray.cli.jobs import is_outside, login_problems, out_problems
from impray.service.said import load_sweep, name_of

if TYPE_CHECKING:
    from rich.console import Console

    from impray.service.doctor import DoctorRequest, Finding
    from impray.spec.errors import Problem

STYLES = {"ok": "green", "warn": "yellow", "wrong": "red"}
BEFORE = 7  # columns of the level and the blanks after it


@app.command()
def doctor(
    file: Annotated[
        str | None, typer.Argument(help="A sweep's YAML file: is there room for it?", autocompletion=completing.sweeps)
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", help="Where sweeps' folders go: a folder or s3://bucket/runs. Default: runs.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster: auto, host:port or http://...; default: RAY_ADDRESS, else local.")
    ] = None,
    mlflow: MlflowUri = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What a sweep will meet: versions, token, Ray, GPUs, storage, MLflow, clocks, room; with what mends it.

    Exit code 1 if something is wrong.
    """
    with answered():
        from rich.console import Console

        from impray.service.doctor import examine

        asked = question(file, out, address, mlflow)
        console = Console(stderr=as_json, width=None if sys.stdout.isatty() else 120)
        findings: list[Finding] = []
        with console.status("looking") as status:
            for finding in examine(asked, lambda what: status.update(f"looking: {what}")):
                findings.append(finding)
                if not as_json:
                    tell(finding, console)
    if as_json:
        typer.echo(json.dumps({"findings": [finding.document() for finding in findings]}))
    else:
        typer.echo(ending(findings, file, out, address, mlflow))
    raise typer.Exit(1 if any(finding.level == "wrong" for finding in findings) else 0)


def question(file: str | None, out: str | None, address: str | None, mlflow: str | None) -> DoctorRequest:
    """What is to be looked at.

    Raises:  SweepError: something cannot be meant, each with what would be right.
    """
    from impray.results.store import problems as place_problems
    from impray.service.doctor import DoctorRequest
    from impray.spec.errors import SweepError
    from impray.spec.yaml_text import text_of

    address, _ = cluster_of(address)
    wrong = [*place_problems("--out", out or "runs"), *_address_problems(address), *_mlflow_problems(mlflow)]
    if out is not None and is_outside(address):
        wrong += out_problems(out)
    sweep, path = load_sweep(file, [], lambda _: wrong) if file is not None else (None, None)
    if wrong:
        raise SweepError("impray doctor", wrong)
    name = "" if path is None else name_of(path)
    return DoctorRequest(
        out or "runs",
        out is not None,
        address,
        mlflow,
        sweep,
        name,
        "" if path is None else text_of(path, str(path)),
    )


def _mlflow_problems(mlflow: str | None) -> list[Problem]:
    return [] if mlflow == "off" else store_problems(mlflow)


def _address_problems(address: str | None) -> list[Problem]:
    from impray.spec.errors import Problem

    if is_outside(address):
        return login_problems(address)
    host, mark, port = (address or "").rpartition(":")
    if address is None or address == "auto":
        return []
    if "://" not in address and mark and host and port.isdigit() and 0 < int(port) < 65536:
        return []
    right = "must be auto, local, host:port (6379), or http://host:8265"
    return [Problem("--address", repr(address), f"{right}; ray:// is for Ray's client, which sweeps do not use")]


def tell(finding: Finding, console: Console) -> None:
    """A line; what is not well goes on below it with its mend."""
    from rich.text import Text

    level = Text(f"{finding.level:<{BEFORE - 2}}  ", STYLES[finding.level])
    line = f"{finding.what}: {finding.value}"
    if finding.level == "ok":
        text = Text.assemble(level, line)
        text.truncate(console.width, overflow="ellipsis")
        console.print(text, highlight=False, no_wrap=True)
        return
    width = max(20, console.width - BEFORE)
    parts = [
        part for words in (line, f"-> {finding.mend}") for part in textwrap.wrap(words, width, break_long_words=False)
    ]
    for number, part in enumerate(parts):
        console.print(Text.assemble(level if number == 0 else " " * BEFORE, part), highlight=False, soft_wrap=True)


def ending(findings: list[Finding], file: str | None, out: str | None, address: str | None, mlflow: str | None) -> str:
    """How many of each, and the command that comes next."""
    from impray.results.mlflow import shown

    counts = {level: sum(finding.level == level for finding in findings) for level in STYLES}
    counted = f"{counts['ok']} ok, {counts['warn']} to think about, {counts['wrong']} wrong"
    words = [*([file] if file else []), *(["--out", out] if out else [])]
    words += [*(["--address", address] if address else []), *(["--mlflow", shown(mlflow)] if mlflow else [])]
    if counts["wrong"]:
        return f"{counted}\nnext: mend what is wrong, then {shlex.join(['impray', 'doctor', *words])}"
    return f"{counted}\nnext: {shlex.join(['impray', 'sweep', *words])}"
