"""One case at a time: its processor time and memory are bounded, and a time that runs out is told with the case."""

import os
import resource
import signal
from contextlib import contextmanager

COUNT = int(os.environ.get("IMPRAY_FUZZ", "0"))  # of cases, where more than the suite's are wanted
SEED = int(os.environ.get("IMPRAY_FUZZ_SEED", "0"))
MOST_S, MOST_BYTES = 20.0, 1 << 30


def cases(usual: int) -> range:
    return range(COUNT or usual)


class TooLong(BaseException):
    """No Exception: what catches those must not take this for an answer."""


@contextmanager
def watched(case: str, seconds: float = MOST_S):
    """Processor time of what is inside is at most `seconds`, and this process grows by at most `MOST_BYTES`."""

    def stop(*_):
        raise TooLong(f"{case}: more than {seconds} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handler = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown <= MOST_BYTES, f"{case}: grew by {grown} bytes"
