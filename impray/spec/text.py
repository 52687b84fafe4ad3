"""Text that others wrote, in messages of ours: shortened, and without what is secret. Also what may stand in a sweep at all.

A login or a signature in a URI would be written into sweep.yaml, the tables, MLflow and logs, so a sweep that holds one is refused
(`refusal`); and whatever is told of it anyway goes through `hidden`, which every error of ours and every problem does by itself.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

SHOWN = 80  # characters of a file's content, or of a value, that a message repeats
PATH_SHOWN = 240  # of a path: a name that is cut cannot be found
MOST_TEXT = 4096  # characters of a text in a sweep: as long as a path may be
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1  # that tables and number generators hold

# What stands before an `@`: `user`, or `user:password`, where a port is no password. A password may hold what should have been quoted,
# slashes, blanks and `@` too. gs://anonymous@bucket is pyarrow's way to ask without a login.
_LOGIN = re.compile(
    r"(?<=[A-Za-z0-9])(:/{1,2})(?!anonymous@|\[)"
    r"(?:[^\s/?#@]+|[^\s/?#@:]*:(?!\d+(?:[/?#\s'\"]|$))[^@\n]{0,300})@(?:[^\s@/]*@)*"
)
_OPTIONS = re.compile(r"(?<=[A-Za-z0-9])(:/{1,2}[^\s?]*\?)(\S+)")
_SECRET_NAME = re.compile(
    r"sig|token|secret|passw|passphrase|pwd|credential(?!_kind)|(api|access|account|private|shared|storage)[-_.]?key|^key$|^auth|jwt"
    r"|session|^x-(amz|goog|ms)-|^s[vrpe]$",
    re.IGNORECASE,
)
_QUOTED_LOGIN = re.compile(r"(%3A%2F%2F)[^\s'\"&]+%40", re.IGNORECASE)  # of a URI in the options of another one
_LOOSE_LOGIN = re.compile(
    r"(?<![\w/.@-])[^\s'\"/:=@]+:[^\s'\"/@]+@(?=[\w.-]+:\d)"
)  # user:password@host:6379, no scheme before it


def cut(text: str, most: int = SHOWN) -> str:
    """A text, its middle left out where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    end = (most - 3) // 3
    return f"{text[: most - 3 - end]}...{text[len(text) - end :]}"


def told(text: str, most: int) -> str:
    """A text as a message repeats it: without secrets, and cut. Of a very long one, only the beginning is looked at."""
    return cut(hidden(text), most) if len(text) <= MOST_TEXT else f"{hidden(text[:MOST_TEXT])[: most - 3]}..."


def hidden(text: str) -> str:
    """A text without the logins and signatures of the URIs in it."""
    if "@" not in text and "?" not in text and "%40" not in text:
        return text
    text = _QUOTED_LOGIN.sub(r"\1***%40", _LOGIN.sub(r"\1***@", text))
    text = _OPTIONS.sub(lambda match: f"{match[1]}***" if _has_signature(match[2]) else match[0], text)
    return _LOOSE_LOGIN.sub("***@", text)


def secret_in(text: str) -> str | None:
    """What is secret in a text: `a login` or `a signature or key`; None where nothing is."""
    if ":/" not in text and "%3A" not in text.upper():
        return None
    for version in dict.fromkeys((text, unquote(text))):
        if _LOGIN.search(version):
            return "a login"
        if any(_has_signature(match[2]) for match in _OPTIONS.finditer(version)):
            return "a signature or key"
    return None


def _has_signature(options: str) -> bool:
    names = re.findall(r"(?:^|[?&;#])([^=&;?#\s]+)=", unquote(options))
    return any(_SECRET_NAME.search(name) for name in names)


def refusal(value: Any) -> str | None:
    """Why a value, or one inside it, can stand in no field of a sweep; None where it may.

    Texts alone are looked at: what a field makes of numbers is its own.
    """
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, dict):
        return next((why for item in value.items() for part in item if (why := refusal(part))), None)
    if isinstance(value, (list, tuple)):
        return next((why for item in value if (why := refusal(item))), None)
    return None


def _of_text(text: str) -> str | None:
    if len(text) > MOST_TEXT:
        return f"has {len(text)} characters; must have at most {MOST_TEXT}"
    if "\x00" in text:
        return "holds a null character; leave it out"
    if secret := secret_in(text):
        return (
            f"holds {secret}, which would be written down with the results; leave it out: credentials come from the environment "
            "(AWS_ACCESS_KEY_ID, AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS ...) or the machine's role"
        )
    return None


def beyond(value: object) -> bool:
    """Whether a value is a whole number that no column and no number generator holds."""
    return isinstance(value, int) and not LEAST_INTEGER <= value <= MOST_INTEGER


def size(count: float) -> str:
    """Bytes for a person: `305 MiB`, `1.4 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB" if count < 1000 else f"{count / 1024:.3g} TiB"
