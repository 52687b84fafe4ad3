"""What was typed, before it is read: no word may be empty, and none may hold what is secret.

A login on a command line is in every list of processes and in the shell's history, and would be in the next command that impray tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from impray.spec.text import cut, secret_in

if TYPE_CHECKING:
    from impray.spec.errors import Problem

MOST_BYTES = 255  # of a file's name, in all file systems that are in use
_INSTEAD = {
    "--mlflow": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for a server, or MLFLOW_TRACKING_URI for a database; "
    "both stay in this process",
    "--address": "Ray takes none; open a tunnel and use http://127.0.0.1:8265",
}
_STORES = (
    "credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS ...) "
    "or the machine's role"
)


def problems_with(words: Sequence[str]) -> list[Problem]:
    """Words of a command line that are empty or hold a login, a signature or a key. What is secret is not told."""
    from impray.spec.errors import Problem

    problems = []
    for option, value in _pairs(words):
        if not value:
            problems.append(Problem(option, "''", "is empty; leave it out, or say what is meant"))
        elif why := _no_name(option, value):
            problems.append(Problem(option, repr(cut(value)), why))
        elif secret := secret_in(value) or ("a login" if option == "--address" and "@" in value else None):
            right = f"holds {secret}, which would be seen by all; {_INSTEAD.get(option, _STORES)}"
            problems.append(Problem(option, f"'{value.partition('://')[0]}://...'" if "://" in value else None, right))
    return problems


def _no_name(option: str, value: str) -> str | None:
    """Why no file and no folder can be called so; most words are names of these, and no other is so long."""
    longest = max(len(os.fsencode(part)) for part in value.split("/"))
    if option != "--set" and longest > MOST_BYTES:
        return f"has {longest} bytes without a slash; a name has at most {MOST_BYTES}"
    return "holds a null character; leave it out" if "\x00" in value else None


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, value) as far as that can be told without knowing the options; of a word by itself, what it seems to be."""
    option = ""
    for word in words:
        if word.startswith("--"):
            option, is_value, value = word.partition("=")
            if is_value:
                yield option, value
                option = ""
        else:
            yield option or "a word", word
            option = ""
