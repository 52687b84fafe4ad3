"""Folders that cannot be written, that hold foreign files, or that are no sweep's.

What needs a file system of its own gets one in a mount namespace that ends with it.
"""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli.said import ALL, HERE, PROGRAM, SMALL, impray, refused, there, write
from conftest import assert_same_tables, heavier, rows_of

from impray.results import files
from impray.results.tables import scan

# -- folders that cannot be written -----------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["x.yaml", "x.yaml/below", "/proc/impray"])
def test_an_output_folder_that_cannot_be_is_told_before_anything_runs(out):
    if out.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    told = refused("sweep", write(SMALL), *HERE, "--out", out)
    assert told.startswith(f"{out}/x/running.lock: cannot be written (") and told.count("\n") == 1
    assert there() == {"x.yaml"}


def in_a_namespace(script: str, *words) -> subprocess.CompletedProcess:
    """A shell script that may mount; its mounts end with it. Exit code 99 is a script that could not."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *map(str, words)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    if found.returncode == 99 or found.stderr.startswith("unshare:"):
        pytest.skip("this machine does not let a test mount a file system")
    return found


@pytest.mark.slow
def test_a_read_only_folder_can_be_looked_at_and_not_written(whole, folder):
    shutil.copytree(whole, "runs/x")
    write(SMALL)
    before = there()
    script = """
        mount --bind runs runs && mount -o remount,ro,bind runs runs || exit 99
        "$@" sweep x.yaml --where here --mlflow off; echo "code $?"
        "$@" data x.yaml --samples 8 --picture runs/x.png >/dev/null; echo "code $?"
        "$@" status runs/x || exit 1
    """
    found = in_a_namespace(script, *PROGRAM)
    assert found.returncode == 0, found
    assert found.stdout.count("code 2") == 2 and "2 of 2 trials done" in found.stdout
    assert "runs/x/running.lock: cannot be written (Read-only file system)" in found.stderr
    assert "runs/x.png: cannot be written (Read-only file system)" in found.stderr
    assert "Traceback" not in found.stderr and there() == before


@pytest.mark.slow
def test_a_disk_that_is_full_before_and_in_the_middle_of_a_sweep(whole, folder):
    """A small disk; then an emptied and larger one: the tables are those of an uninterrupted run."""
    write(SMALL)
    Path("runs").mkdir()
    # Less than the merged tables and checkpoints of the whole sweep, so it cannot end; enough to begin.
    kib = sum(-(-path.stat().st_size // 4096) * 4 for path in whole.rglob("*") if path.is_file()) * 3 // 4
    script = f"""
        mount -t tmpfs -o size={kib}k none runs || exit 99
        cat /dev/zero > runs/filled 2>/dev/null
        "$@"; echo "code $?"; find runs -type f -size +0; rm runs/filled
        "$@"; echo "code $?"; find runs -name '*.part'
        mount -o remount,size=64m runs
        "$@" || exit 1
        cp -r runs/x after
    """
    found = in_a_namespace(script, *PROGRAM, "sweep", "x.yaml", *HERE)
    assert found.returncode == 0 and "Traceback" not in found.stderr, found
    before, middle, _ = re.split(r"code \d", found.stdout)
    assert found.stdout.count("code 2") == 2
    assert "started" not in before and re.search("trials? .* started", middle)
    assert middle.splitlines()[1] == "runs/filled" and ".part" not in found.stdout
    first, second, stopped, again = found.stderr.splitlines()
    assert (
        first
        == "runs/x/leases/running-000000001.json: cannot be written (No space left on device); free some space and run this again"
    )
    assert re.match(r"runs/x/\S+: cannot be written \(No space left on device\); free some space", second)
    assert re.match(r"stopped: 0 of 2 trials done, 2 not over; \d+ rounds of \d+ lineages are in the tables", stopped)
    assert again == "go on with: impray sweep x.yaml --where here --mlflow off --no-figures"
    assert_same_tables("after", whole, ALL)


@pytest.fixture
def full_at(monkeypatch):
    """Makes the disk full from the first write on whose path matches; called with None, it has space again."""
    fsync, pattern, full = os.fsync, [None], []

    def failing(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        # What is timed before a sweep starts lies on another disk.
        if "impray-probe-" not in name and pattern[0] and (full or re.search(pattern[0], name)):
            full.append(name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    def fill(at: str | None) -> None:
        pattern[0] = at
        full.clear()

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here to tell which file is written")
    monkeypatch.setattr(files.os, "fsync", failing)
    return fill


PLACES = {
    "provenance": "provenance.json",
    "trial": "tables/trials/",
    "trunk": "trunks/",
    "checkpoint": "lineages/.*round-001",
    "units": "tables/units/.*-000-",
    "masks": "tables/masks/.*-001-",
    "rounds": "tables/rounds/.*-001-",
    "fates": "tables/fates/",
    "compaction": "tables/units/rows-all-",
}


@pytest.mark.some(1)
@pytest.mark.parametrize("place", heavier(PLACES, ["trial", "checkpoint", "rounds", "compaction"]))
def test_wherever_the_disk_fills_rows_stay_and_going_on_gives_the_same_tables(place, full_at, whole):
    write(SMALL)
    full_at(PLACES[place])
    said = impray("sweep", "x.yaml", *HERE)
    assert said.code == 2 and "cannot be written (No space left on device)" in said.err
    rounds = scan("rounds", "runs/x").collect().height
    assert rounds == {"masks": 6, "rounds": 6, "fates": 12, "compaction": 12, "checkpoint": 6}.get(place, 0)
    begun = place not in ("provenance", "trial")
    assert begun == (f"{rounds} rounds of {6 if rounds else 0} lineages are in the tables" in said.err)
    assert begun == ("go on with: impray sweep x.yaml" in said.err)
    assert not list(Path("runs").rglob("*.part"))
    full_at(None)
    assert impray("sweep", "x.yaml", *HERE).code == 0
    assert_same_tables("runs/x", whole, ALL)
    names = {path.name for path in Path("runs/x/tables/rounds").iterdir()}
    assert len(names) == 1, "compacted, also where only that was left to do"
    assert rows_of("runs/x", "failures").is_empty()


# -- foreign files ----------------------------------------------------------------------------------------------------


def test_foreign_files_in_tables_are_let_alone_and_broken_ones_set_aside(whole):
    shutil.copytree(whole, "runs/x")
    foreign = ["tables/notes.txt", "tables/rounds/other.csv", "tables/trials/broken.parquet", "tables/.DS_Store"]
    for path in foreign:
        Path("runs/x", path).write_text("mine")
    shutil.copy(next(Path("runs/x/tables/rounds").glob("*.parquet")), "runs/x/tables/units/rows-rounds.parquet")
    write(SMALL)
    said = impray("sweep", "x.yaml", *HERE)
    assert said.code == 0 and "runs/x/tables/units/rows-rounds.parquet: is a file of impray's, but not of" in said.out
    assert_same_tables("runs/x", whole, ALL)
    assert all(Path("runs/x", path).read_text() == "mine" for path in foreign)
    assert [path.name.startswith("tables_units_rows-rounds") for path in Path("runs/x/damaged").iterdir()] == [True]


@pytest.mark.parametrize("command", [["status"], ["top"], ["mlflow", "sync"]])
def test_a_broken_table_is_told_to_readers_too(command, whole):
    shutil.copytree(whole, "x")
    Path("x/tables/trials/rows-broken.parquet").write_text("mine")
    told = refused(*command, "x")
    assert told.startswith("x/tables/trials/rows-broken.parquet: cannot be read as Parquet")
    assert "impray sweep x/sweep.yaml --out . sets it aside" in told


def test_a_broken_provenance_is_told(whole):
    shutil.copytree(whole, "x")
    Path("x/provenance.json").write_text("{")
    told = refused("status", "x")
    assert told.startswith("x/provenance.json: cannot be read (") and "impray sweep x/sweep.yaml --out ." in told
    assert impray("sweep", "x/sweep.yaml", *HERE, "--out", ".").code == 0
    assert impray("status", "x").code == 0 and [path.name[:15] for path in Path("x/damaged").iterdir()] == [
        "provenance.json"
    ]


# -- folders that are no sweep's --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [["status"], ["top"], ["failures"], ["figures"], ["export"], *([["mlflow", word] for word in ("sync", "ui")])],
)
def test_a_folder_that_is_no_sweeps_is_refused_and_left_as_it_was(command, whole):
    Path("empty").mkdir()
    Path("runs").mkdir()
    Path("runs/tiny").symlink_to(whole)
    before = there()
    assert "empty: is not a sweep's folder (there is no sweep.yaml in it)" in refused(*command, "empty")
    assert "runs: is not a sweep's folder" in (told := refused(*command, "runs")) and "runs/tiny" in told
    told = refused(*command, "runs/tin")
    assert "runs/tin: there is no such folder" in told and "did you mean 'runs/tiny'?" in told
    assert there() == before


@pytest.mark.parametrize("command", [["sync"], ["ui"]])
def test_a_store_must_be_a_uri(command, whole):
    before = there()
    assert "--mlflow = 'off'    must be a URI" in refused("mlflow", *command, whole, "--mlflow", "off")
    assert there() == before


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_out_of_range_is_refused(port, whole):
    assert "--port" in refused("mlflow", "ui", whole, "--port", port)


def test_a_ui_of_nothing_names_the_command_that_makes_it(whole):
    assert f"make it with impray mlflow sync {whole}" in refused("mlflow", "ui", whole)


@pytest.mark.parametrize("words", [["bench", "--only", "pakc"], ["nothing"], ["sweep", "--nothing"], ["mlflow", "x"]])
def test_unknown_words_are_refused(words):
    assert words[-1].strip("-") in refused(*words)
