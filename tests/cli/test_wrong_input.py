"""Ten kinds of wrong input: exit code 2 and a message on stderr, never a traceback, and nothing is begun."""

import re
import subprocess
from pathlib import Path

import pytest
from cli.said import HERE, PROGRAM, impray, line_of, refused, there, write
from conftest import tiny

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
    assert said.code == 0 and "trials: 1; lineages: 6 " in said.out


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
