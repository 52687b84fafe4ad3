"""Whether MLflow can be written to: a server by HTTP, a sqlite file by opening one beside it."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import tempfile
import urllib.error
import urllib.request
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from impray.results.mlflow.chosen import chosen, is_server, shown
from impray.results.paths import Paths
from impray.results.store import within
from impray.service.doctor.finding import Finding, ok, warn, wrong

ANSWER_S = 5.0


def tracking(uri: str | None, out: str) -> list[Finding]:
    """Whether MLflow can be written to.

    Args:    uri: as `--mlflow` takes it; None is the environment's MLFLOW_TRACKING_URI, or a sqlite file in each sweep's folder.
             out: where sweeps' folders go.
    """
    if uri == "off":
        return [ok("MLflow", "off")]
    folder = within(out, "doctor")
    uri = chosen(folder, uri).uri
    if uri is not None and is_server(uri):
        return [_server(uri)]
    if uri is not None and not uri.startswith("sqlite:"):
        return [ok("MLflow", f"{shown(uri)}: not looked at, the sweep will")]
    if uri is not None:
        return [_sqlite(Path(unquote(urlsplit(uri).path)[1:] or ".").absolute().parent)]
    return [_sqlite(Paths(folder).mlflow.parent)]


def _server(uri: str) -> Finding:
    place, plain = shown(uri), shown(uri).rstrip("/")
    try:
        health = _get(f"{plain}/health", uri)
        has = _get(f"{plain}/version", uri).strip().strip('"')
        # Health is told to everybody; what a sweep asks may still want a login.
        _get(f"{plain}/api/2.0/mlflow/experiments/search", uri, {"max_results": 1})
    except urllib.error.HTTPError as error:
        return _refused(place, error.code)
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", error))
        return wrong("MLflow", f"{place} does not answer ({why})", "start it, or open the tunnel to it; check the port")
    if health.strip() != "OK":
        return wrong("MLflow", f"{place} answers, but not as MLflow does", "check the port and the path")
    mine = version("mlflow")
    if has.split(".")[0] != mine.split(".")[0]:
        return warn("MLflow", f"{place} is {has}, here {mine}", f"use a server of version {mine.split('.')[0]}")
    return ok("MLflow", f"{place} answers, version {has}")


def _refused(place: str, code: int) -> Finding:
    if code == 401:
        return wrong(
            "MLflow", f"{place} wants a login (401)", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if code == 403:
        host = urlsplit(place).netloc
        mend = f"start it with --allowed-hosts {host}, or reach it as 127.0.0.1 through a tunnel"
        return wrong("MLflow", f"{place} refuses this host name or login (403)", mend)
    return wrong("MLflow", f"{place} answers {code}", "check the port and the path")


def _get(address: str, uri: str, body: dict | None = None) -> str:
    """The answer's text, with the login that MLflow's client would send."""
    given = urlsplit(uri)
    user = given.username or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = given.password or os.environ.get("MLFLOW_TRACKING_PASSWORD") or ""
    headers = {"Content-Type": "application/json"} if body else {}
    if user:
        pair = f"{unquote(user)}:{unquote(password)}" if given.username else f"{user}:{password}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    content = json.dumps(body).encode() if body else None
    asked = urllib.request.Request(address, data=content, headers=headers)
    with urllib.request.urlopen(asked, timeout=ANSWER_S) as answer:
        return answer.read(10_000).decode("utf-8", "replace")


def _sqlite(folder: Path) -> Finding:
    """Network file systems without locks cannot hold a sqlite file."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    mend = "give --mlflow a server, or sqlite:////PATH on a disk of this machine"
    try:
        with tempfile.TemporaryDirectory(prefix=".impray-doctor-", dir=there) as scratch:
            with closing(sqlite3.connect(Path(scratch) / "try.db", timeout=ANSWER_S)) as database:
                database.execute("create table t (x)")
                database.commit()
    except (OSError, sqlite3.Error) as error:
        return wrong("MLflow", f"sqlite in {there}: {getattr(error, 'strerror', None) or error}", mend)
    return ok("MLflow", f"sqlite in {there}")
