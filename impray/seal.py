"""Seals: a digest that a file carries of all its other bytes, so that a flipped bit is seen before it becomes a number.

    seal = "impray-seal:" + blake2b(content with 32 zeros in the digest's place), 16 bytes in hex

The writer puts `BLANK` somewhere in the content (the metadata of a Parquet or safetensors file, a comment) and seals the whole.
Where the mark stands several times, the last one counts. Files of versions before 0.4.0 carry none.
"""

from __future__ import annotations

import hashlib
import re

_MARK = b"impray-seal:"
_DIGITS = 32
BLANK = (_MARK + b"0" * _DIGITS).decode()
_SEAL = re.compile(re.escape(_MARK) + b"([0-9a-f]{%d})" % _DIGITS)


def sealed(content: bytes) -> bytes:
    """The content with its digest in place of the last `BLANK`, which must be there."""
    start = content.rindex(BLANK.encode()) + len(_MARK)
    return b"".join((content[:start], _digest(content, start), content[start + _DIGITS :]))


def intact(content: bytes) -> bool | None:
    """Whether the content is what was sealed; None where it carries no seal."""
    # Searched from the end in steps: a regular expression over hundreds of megabytes would take longer than their digest.
    end = len(content)
    while (at := content.rfind(_MARK, 0, end)) >= 0:
        seal = _SEAL.match(content, at)
        if seal:
            return seal.group(1) == _digest(content, seal.start(1))
        end = at
    return None


def _digest(content: bytes, start: int) -> bytes:
    view, digest = memoryview(content), hashlib.blake2b(digest_size=_DIGITS // 2)
    for part in (view[:start], b"0" * _DIGITS, view[start + _DIGITS :]):
        digest.update(part)
    return digest.hexdigest().encode()
