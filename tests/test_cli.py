"""The command line as a user meets it: ten kinds of wrong input, folders that cannot be written, and what each command prints.

A wrong input is exit code 2 and a message on stderr, never a traceback, and nothing is begun. Most calls are in this process; those that
need a file system of their own get one in a mount namespace that ends with them.
"""

import errno
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import typer
import yaml
from conftest import assert_same_tables, rows_of, tiny
from typer.testing import CliRunner

from impray.cli import app
from impray.results import files, schema
from impray.results.tables import scan

ALL = ("rounds", "units", "fates", "masks", "trials")
HERE = ("--where", "here", "--mlflow", "off", "--no-figures")
PROGRAM = (sys.executable, "-m", "impray.cli")


class Said(NamedTuple):
    code: int
    out: str
    err: str


def impray(*words) -> Said:
    """A command in this process. What it raises, but for its own exit, is a traceback to the user."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def refused(*words) -> str:
    """What a wrong input is told: on stderr only, exit code 2."""
    said = impray(*words)
    assert said.code == 2 and said.err and "Traceback" not in said.err
    return said.err


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(document: dict, name: str = "x.yaml") -> str:
    Path(name).write_text(yaml.safe_dump(document, sort_keys=False))
    return name


def there() -> set[str]:
    return {str(path) for path in Path(".").rglob("*")}


def line_of(name: str, start: str) -> int:
    """The line of a file that starts like this, from 1."""
    return next(
        n for n, line in enumerate(Path(name).read_text().splitlines(), 1) if line.lstrip("- ").startswith(start)
    )


SMALL = tiny(rounds=1, seeds=1, measures=["accuracy", "fan_in", {"masks": {"most_connected": 1}}])


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of SMALL, run without an interruption."""
    out = tmp_path_factory.mktemp("whole")
    file = out / "x.yaml"
    file.write_text(yaml.safe_dump(SMALL, sort_keys=False))
    assert impray("sweep", file, *HERE, "--out", out).code == 0
    return out / "x"


# -- ten kinds of wrong input: those in the file ----------------------------------------------------------------------

# changes of the tiny sweep -> start of the line to blame, and parts of the message: place, value, what would be right, near miss
WRONG = {
    "unknown key": (
        {"trial.train.step": 5},
        "step:",
        ["trial.train.step = 5", "not a key of trial.train", "did you mean 'steps'?"],
    ),
    "misspelt kind": (
        {"trial.data.kind": "nlpg"},
        "kind:",
        ["trial.data.kind = 'nlpg'", "not one of nlgp, kur, ising, elliptical, photographs", "did you mean 'nlgp'?"],
    ),
    "fraction 20": (
        {"trial.prune.fraction": 20},
        "fraction:",
        ["trial.prune.fraction = 20", "must be in (0, 1)", "20 % is 0.2"],
    ),
    "rewind after the end": (
        {"trial.prune.rewind_step": 21},
        "rewind_step:",
        ["trial.prune.rewind_step = 21", "must be at most train.steps = 20"],
    ),
    "empty space": (
        {"search": {"space": {}}},
        "space:",
        ["search.space = {}", "must not be empty", "leave it out for a single trial"],
    ),
    "empty axis": (
        {"search": {"space": {"data.gain": []}}},
        "data.gain:",
        ["search.space.data.gain = []", "must not be empty"],
    ),
    "unknown measure": (
        {"measures": ["accurcy"]},
        "accurcy",
        ["measures[0] = 'accurcy'", "not one of accuracy, loss", "did you mean 'accuracy'?"],
    ),
    "no seeds": ({"seeds": 0}, "seeds:", ["seeds = 0", "must be at least 1, or a list of seeds"]),
    "empty list of seeds": ({"seeds": []}, "seeds:", ["seeds = []", "must not be empty"]),
    "unknown figure": (
        {"figures": ["widht_by_gain"]},
        "widht_by_gain",
        ["figures[0] = 'widht_by_gain'", "not one of", "did you mean 'width_by_gain'?"],
    ),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("more", [[], ["--plan"], ["--where", "here"]], ids=["ray", "plan", "here"])
def test_a_wrong_value_is_told_with_its_line_and_nothing_is_begun(kind, more):
    changes, start, parts = WRONG[kind]
    file = write(tiny(**changes))
    told = refused("sweep", file, *more)
    head, line = told.splitlines()
    assert head == "x.yaml: 1 problem"
    assert f"line {line_of(file, start)}: " in line and all(part in line for part in parts), line
    assert there() == {file}


def test_no_seeds_at_all_is_a_missing_key():
    document = tiny()
    del document["seeds"]
    assert "seeds    is missing" in refused("sweep", write(document))


def test_leaving_the_search_out_is_a_single_trial():
    document = tiny()
    del document["search"]
    said = impray("sweep", write(document), "--plan")
    assert said.code == 0 and "trials: 1 (1 with something left to do); lineages: 6;" in said.out


def test_a_search_without_axes_can_be_read_back():
    document = tiny(rounds=0, search={"goals": [{"measure": "accuracy", "direction": "max"}]})
    assert impray("sweep", write(document), *HERE).code == 0
    said = impray("top", "runs/x")
    assert said.code == 0 and "accuracy of imp" in said.out


def test_all_problems_come_at_once_from_the_command_line_too():
    changes = {"trial.data.kind": "nlpg", "trial.prune.fraction": 20, "seeds": 0, "measures": ["accurcy"]}
    file = write(tiny(**changes, **{"search.space": {"data.gain": []}}))
    found = subprocess.run(
        [*PROGRAM, "sweep", file, "--set", "rounds=-1", "--set", "fraction=1", "--where", "her"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 2 and found.stdout == "" and "Traceback" not in found.stderr
    head, *told = found.stderr.splitlines()
    assert head == "x.yaml: 8 problems"
    lines = [int(match[1]) for line in told if (match := re.match(r"  line (\d+): ", line))]
    assert len(lines) == 5 and lines == sorted(lines)
    assert any("--set rounds=-1: rounds = -1    must be at least 0" in line for line in told)
    assert any("--set fraction=1: fraction" in line and "did you mean 'prune.fraction'?" in line for line in told)
    assert "--where = 'her'    must be here or ray; did you mean 'here'?" in told[-1]
    assert there() == {file}


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        ("rounds", ["--set rounds: rounds    write path=value, such as data.gain=3"]),
        ("=3", ["write path=value"]),
        ("dta.gain=3", ["--set dta.gain=3: dta.gain    starts with none of data, net", "did you mean 'data'?"]),
        ("data.gian=3", ["--set data.gian=3: trial.data.gian = 3", "did you mean 'gain'?"]),
        ("data.gain=[", ["--set data.gain=[: data.gain = '['    the value is not YAML"]),
        ("data.gain=-1", ["--set data.gain=-1: trial.data.gain = -1    must be above 0"]),
        ("prune.rewind_step=21", ["--set prune.rewind_step=21: trial.prune.rewind_step = 21    must be at most"]),
        ("search.space.data.gian=[1]", ["--set search.space.data.gian=[1]: ", "did you mean 'data.gain'?"]),
        ("figures=[nothing]", ["--set figures=[nothing]: figures[0] = 'nothing'    not one of"]),
    ],
)
def test_a_wrong_override_names_itself_as_the_place(item, parts):
    told = refused("sweep", write(tiny()), "--set", item)
    assert all(part in told.replace("trial.data.gain = '['", "data.gain = '['") for part in parts), told
    assert there() == {"x.yaml"}


OPTUNA = {"algorithm": "optuna", "trials": 2, "space": {"data.gain": [1, 2]}}
GOALS = {"goals": [{"measure": "accuracy", "direction": "max"}]}


@pytest.mark.parametrize(
    ("document", "words", "told"),
    [
        (tiny(search={**OPTUNA, **GOALS}), ["--where", "here"], "--where = 'here'    runs grid and random searches"),
        (tiny(), ["--where", "here", "--address", "auto"], "--address = 'auto'    a cluster is for --where ray"),
        (tiny(), ["--mlflow", "mlruns"], "--mlflow = 'mlruns'    must be a URI, such as http://"),
    ],
)
def test_options_that_do_not_fit_are_told_without_a_line(document, words, told):
    said = refused("sweep", write(document), *words)
    assert f"  {told}" in said and "line" not in said
    assert there() == {"x.yaml"}


# -- unreadable files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty; a sweep needs question"),
        (b"question: caf\xe9\n", "cannot be read: it is not text in UTF-8"),
        (b"question: [\n", "line 2: file    is not valid YAML"),
        (b"\tquestion: x\n", "line 1: file    is not valid YAML"),
        (b"\x00\x01", "is not valid YAML"),
        (b"- question\n", "line 1: file    must be a mapping with the keys question, trial"),
    ],
)
@pytest.mark.parametrize("command", [["sweep"], ["data"]])
def test_an_unreadable_file_is_told_not_raised(command, content, told):
    Path("x.yaml").write_bytes(content)
    assert told in refused(*command, "x.yaml")
    assert there() == {"x.yaml"}


def test_a_folder_is_no_sweep_file():
    assert ".: 1 problem\n  file    this is a folder" in refused("sweep", ".")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("quickstar", "did you mean 'quickstart'?"),
        ("mine.yml", "did you mean 'mine.yaml'?"),
        ("elsewhere/mine.yaml", "there is no such file"),
    ],
)
def test_an_unknown_sweep_names_the_nearest(name, told):
    write(tiny(), "mine.yaml")
    said = refused("sweep", name)
    assert said.startswith(f"{name}: 1 problem") and told in said


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
    assert "pack " not in before and re.search("pack .* started", middle)
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
        if pattern[0] and (full or re.search(pattern[0], name)):
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


@pytest.mark.parametrize("place", PLACES)
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


@pytest.mark.parametrize("command", [["status"], ["top"], ["failures"], ["mlflow", "sync"], ["mlflow", "ui"]])
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


# -- what commands answer ---------------------------------------------------------------------------------------------


def commands(group: typer.core.TyperGroup, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*words, name)
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, (*words, name))


COMMANDS = [(), *commands(typer.main.get_command(app))]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(words):
    said = impray(*words, "--help")
    first, *lines = said.out.splitlines()
    assert said.code == 0 and first.startswith("Usage: ") and " ".join(words) in first
    assert all(len(line) <= 80 for line in lines)
    described = [line for line in lines if re.match(r"  (--\w|\w)", line)]
    bare = [line for line in described if re.match(r"  \S+( <[^>]+>)? *(\[|$)", line)]
    assert described and not bare, "every option says what it is"


def test_help_loads_no_heavy_library():
    script = (
        "import sys, impray.cli; sys.exit(bool({'torch', 'ray', 'mlflow', 'polars', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def test_the_schema_is_json_printed_or_written():
    said = impray("schema")
    assert json.loads(said.out)["properties"].keys() >= {"question", "trial", "seeds", "rounds"}
    assert impray("schema", "folder/schema.json").code == 0
    assert json.loads(Path("folder/schema.json").read_text()) == json.loads(said.out)
    Path("file").touch()
    assert "cannot be written (Not a directory)" in refused("schema", "file/schema.json")


def test_tables_is_the_data_dictionary():
    rows = json.loads(impray("tables", "--json").out)
    assert {row["table"] for row in rows} == set(schema.TABLES)
    said = impray("tables").out
    for row in rows:
        assert re.search(rf"^  {re.escape(row['column'])} .*{re.escape(row['sentence'])}", said, re.MULTILINE), row


@pytest.mark.parametrize("gain", [0.1, 3.0])
def test_data_of_a_stimulus_is_near_theory(gain):
    said = impray(
        *("data", "--json", "--samples", 2000, "--seed", 1),
        *("--set", "data.shape=[8, 8]", "--set", f"data.gain={gain}", "--set", "data.xi=[1, 2]"),
    )
    found = json.loads(said.out)
    assert said.code == 0 and found["shape"] == [8, 8] and [row["label"] for row in found["classes"]] == [0, 1]
    for row in found["classes"]:
        wanted = {
            "mean": 0.0,
            "variance": 1.0,
            "kurtosis": kurtosis_of_erf(gain),
            "excess_kurtosis": kurtosis_of_erf(gain) - 3,
        }
        errors = {"mean": "mean_standard_error", "variance": "variance_standard_error"}
        for name, value in wanted.items():
            error = row[errors.get(name, "standard_error")]
            # 4 standard errors; a binary-like input has a variance without sampling error but for Z's own rounding.
            assert 0 < error and abs(row[name] - value) < 4 * error + 1e-6, (name, row)
        nearest = row["covariance_by_distance"]
        assert [pair["distance_px"] for pair in nearest] == [0, 1, 2, 3, 4]
        assert abs(nearest[0]["covariance"] - row["variance"]) < 0.05
    short, long = ([pair["covariance"] for pair in row["covariance_by_distance"]] for row in found["classes"])
    assert all(a < b for a, b in zip(short[1:3], long[1:3], strict=True)), "class 0 has the short length scale"
    assert Path("runs/data-nlgp.png").stat().st_size > 0 and "picture: runs/data-nlgp.png" in said.err


def kurtosis_of_erf(gain: float) -> float:
    """E[x^4] / E[x^2]^2 of x = erf(gain z), z ~ N(0, 1), by a fine sum."""
    z = np.linspace(-9, 9, 20_001)
    weight = np.exp(-(z**2) / 2)
    x = np.array([math.erf(gain * value) for value in z])
    return float((weight * x**4).sum() * weight.sum() / (weight * x**2).sum() ** 2)


def test_data_of_photographs_and_their_clone():
    words = ("data", "--json", "--samples", 200, "--set", "data.kind=photographs", "--set", "data.crops=200")
    natural, clone = (
        json.loads(impray(*words, "--set", f"data.gaussian_blend={blend}", "--picture", "p.png").out)
        for blend in (0, 1)
    )
    for found in (natural, clone):
        assert found["shape"] == [16, 16] and len(found["classes"]) == 10 and Path("p.png").is_file()
        for row in found["classes"]:
            assert row.keys() >= {"label", "mean", "variance", "kurtosis", "excess_kurtosis", "standard_error"}
            assert all(math.isfinite(value) for value in row.values() if isinstance(value, float))
            assert row["kurtosis"] == pytest.approx(row["excess_kurtosis"] + 3)
            assert abs(row["mean"]) < 4 * row["mean_standard_error"], "each class's mean image is removed"
        # One scale for all: each class's variance is its own, their mean is 1.
        variances, errors = zip(
            *((row["variance"], row["variance_standard_error"]) for row in found["classes"]), strict=True
        )
        assert abs(np.mean(variances) - 1) < 4 * np.linalg.norm(errors) / 10
    excess = [np.array([row["excess_kurtosis"] for row in found["classes"]]) for found in (natural, clone)]
    errors = np.array([row["standard_error"] for row in clone["classes"]])
    assert excess[0].max() > 3 and np.median(excess[1]) < np.median(np.abs(excess[0])) + errors.max()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--set", "data.kind=nlpg"],
            "trial.data.kind = 'nlpg'    not one of nlgp, kur, ising, elliptical, photographs, ",
        ),
        (["--set", "data.gian=1"], "did you mean 'gain'?"),
        (["--samples", "1"], "--samples"),
        (["--picture", "p.pdf"], "p.pdf: a picture is a PNG file; give a name that ends in .png"),
        (["--picture", "x.yaml/p.png", "--samples", "8"], "x.yaml/p.png: cannot be written (Not a directory)"),
    ],
)
@pytest.mark.parametrize("file", [[], ["x.yaml"]], ids=["alone", "of a sweep"])
def test_wrong_words_to_data_are_told(file, words, told):
    write(tiny())
    assert told in refused("data", *file, *words)
    assert there() == {"x.yaml"}


def test_a_plan_counts_runs_nothing_and_names_the_command():
    words = ("sweep", write(tiny()), "--set", "data.xi=[1, 3]", *HERE, "--out", "elsewhere")
    said = impray(*words, "--plan")
    assert said.code == 0 and there() == {"x.yaml"}
    assert said.out.startswith("x: is a tiny sweep a sweep?\ntrials: 2 (2 with something left to do); lineages: 12; ")
    assert "rounds 0 to 3, 20 steps each; methods imp, oneshot, random" in said.out
    again = "impray sweep x.yaml --set 'data.xi=[1, 3]' --out elsewhere --where here --mlflow off --no-figures"
    assert said.out.splitlines()[-1] == f"next: {again}"


def test_a_sweep_twice_then_every_way_to_look_at_it():
    file = write(SMALL)
    first, second = (impray("sweep", file, *HERE) for _ in range(2))
    assert first.code == second.code == 0 and first.err == second.err == ""
    assert "nothing to do: all 2 trials are done in runs/x" in second.out and "nothing to do" not in first.out
    assert first.out.endswith("next: impray mlflow sync runs/x\n") and second.out.endswith("sync runs/x\n")
    status, top, failures = (impray(command, "runs/x") for command in ("status", "top", "failures"))
    assert status.out.startswith("2 of 2 trials done; 12 rounds of 6 lineages are in the tables of runs/x\n")
    board = top.out.splitlines()
    assert board[0].split() == ["number", "data.gain", "method", "accuracy"]
    assert any(line.startswith("in every row: round 1, density 0.7") and line.endswith("seeds 1") for line in board)
    assert len(board) == 1 + 6 + 3 + 1 and board[-1] == "next: impray mlflow sync runs/x"
    assert set(board[:-1]) <= set(first.out.splitlines()), "what top shows is what the sweep ended with"
    assert failures.out == "no failures\nnext: impray top runs/x\n"


def test_a_sweep_named_sweep_yaml_goes_by_its_folder(folder):
    Path("mine").mkdir()
    write(tiny(), "mine/sweep.yaml")
    os.chdir("mine")
    assert impray("sweep", "sweep.yaml", "--plan").out.startswith("mine: ")


def test_the_leaderboard_as_json(whole):
    rows = json.loads(impray("top", "--json", whole).out)["rows"]
    assert [row["method"] for row in rows[:3]] == ["imp", "oneshot", "random"]
    assert {row["means"]["accuracy"]["seeds"] for row in rows} == {1} and len(rows) == 6


def test_a_sweep_that_diverges_cannot_be_overlooked():
    file = write(tiny(rounds=1, measures=["accuracy"], methods=["imp"], search={}, **{"trial.train.lr": 1e6}))
    for _ in range(2):  # run, and again
        said = impray("sweep", file, *HERE)
        assert said.code == 0 and "trial 0 done" not in said.out and "2/2 diverged" in said.out
        assert said.err.startswith("warning: 1 trial diverged")
        assert said.out.endswith("next: impray failures runs/x\n")
    assert scan("trials", "runs/x").collect()["status"].to_list() == ["diverged"]
    assert "2/2 diverged: imp in round 0, seeds 0, 1" in impray("failures", "runs/x").out
    assert impray("status", "runs/x").out.startswith("0 of 1 trials done, 1 diverged; ")
    assert "2/2 diverged" in impray("top", "runs/x").out
