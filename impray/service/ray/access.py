"""Who reaches Ray: a local one this machine only, and nobody without a token, which its owner alone can read."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from impray.spec.errors import Problem, SweepError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
# Ray resolves 127.0.0.1 to the address of a network card unless clusters are off, as they are where they never worked; then
# all of its servers listen on 127.0.0.1.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@contextmanager
def only_here(values: Mapping[str, str]) -> Iterator[None]:
    """Have these in the environment: what is started in here keeps them, what is started later does not get them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def ask_for_token(address: str | None) -> None:
    """Turn tokens on unless the user has said otherwise, before ray is imported; a local Ray gets one if there is none.

    Raises:  SweepError: the cluster at `address` will ask for a token, and there is none.
    """
    if "ray" not in sys.modules:  # it has read the mode; a local one turns tokens on by itself
        os.environ.setdefault(MODE, "token")
    if not with_token():
        return
    path = token_file()
    close_to_others(path)
    if has_token():
        return
    if address is not None:
        why = (
            f"there is no token for it: copy the head's ~/.ray/auth_token here, or set {MODE}=disabled if it uses none"
        )
        raise SweepError("impray sweep", [Problem("--address", repr(address), why)])
    try:
        _make(path)
    except OSError:  # a home folder that cannot be written: a token of this run only
        os.environ[TOKEN] = secrets.token_hex(32)


def with_token() -> bool:
    """Whether this process shows a token to whatever Ray it talks to."""
    return os.environ.get(MODE, "").lower() == "token"


def has_token() -> bool:
    """Whether there is a token to show."""
    return bool(os.environ.get(TOKEN)) or Path(os.environ.get(TOKEN_PATH) or token_file()).is_file()


def token_file() -> Path:
    """Where Ray keeps the token unless told otherwise."""
    return Path.home() / ".ray" / "auth_token"


def close_to_others(path: Path) -> None:
    """Ray makes the token's file readable for all; what is not ours to change is let alone."""
    with suppress(OSError):
        for place, mode in ((path.parent, 0o700), (path, 0o600)):
            status = place.lstat()
            if status.st_uid == os.geteuid() and not place.is_symlink() and status.st_mode & 0o077:
                place.chmod(mode)


def _make(path: Path) -> None:
    """Never readable for others, never half written; of two that make one at once, both get the same."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    aside = path.with_name(f"auth_token.{os.getpid()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()
