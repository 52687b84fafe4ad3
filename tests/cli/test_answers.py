"""What each command prints."""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from cli.said import HERE, SMALL, impray, refused, there, write
from conftest import tiny

from impray.cli import app
from impray.results import schema
from impray.results.tables import scan

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


@pytest.mark.slow
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
    assert said.out.startswith(
        "x: is a tiny sweep a sweep?\ntrials: 2; lineages: 12 = trials x 3 methods x 2 seeds; packs: 1 "
    )
    assert "rounds 0 to 3, 20 steps each; methods imp, oneshot, random" in said.out
    again = "impray sweep x.yaml --set 'data.xi=[1, 3]' --out elsewhere --where here --mlflow off --no-figures"
    assert said.out.splitlines()[-1] == f"next: {again}"


def test_a_sweep_says_what_it_is_going_to_run_before_it_does():
    out = impray("sweep", write(SMALL), *HERE).out.splitlines()
    (amount,) = (
        place
        for place, line in enumerate(out)
        if line.startswith("trials: 2; lineages: 6 = trials x 3 methods x 1 seed;")
    )
    assert out[0] == f"x: {SMALL['question']}" and re.search(r"rounds 0 to 1; about \d+ (s|min) in all", out[amount])
    assert amount < min(place for place, line in enumerate(out) if " started: " in line)


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
