"""Which store is meant: what was given, else MLFLOW_TRACKING_URI, else the folder's own; and how one is shown without its secrets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from impray.results.paths import Paths
from impray.results.store import Place
from impray.spec.errors import Problem

VARIABLE = "MLFLOW_TRACKING_URI"  # as for every program that speaks to MLflow
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


@dataclass(frozen=True)
class ChosenStore:
    """A store, and a line on why it is this one, where that is not as typed and not in the sweep's folder."""

    uri: str | None  # None: the sqlite file of the folder's own
    said: str | None = None


def chosen(folder: Place, given: str | None) -> ChosenStore:
    """The store that is meant. `given` is what was typed, None where nothing was.

    The sqlite file of a sweep in a bucket lies in the user's cache on this machine, as a database cannot lie in a bucket.
    """
    named = os.environ.get(VARIABLE)
    if given is not None:
        return ChosenStore(given)
    if named:
        return ChosenStore(named, f"MLflow: {shown(named)} ({VARIABLE} says so)")
    paths = Paths(folder)
    if paths.store.local is None:
        return ChosenStore(None, f"MLflow: {paths.mlflow} (of this machine; for all to see: --mlflow or {VARIABLE})")
    return ChosenStore(None)


def problems(given: str | None) -> list[Problem]:
    """What is wrong with the URI that was given, or that the environment names; not whether anything answers there."""
    place, uri = ("--mlflow", given) if given is not None else (VARIABLE, os.environ.get(VARIABLE) or None)
    if uri is None:
        return []
    # MLflow takes any word for the name of a folder of files, which it does not support any more.
    right = "must be a URI, such as http://127.0.0.1:5000 or sqlite:///mlflow.db"
    if "://" not in uri:
        return [Problem(place, repr(shown(uri)), right)]
    kind = uri.partition("://")[0].partition("+")[0].lower()
    if kind not in _SERVERS + _DATABASES:
        return [Problem(place, repr(shown(uri)), f"{right}: {', '.join(_SERVERS + _DATABASES)} are known")]
    try:
        parts = urlsplit(uri)
        whole = kind == "sqlite" or bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    return [] if whole else [Problem(place, repr(shown(uri)), f"{right}: its host or port cannot be read")]


def is_server(uri: str | None) -> bool:
    return uri is not None and uri.lower().startswith(("http:", "https:"))


def shown(uri: str) -> str:
    """The URI without user, password and options, which may be secrets too. A path of sqlite has none."""
    scheme, mark, rest = uri.partition("://") if "://" in uri else ("", "", uri)
    if scheme.startswith("sqlite") and not _login(uri):
        return uri
    return f"{scheme}{mark}{rest.rpartition('@')[2].partition('?')[0]}"


def masked(text: str, uri: str) -> str:
    """A text of someone else's in which the URI or its secrets may be repeated, without them."""
    if uri == shown(uri):
        return text
    login, (_, _, options) = _login(uri), uri.rpartition("@")[2].partition("?")
    values = [option.partition("=")[2] for option in options.split("&")]
    secrets = {uri: shown(uri)} | dict.fromkeys([login, *login.split(":", 1), options, *values], "***")
    secrets |= {unquote(secret): hidden for secret, hidden in secrets.items()}
    for secret, hidden in sorted(secrets.items(), key=lambda item: -len(item[0])):
        text = text.replace(secret, hidden) if len(secret) > 2 else text
    return text


def _login(uri: str) -> str:
    """`user:password`, however it is spelled: all up to the last `@`."""
    scheme, mark, rest = uri.partition("://")
    rest = rest if mark else uri
    if scheme.startswith("sqlite") and rest.startswith("/"):
        return ""  # a path
    return rest.rpartition("@")[0]
