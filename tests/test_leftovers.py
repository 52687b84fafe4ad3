"""What a kill -9 leaves is cleared by the next run: ours, and only of the dead."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from impray import processes, scratch
from impray.results import files
from impray.service import leftovers
from impray.service.ray import warden

ELSEWHERE = "0a0a0a-0b0b0b-0c0c0c-1-1"


@pytest.fixture
def dead() -> str:
    """The name of a process that has ended."""
    said = subprocess.run(
        [sys.executable, "-c", "from impray import processes; print(processes.name())"], capture_output=True, text=True
    )
    return said.stdout.strip()


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The temporary folder of this machine, as it were; a short name, as Ray's sockets need it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def renumbered(name: str) -> str:
    """A living process's number with another start: one that had the number before."""
    return re.sub(r"\d+$", "1", name)


def rebooted(name: str) -> str:
    """The same machine before its last boot."""
    host, _, rest = name.split("-", 2)
    return f"{host}-0b0b0b-{rest}"


def elsewhere(name: str) -> str:
    """The same number on another machine."""
    return f"0a0a0a-{name.split('-', 1)[1]}"


def test_a_name_tells_the_dead_from_the_living_and_from_those_that_cannot_be_seen(dead):
    mine = processes.name()
    assert mine == processes.name() != dead and processes.NAME.fullmatch(mine)
    assert processes.dead(mine) is False and processes.dead(f"before-{mine}.after") is False
    assert processes.dead(dead) is processes.dead(renumbered(mine)) is processes.dead(rebooted(mine)) is True
    assert processes.dead(elsewhere(mine)) is processes.dead("no name") is None


def test_unfinished_files_of_the_dead_go_and_all_others_stay(tmp_path, dead):
    mine = processes.name()
    left = [f"x.parquet.{dead}-123.part", f"deep/er/y.json.{renumbered(mine)}-1.part", f"mlflow.db.{dead}.part-journal"]
    old = [f"x.parquet.{ELSEWHERE}-1.part", "x.parquet.host-1-2.part"]
    kept = [f"x.parquet.{mine}-1.part", "x.parquet", "notes.part", f"{dead}.txt", "talk.part-two", *old]
    for name in (*left, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    long_ago = time.time() - 2 * processes.OLD_S
    os.utime(tmp_path / "notes.part", (long_ago, long_ago))
    files.clear_unfinished(tmp_path)
    assert there(tmp_path) == set(kept)
    for name in old:
        os.utime(tmp_path / name, (long_ago, long_ago))
    files.clear_unfinished(tmp_path)
    assert there(tmp_path) == set(kept) - set(old)


def there(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_writer_that_is_killed_leaves_what_is_cleared_and_one_that_lives_is_not_disturbed(tmp_path):
    """Writers that stop where their file is about to be moved."""
    script = (
        "import os, sys, time; from pathlib import Path; from impray.results import files\n"
        "os.replace = lambda *_: (print('there', flush=True), time.sleep(60))\n"
        "files.write(Path(sys.argv[1]), b'x')"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / name)], stdout=subprocess.PIPE, text=True)
        for name in ("dies", "lives")
    ]
    try:
        assert [writer.stdout.readline() for writer in writers] == ["there\n"] * 2
        writers[0].kill()
        writers[0].wait()
        assert len(there(tmp_path)) == 2
        files.clear_unfinished(tmp_path)
        (left,) = there(tmp_path)
        assert left.startswith("lives.")
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def test_temporary_folders_of_the_dead_go_and_all_others_stay(temporary, dead):
    gone = [f"impray-mlflow-{dead}-1", f"impray-job-{dead}-2", f"impray-tune-{dead}-3"]
    kept = [f"impray-mlflow-{ELSEWHERE}-1", "impray-mine", "impray-tune-abcdef", f"other-{dead}"]
    with scratch.scratch("mlflow") as mine:
        for name in (*gone, *kept):
            (temporary / name / "inner").mkdir(parents=True)
        (temporary / f"impray-link-{dead}-4").symlink_to(temporary / "impray-mine")
        leftovers.clear()
        assert {path.name for path in temporary.iterdir()} == {*kept, mine.name, f"impray-link-{dead}-4"}
        assert mine.is_dir() and (temporary / "impray-mine" / "inner").is_dir()
    assert not mine.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_belongs_to_another_user_stays(temporary, dead):
    folder = temporary / f"impray-tune-{dead}-1"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    file = temporary / f"x.{dead}-1.part"
    file.touch()
    os.chown(file, 12345, 12345)
    leftovers.clear()
    files.clear_unfinished(temporary)
    assert folder.is_dir() and file.is_file()


# A driver in small, whose Ray is a process and a session's folder.
DRIVER = """
import os, subprocess, sys
from pathlib import Path
from impray.service.ray.warden import Warden
warden = Warden(Path(sys.argv[1]))
one = subprocess.Popen(["sleep", "600"], env={**os.environ, **warden.environment})
(Path(sys.argv[1]) / f"session_2026_{os.getpid()}" / "logs").mkdir(parents=True)
print(one.pid, warden._process.pid, warden.scratch, flush=True)
sys.stdin.read()
"""


def test_where_the_warden_was_killed_too_the_next_run_does_its_work_and_disturbs_no_other(tmp_path):
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": "/tmp"},
        )
        for name in ("dies", "lives")
    ]
    try:
        (one, keeper, left), (other, _, used) = (driver.stdout.readline().split() for driver in drivers)
        for id in (int(keeper), drivers[0].pid):
            os.kill(id, signal.SIGKILL)
        drivers[0].wait()
        (tmp_path / "dies" / "session_2026_1").mkdir()  # somebody else's Ray
        leftovers.clear()
        assert not is_running(int(one)) and not Path(left).exists()
        assert [path.name for path in (tmp_path / "dies").iterdir()] == ["session_2026_1"]
        assert is_running(int(other)) and Path(used).is_dir()
        assert (tmp_path / "lives" / f"session_2026_{drivers[1].pid}").is_dir()
    finally:
        for driver in drivers:
            driver.kill()
            driver.wait()
        os.kill(int(other), signal.SIGKILL)
        shutil.rmtree(used, ignore_errors=True)


def is_running(id: int) -> bool:
    return processes.started(id) != ""


def test_two_sweeps_at_once_clear_each_other_nothing(temporary):
    """While one makes and leaves folders, others clear."""
    wrong, over = [], threading.Event()

    def clear() -> None:
        while not over.is_set():
            scratch.clear()
            warden.clear()

    thread = threading.Thread(target=clear)
    thread.start()
    try:
        for _ in range(50):
            with scratch.scratch("mlflow") as mine:
                (mine / "x").write_text("x")
                wrong += [] if (mine / "x").is_file() else [mine]
    finally:
        over.set()
        thread.join()
    assert not wrong
