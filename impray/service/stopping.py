"""How a command ends when it is asked to: by Ctrl-C, by SIGTERM (Slurm, timeout, Kubernetes), by SIGHUP (a terminal that closes).

All three end it in the same way. The first raises `Stopped` in the main thread, or is looked up there with `asked` where an exception
would come at the wrong moment; those that follow change nothing, so that nobody who presses Ctrl-C five times interrupts the tidying
up. A thread hears the signal besides: it says so at once, whatever library the main thread is in, and ends the process if tidying up
takes longer than PATIENCE_S, or if someone asks once more after AGAIN_S. Ending at any moment is safe: files are there whole or not at
all, and what a killed process leaves the next one clears.

What was ignored when the command started (`nohup`, `&` in a script) stays ignored.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

WORDS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
WAKER = signal.SIGURG  # means nothing to anyone, and is ignored where nobody hears it
# Slurm, Kubernetes and systemd wait 30 s or more before they kill. A terminal's SIGHUP comes by way of its shell, late on a busy machine.
PATIENCE_S, AGAIN_S, HANG_UP_S = 20.0, 3.0, 5.0


class Stopped(KeyboardInterrupt):
    """The command was asked to end."""


class Stopping:
    """What is known of the end of this process's command."""

    def __init__(self) -> None:
        self.said: Callable[[str], str] = "interrupted by {}".format  # at once, from the signal's name
        self.last_words = ""  # said where tidying up is cut short
        self.by: signal.Signals | None = None
        self.soft = False
        self._owed = False  # a `Stopped` that waits for the end of an import
        self.raised = 0  # how often `Stopped` was
        self._heard: float | None = None
        self._first: signal.Signals | None = None  # as the thread has heard it
        self._told = threading.Event()
        self._timer: threading.Timer | None = None
        self._exit_code: int | None = None

    @property
    def begun(self) -> bool:
        """Whether a signal has come, be it that the main thread has not heard it yet."""
        return self.by is not None or self._first is not None

    @property
    def code(self) -> int:
        """The exit code, as shells have it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        if self._exit_code is not None:
            return self._exit_code
        return 128 + (self.by or self._first or signal.SIGINT)

    def told(self) -> None:
        """Wait until it has been said that a signal was heard: what is said after that comes after it."""
        if self.by is not None:
            self._told.wait(0.5)

    def say(self, line: str) -> None:
        """From any thread; a live view puts the line above itself."""
        with suppress(Exception):
            # One write: what another thread prints must not come before the end of the line.
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def expected(self, error: BaseException) -> bool:
        """Whether this error is of a command that was asked to end. Of a terminal that closes the words fail first, and its SIGHUP comes a
        moment later. There is none to wait for where our terminals are open (then a disk has failed), or where SIGHUP is ignored.
        """
        if self.by is None and isinstance(error, OSError) and error.errno == errno.EIO and _hung_up():
            until = time.monotonic() + HANG_UP_S
            with softly():
                while self.by is None and time.monotonic() < until:
                    time.sleep(0.01)
        return self.by is not None

    def within(self, seconds: float, code: int) -> None:
        """End this process with this code if it has not ended by itself by then, where no signal has asked for it."""
        if self.by is None:
            self._exit_code = code
        self._end_after(seconds)

    def hear(self, number: int, frame: FrameType | None = None) -> None:
        """In the main thread."""
        if self.by is not None:
            return
        self.by = signal.Signals(number)
        _let_go_of_dead_terminals()
        self._stop(frame)

    def _stop(self, frame: FrameType | None) -> None:
        """Raise, but not in the middle of an import: a module that is cut short breaks later in other words, and C++ that runs Python
        as it is loaded ends the process. Then as soon as the import is over.
        """
        self._owed = not self.soft and _imports(frame)
        if self._owed:
            threading.Thread(target=self._remind, name="reminder", daemon=True).start()
        elif not self.soft:
            self.raised += 1
            raise Stopped

    def _remind(self) -> None:
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, WAKER)

    def woken(self, frame: FrameType | None) -> None:
        """In the main thread, by a signal of ours."""
        if self._owed:
            self._stop(frame)

    def lost(self) -> None:
        """In the main thread: what was raised came in a place whose exceptions Python drops (`__del__`, around a fork). Once more."""
        self.catch_up()
        if not self.soft:
            self._owed = True
            threading.Thread(target=self._remind, name="reminder", daemon=True).start()

    def catch_up(self) -> None:
        """In the main thread: what a library's handler heard in our place is ours."""
        if self.by is None and self._first is not None:
            self.by = self._first
            _let_go_of_dead_terminals()

    def answered(self) -> bool:
        """In the main thread: whether a library that hears signals in our place has just raised something at one."""
        return self.by is None and self._told.wait(0.2)

    # -- in the thread ------------------------------------------------------------------------------------------------

    def listen(self, pipe: int) -> None:
        while numbers := os.read(pipe, 64):
            for number in numbers:
                if number in WORDS and signal.getsignal(number) not in (signal.SIG_IGN, signal.SIG_DFL, None):
                    self._listened(signal.Signals(number))
        os.close(pipe)

    def _listened(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if self._heard is None:
            self._heard, self._first = now, number
            self._end_after(PATIENCE_S)
            self.say(self.said(WORDS[number]))
            self._told.set()
            self._wake()
        elif now - self._heard > AGAIN_S:
            self._end()

    def _wake(self) -> None:
        """The main thread alone runs handlers, and may sleep on: the system gives a signal to any thread, and libraries (polars, for
        Ctrl-C) set handlers of their own after which a system call goes on. A signal of ours ends the call.
        """
        for pause in (0.05, 0.2, 1.0):
            time.sleep(pause)
            if self.by is not None:
                return
            signal.pthread_kill(threading.main_thread().ident or 0, WAKER)

    def _end_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        _write(self.last_words)
        os._exit(self.code)

    def forget(self) -> None:
        """No timer any more."""
        if self._timer is not None:
            self._timer.cancel()


_current: Stopping | None = None
_unraisable_before = sys.unraisablehook


@contextmanager
def heard(*, to_the_end: bool = False) -> Iterator[Stopping]:
    """Hear signals while the block runs; inside another such block that one's `Stopping`. In other threads than the main one nothing is.

    Args:    to_the_end: whether nothing comes after the block but the end of the process, which is to come in time, too.
    """
    global _current
    if _current is not None and to_the_end:  # since `from_the_start`
        _current.soft = False
        if _current.by is not None:
            raise SystemExit(_current.code)
        try:
            yield _current
        finally:
            _current.told()
            _ignore()
        return
    if _current is not None or threading.current_thread() is not threading.main_thread():
        yield _current or Stopping()
        return
    before = {number: signal.getsignal(number) for number in WORDS}
    stopping, write, wakeup = _started()
    try:
        yield stopping
    finally:
        stopping.told()
        if to_the_end:
            _ignore()
        else:
            _current = None
            for number, handler in before.items():
                if signal.getsignal(number) == stopping.hear:
                    signal.signal(number, handler)
            if signal.getsignal(WAKER) == _woken:
                signal.signal(WAKER, signal.SIG_DFL)
            if sys.unraisablehook is _unraisable:
                sys.unraisablehook = _unraisable_before
            signal.set_wakeup_fd(wakeup)
            os.close(write)
            stopping.forget()


def from_the_start() -> None:
    """Hear signals while the command is still being imported; `heard(to_the_end=True)` takes over, and ends it where one came."""
    if _current is None:
        _started()[0].soft = True


def _started() -> tuple[Stopping, int, int]:
    """Who hears from now on, the pipe's end that wakes it, and what was woken before."""
    global _current, _unraisable_before
    _current = stopping = Stopping()
    if sys.unraisablehook is not _unraisable:
        _unraisable_before, sys.unraisablehook = sys.unraisablehook, _unraisable
    read, write = os.pipe()
    os.set_blocking(write, False)
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=stopping.listen, args=(read,), name="signals", daemon=True).start()
    again()
    return stopping, write, wakeup


def _ignore() -> None:
    """The end of the process has begun: what asks for it now must not change its exit code."""
    if asked():
        for number in WORDS:
            signal.signal(number, signal.SIG_IGN)


def again() -> None:
    """Hear what a library has begun to hear in our place; from the main thread."""
    if _current is None or threading.current_thread() is not threading.main_thread():
        return
    for number in WORDS:
        # None: set by C code, which is somebody's own.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _current.hear)
    if signal.getsignal(WAKER) in (signal.SIG_DFL, signal.SIG_IGN):
        signal.signal(WAKER, _woken)


def _woken(number: int, frame: FrameType | None) -> None:
    """The handlers of other signals that have come run beside this one."""
    if _current is not None:
        _current.woken(frame)


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """A `Stopped` that Python drops is no fault to write a trace of, nor is the answer of a library that hears a signal in our place (Ray,
    while it starts); everything else is as before.
    """
    stopping, ours = _current, issubclass(what.exc_type, Stopped)
    before = stopping and (stopping.begun, stopping.raised)
    try:
        lost = ours or (stopping is not None and issubclass(what.exc_type, SystemExit) and stopping.answered())
        if not lost:
            _unraisable_before(what)
    except (Stopped, SystemExit):  # at a signal that comes in here
        lost = True
    # Python's own writing drops such an exception, too.
    if stopping is not None and (lost or (stopping.begun, stopping.raised) != before):
        stopping.lost()


def _imports(frame: FrameType | None) -> bool:
    """Whether this frame is inside an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def due() -> None:
    """Between imports and work, and after a library has heard signals in our place.

    Raises:  Stopped: the command was asked to end while something was imported, or where a library lost what was raised.
    """
    if _current is not None and _current.begun:
        _current.catch_up()
        _current._owed = False
        raise Stopped


def current() -> Stopping | None:
    """Who hears signals in this process, if anyone does."""
    return _current


def asked() -> bool:
    """Whether this process has been asked to end."""
    return _current is not None and _current.by is not None


def hear(number: signal.Signals) -> None:
    """As if a signal came, where a library has heard it in our place; nothing where nobody hears signals.

    Raises:  Stopped: the first time.
    """
    if _current is not None:
        _current.hear(number)


def begun() -> bool:
    """Whether this process is about to be asked to end, or has been: it may have been said already."""
    return _current is not None and _current.begun


@contextmanager
def softly() -> Iterator[None]:
    """A signal raises nothing in here: whoever works looks at `asked`, and leaves at the next good moment."""
    stopping = _current
    if stopping is None:
        yield
        return
    stopping.soft, stopping._owed = True, False
    try:
        yield
    finally:
        stopping.soft = False


# -- saying -----------------------------------------------------------------------------------------------------------


def _write(text: str) -> None:
    """Past all locks and buffers."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())


def _hung_up() -> bool:
    """Whether a terminal of ours has closed and its SIGHUP is heard."""
    return bool(_dead_terminals()) and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def _let_go_of_dead_terminals() -> None:
    """A terminal that has closed takes no word any more, and the last ones would fail."""
    for number in _dead_terminals():
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def _dead_terminals() -> list[int]:
    """Those of stdout and stderr that have closed, be they terminals or pipes."""
    dead = []
    for number in (1, 2):
        poll = select.poll()
        poll.register(number, 0)
        if any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0)):
            dead.append(number)
    return dead
