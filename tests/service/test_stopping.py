"""A command that is asked to end does, in time, says so at once, and with the exit code that shells expect."""

import errno
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
import yaml
from cli.said import impray
from conftest import assert_same_tables, sweep_into, tiny, tiny_sweep
from service.launched import HEARING, PROGRAM, Launched, alive, within

AT_ONCE_S = 2.0  # milliseconds, on a machine that is not busy
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
FIVE = [signal.SIGINT] * 5

# -- the rule itself, in small ----------------------------------------------------------------------------------------

SCRIPT = """
import signal, sys, time
from impray.service import stopping
ready = lambda: print("ready", flush=True)
stopping.PATIENCE_S, stopping.AGAIN_S = 1.0, 0.3
with stopping.heard(to_the_end=True) as ending:
    ending.last_words = "the last words"
    try:
        {body}
    except KeyboardInterrupt:
        ending.told()
        {after}
    print("tidied", flush=True)
    sys.exit(ending.code)
"""


class Small:
    """A script that waits for signals, and all that it says."""

    def __init__(self, body: str = "ready(); time.sleep(60)", after: str = "pass", before: str = "") -> None:
        text = before + SCRIPT.format(body=body, after=after)
        self.process = subprocess.Popen(
            [*HEARING, sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def send(self, *signals: int, every_s: float = 0.0) -> str:
        """The first line that is said afterwards."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(every_s)
        return self.process.stdout.readline()

    def ended(self) -> tuple[int, str]:
        said = self.process.stdout.read()
        return self.process.wait(30), said


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_each_signal_ends_a_command_with_its_code_and_is_named_at_once(number):
    small, start = Small(), time.monotonic()
    assert small.send(number).strip() in ("interrupted by Ctrl-C", f"interrupted by {number.name}")
    assert time.monotonic() - start < AT_ONCE_S
    assert small.ended() == (CODES[number], "tidied\n")


def test_it_is_said_at_once_also_where_the_main_thread_does_not_come_to_it():
    """In C, with Python's lock given away; a signal's own handler waits for the end of that, here until patience ends."""
    small = Small(
        "import hashlib, threading; threading.Timer(0.5, ready).start(); hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
    )
    assert "SIGTERM" in small.send(signal.SIGTERM)
    assert small.ended() == (143, "the last words\n")


def test_what_comes_where_python_drops_exceptions_is_raised_once_more_and_leaves_no_trace():
    small = Small("D(); time.sleep(60)", before="class D:\n    def __del__(self): ready(); time.sleep(60)\n")
    start = time.monotonic()
    assert "SIGTERM" in small.send(signal.SIGTERM)
    assert small.ended() == (143, "tidied\n")
    assert time.monotonic() - start < AT_ONCE_S


def test_a_library_whose_own_answer_is_dropped_changes_nothing():
    """As Ray exits at SIGTERM while it starts; where a class that is being thrown away, or a fork, drops that."""
    before = "class D:\n    def __del__(self): ready(); time.sleep(60)\n"
    own = "signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number)); D(); time.sleep(60)"
    small, start = Small(own, before=before), time.monotonic()
    assert "SIGTERM" in small.send(signal.SIGTERM)
    assert small.ended() == (143, "tidied\n")
    assert time.monotonic() - start < AT_ONCE_S


WRITTEN_TO = """
import os
class D:
    def __del__(self): sys.exit(3)
class Stream:
    def write(self, text):
        if text.startswith("Traceback"):
            os.kill(os.getpid(), signal.SIGTERM)
        sys.__stderr__.write(text)
    def flush(self): sys.__stderr__.flush()
"""


def test_a_signal_that_comes_while_a_dropped_exception_is_written_is_not_lost():
    """And that exception is written, though it is an exit: no signal had come."""
    small, start = Small("sys.stderr = Stream(); ready(); D(); time.sleep(60)", before=WRITTEN_TO), time.monotonic()
    code, said = small.ended()
    assert code == 143 and said.endswith("tidied\n") and "SystemExit: 3\n" in said
    assert time.monotonic() - start < AT_ONCE_S


def test_a_library_with_a_handler_of_its_own_does_not_keep_the_main_thread_asleep():
    """One in C that hands the signal on, after which system calls go on: as polars sets one for Ctrl-C."""
    restart = "import ctypes; ctypes.CDLL(None).siginterrupt(int(signal.SIGINT), 0); ready(); os.waitpid(started, 0)"
    before = "import os, subprocess\nstarted = subprocess.Popen(['sleep', '20']).pid\n"
    small, start = Small(restart, before=before), time.monotonic()
    small.send(signal.SIGINT)
    line = small.process.stdout.readline()  # `sleep` holds the pipe open
    assert line == "tidied\n" and small.process.wait(10) == 130 and time.monotonic() - start < 10


def test_five_in_a_row_do_not_disturb_the_tidying_up_and_nothing_is_said_twice():
    small = Small(after="time.sleep(0.5)", before="import os\n")
    small.send(*FIVE)
    assert small.ended() == (130, "tidied\n")


@pytest.mark.parametrize("insist", [False, True])
def test_tidying_up_that_hangs_is_cut_short_with_the_last_words(insist):
    small, start = Small(after="time.sleep(60)"), time.monotonic()
    small.send(signal.SIGTERM)
    if insist:  # once more, after AGAIN_S: the user wants it now
        time.sleep(0.4)
        small.process.send_signal(signal.SIGINT)
    assert small.ended() == (143, "the last words\n")
    assert insist or time.monotonic() - start > 1.0


def test_an_exception_that_a_library_swallows_is_no_way_to_go_on_for_ever():
    small = Small("exec('try:\\n ready()\\n time.sleep(60)\\nexcept BaseException:\\n time.sleep(60)')")
    small.send(signal.SIGTERM)
    assert small.ended() == (143, "the last words\n")


def test_a_process_of_these_tests_hears_what_their_caller_ignores(tmp_path):
    """As the faults want it: a signal that nobody hears shows nothing."""
    heard = "import signal; print([signal.getsignal(n) is signal.SIG_IGN for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)])"
    before = {number: signal.signal(number, signal.SIG_IGN) for number in CODES}
    try:
        with Launched((sys.executable, "-c", heard), tmp_path) as running:
            assert running.process.stdout.read() == "[False, False, False]\n"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_was_ignored_stays_ignored():
    """As under nohup, and in the background of a script."""
    ignore = "import signal\nfor number in (signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n"
    small = Small(before=ignore)
    for number in (signal.SIGHUP, signal.SIGINT):
        small.process.send_signal(number)
    time.sleep(0.3)
    assert "SIGTERM" in small.send(signal.SIGTERM) and small.ended()[0] == 143


def test_an_import_is_not_cut_short(tmp_path):
    (tmp_path / "slowly.py").write_text(
        "import time\nprint('ready', flush=True)\nfor _ in range(8): time.sleep(0.05)\nprint('whole', flush=True)"
    )
    small = Small(f"sys.path.insert(0, {str(tmp_path)!r}); import slowly; time.sleep(60)")
    first = small.send(signal.SIGTERM)
    code, said = small.ended()
    assert "SIGTERM" in first and said == "whole\ntidied\n" and code == 143


def test_a_signal_raises_nothing_where_it_is_looked_up_instead():
    small = Small(
        "exec('with stopping.softly():\\n ready()\\n while not stopping.asked(): time.sleep(0.05)\\n os.write(1, b\"left\\\\n\")')",
        before="import os\n",
    )
    first = small.send(signal.SIGHUP)  # a thread's word and the main one's: either may come first
    code, said = small.ended()
    named, *others = sorted((first + said).splitlines(), key=lambda line: "SIGHUP" not in line)
    assert "SIGHUP" in named and others == ["left", "tidied"] and code == 129


def test_the_exit_codes_are_in_the_help():
    for words in ((), ("sweep",)):
        said = impray(*words, "--help").out
        assert all(f"{code}" in said for code in (0, 1, 2, *CODES.values())), said


WORDS_FAIL = """
import os, signal, sys
from impray.service import stopping
if {ignored}: signal.signal(signal.SIGHUP, signal.SIG_IGN)
stopping.HANG_UP_S = {patience}
with stopping.heard(to_the_end=True) as ending:
    sys.stdin.readline()
    try:
        raise OSError({disk}, "of a disk") if {disk} else OSError(os.write(1, b"words"))
    except OSError as error:
        with stopping.softly():  # a signal that comes before it is waited for interrupts nothing here
            os.write(2, b"failed\\n")
            expected = ending.expected(error)
        os.write(2, f"{{error.errno}} {{expected}} {{ending.code}}\\n".encode())
"""
LONGER_THAN_ANY_LOAD_S, SOON_S = 600.0, 0.1


@pytest.mark.parametrize(
    ("closes", "hangs_up", "ignored", "disk", "patience", "told"),
    [
        (True, True, False, 0, LONGER_THAN_ANY_LOAD_S, f"{errno.EIO} True 129"),
        (True, False, False, 0, SOON_S, f"{errno.EIO} False 130"),
        (True, True, True, 0, LONGER_THAN_ANY_LOAD_S, f"{errno.EIO} False 130"),
        (False, False, False, errno.EIO, LONGER_THAN_ANY_LOAD_S, f"{errno.EIO} False 130"),
        (True, False, False, errno.ENOSPC, LONGER_THAN_ANY_LOAD_S, f"{errno.ENOSPC} False 130"),
    ],
    ids=["hang-up", "none comes", "ignored", "broken disk", "full disk"],
)
def test_words_that_fail_as_a_terminal_closes_are_its_hang_up_and_no_error(
    closes, hangs_up, ignored, disk, patience, told
):
    """The words fail first, SIGHUP comes later; where none comes, or none can, a disk has failed, and that is known at once."""
    outside, terminal = pty.openpty()  # nobody's: closing it sends no signal
    script = WORDS_FAIL.format(ignored=ignored, disk=disk, patience=patience)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*HEARING, sys.executable, "-c", script], stdin=pipe, stdout=terminal, stderr=pipe, text=True
    ) as process:
        os.close(terminal)
        if closes:
            os.close(outside)
        process.stdin.write("now\n")
        process.stdin.flush()
        assert process.stderr.readline() == "failed\n"
        if hangs_up:
            process.send_signal(signal.SIGHUP)
        said = process.stderr.read().splitlines()  # beside what a thread says of the signal
    if not closes:
        os.close(outside)
    assert told in said


# -- sweeps in this process -------------------------------------------------------------------------------------------

LONG = {"rounds": 6, "trial.train.steps": 300, "measures": ["accuracy"], "seeds": 1, "methods": ["imp"]}
HERE = ("--where", "here", "--mlflow", "off", "--no-figures")


def sweep(home, *options, **changes) -> Launched:
    home.mkdir(exist_ok=True)
    (home / "x.yaml").write_text(yaml.safe_dump(tiny(**{**LONG, **changes})))
    return Launched((*PROGRAM, "sweep", "x.yaml", *options), home)


def line_with(word: str, running: Launched) -> str:
    for line in running.process.stdout:
        if word in line:
            return line
    raise AssertionError(f"ended without {word}")


def said_after(running: Launched, signals) -> str:
    """All that a command says after signals, the first of it at once."""
    start = time.monotonic()
    for number in signals:
        running.process.send_signal(number)
        time.sleep(0.1)
    first = running.process.stdout.readline()
    assert first and time.monotonic() - start < AT_ONCE_S + 0.1 * len(signals), first
    said = first + running.process.stdout.read()
    running.process.wait(60)
    return said


@pytest.mark.slow
def test_sigterm_among_rounds_ends_as_ctrl_c_does_and_the_same_command_goes_on(tmp_path):
    with sweep(tmp_path / "home", *HERE) as running:
        line_with("round 2/", running)
        said = said_after(running, [signal.SIGTERM])
    assert running.process.returncode == 143 and "Traceback" not in said, said
    again = next(line for line in said.splitlines() if line.startswith("go on with: impray sweep x.yaml"))
    assert "stopped: 0 of 2 trials done" in said
    code = subprocess.run(
        [*PROGRAM, *again.removeprefix("go on with: impray ").split()],
        cwd=running.home,
        env={**os.environ, "HOME": str(running.home)},
        capture_output=True,
    ).returncode
    sweep_into(tmp_path / "whole", tiny_sweep(**LONG))
    assert code == 0
    assert_same_tables(running.home / "runs" / "x", tmp_path / "whole", ("rounds", "fates", "trials"))


@pytest.mark.slow
def test_five_ctrl_c_while_it_starts(tmp_path):
    with sweep(tmp_path, *HERE) as running:
        time.sleep(0.7)
        said = said_after(running, FIVE)
    assert running.process.returncode == 130 and "Traceback" not in said and not (tmp_path / "runs").exists(), said


@pytest.mark.slow
def test_a_terminal_that_closes_ends_its_sweep(tmp_path):
    """Nothing can be said any more, and that is no error."""
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(tiny(**LONG)))
    id, terminal = pty.fork()
    if id == 0:
        os.chdir(tmp_path)
        os.execvpe(HEARING[0], [*HEARING, *PROGRAM, "sweep", "x.yaml", *HERE], {**os.environ, "TERM": "xterm"})
    rounds = tmp_path / "runs/x/tables/rounds"
    os.set_blocking(terminal, False)

    def begun() -> bool:
        try:
            os.read(terminal, 100_000)
        except BlockingIOError:
            pass
        return rounds.is_dir() and any(rounds.iterdir())

    within(60, begun)
    os.close(terminal)
    _, status = os.waitpid(id, 0)
    assert os.waitstatus_to_exitcode(status) == 129


@pytest.mark.slow
def test_figures_that_are_being_drawn_end_with_the_sweep(tmp_path):
    """A figure that would take for ever."""
    marker = tmp_path / "drawing"
    (tmp_path / "slow.py").write_text(
        "from pathlib import Path\nimport os, time\nfrom impray.service import drawing\n"
        f"drawing.command = lambda *_: ['sh', '-c', 'sleep 600 & echo $! > {marker}; wait']\n"
        "from impray.cli import main\nmain()\n"
    )
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(tiny(**{**LONG, "rounds": 1, "figures": ["redman2025"]})))
    words = (sys.executable, "slow.py", "sweep", "x.yaml", *HERE[:-1])
    with Launched(words, tmp_path) as running:
        line_with("tiny sweep", running)
        within(60, lambda: marker.exists() and marker.read_text().strip(), running)
        said_after(running, [signal.SIGTERM])
    assert running.process.returncode == 143
    within(10, lambda: not alive(int(marker.read_text())))


# -- sweeps on Ray ----------------------------------------------------------------------------------------------------


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("signals", "when"),
    [
        ([signal.SIGTERM], "is a tiny sweep a sweep?"),
        ([signal.SIGTERM], "round 2/"),
        ([signal.SIGTERM] * 3, "round 2/"),
        ([signal.SIGHUP], "round 2/"),
        (FIVE, "round 2/"),
    ],
    ids=["starting", "term", "terms", "hup", "five"],
)
def test_a_sweep_on_ray_ends_cleanly_whatever_asks_for_it(tmp_path, signals, when):
    with sweep(tmp_path, *HERE[2:], **{"trial.train.steps": 2000}) as running:
        keeper, scratch = within(60, running.warden, running)
        line_with(when, running)
        time.sleep(2 if when.startswith("is") else 0)  # while Ray's servers start
        said = said_after(running, signals)
        assert running.process.returncode == CODES[signals[0]], said
        # What it was going to run may come after the signal, and one line that was being written as it came. No more.
        words = [line for line in said.splitlines() if not line.startswith("trials: ")]
        rounds = [line for line in words if " done; " in line]
        assert "go on with: impray sweep x.yaml" in said and len(words) - len(rounds) <= 3 and len(rounds) <= 1, said
        from impray.service.ray import warden

        within(30, lambda: not warden.marked(running.mark))
        assert not scratch.exists()
