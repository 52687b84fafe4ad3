"""Processes that a command starts and that must not outlive it: they and all that they start end with it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from impray.service import stopping

STOP_S = 5.0  # for one that was asked to end


@contextmanager
def child(words: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """A process in a session of its own, so that Ctrl-C in a terminal is for this one; it has ended when the block is left.

    Args:    options: of `subprocess.Popen`.
    """
    process = subprocess.Popen(words, **options, start_new_session=True)
    try:
        yield process
    finally:
        with stopping.softly():
            end(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def end(process: subprocess.Popen) -> None:
    """End a process and its session's others: asked, then killed. Nothing happens to one that has ended with all of them."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):  # macOS: no permission for a group of which all are gone
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            break
    with suppress(ProcessLookupError, PermissionError):  # those that its end left behind
        os.killpg(process.pid, signal.SIGKILL)
