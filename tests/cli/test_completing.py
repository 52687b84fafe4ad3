"""Tab: each kind of word is completed, in the shell's own protocol, and nothing heavy is imported for it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli.said import impray

from impray.cli import completing
from impray.results.schema import TABLES
from impray.service.drawing import scripts
from impray.shipped import shipped
from impray.spec import families

PROGRAM = "import sys; sys.argv[0] = 'impray'; from impray.cli import main; main()"
HEAVY = {"torch", "ray", "mlflow", "optuna", "polars", "pyarrow", "numpy", "scipy", "matplotlib", "sklearn"}
SPY = f"""
import atexit, sys
atexit.register(lambda: print("heavy:", sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr))
{PROGRAM}
"""


def press_tab(words, shell="bash"):
    """What the program tells a shell for the last of these words, and which heavy packages it has imported."""
    typed = shlex.join(["impray", *words[:-1]]) + f" {words[-1]}"
    told = {
        "bash": {"COMP_WORDS": typed, "COMP_CWORD": str(len(words))},
        "zsh": {"_TYPER_COMPLETE_ARGS": typed},
        "fish": {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    environment = {**os.environ, **told, "_IMPRAY_COMPLETE": f"complete_{shell}"}
    done = subprocess.run([sys.executable, "-c", SPY], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stderr == "heavy: []\n"
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_the_shipped_sweeps(shell):
    said = press_tab(["sweep", "quick"], shell)
    assert said.strip() == ("quickstart" if shell != "zsh" else "_arguments '*: :((\"quickstart\"))'")


@pytest.mark.parametrize(
    "words, offered",
    [
        (["sch"], {"schema"}),
        (["tables", ""], set(TABLES)),
        (["measures", "sp"], {name for name in families.measures.tags if name.startswith("sp")}),
        (["families", "me"], {"measures"}),
        (["figures", "runs/mine", "over"], {"overview"}),
        (["export", "runs/mine", "--format", ""], {"csv", "parquet", "optuna"}),
        (
            ["sweep", "quickstart", "--out", "", "--where", "h"],
            {"here"},
        ),  # an empty word before is no reason to complain
        (["top", "runs/"], {"runs/mine"}),
        (["mlflow", "sync", "run"], {"runs/", "runs/mine"}),
    ],
    ids=lambda words: " ".join(sorted(words) if isinstance(words, set) else words),
)
def test_every_kind_of_word_is_completed(words, offered):
    results("runs/mine")
    assert set(press_tab(words).split()) == offered


def results(folder):
    Path(folder).mkdir(parents=True)
    Path(folder, "sweep.yaml").touch()


def test_the_script_for_bash_works_in_bash(tmp_path):
    program = tmp_path / "bin" / "impray"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{PROGRAM}" "$@"\n')
    program.chmod(0o755)
    source = 'eval "$(_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1 impray --show-completion bash)"'
    press = "COMP_WORDS=(impray sweep rewind_); COMP_CWORD=2; _impray_completion impray; echo ${COMPREPLY[@]}"
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{source}; {press}"], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["rewind_prune_gain"], done.stderr


def test_folders_and_files_are_completed_as_far_as_they_are_typed():
    results("runs/a")
    results("b")
    Path("deep/er").mkdir(parents=True)
    for file in ("deep/er/x.yaml", "deep/er/x.txt", "mine.py", ".hidden.yaml"):
        Path(file).touch()
    assert completing.results("") == ["b", "deep/", "runs/", "runs/a"]
    assert completing.results("runs/") == ["runs/a"] and completing.results("s3://bucket/") == []
    assert completing.sweeps("de") == ["deep/"] and completing.sweeps("deep/er/") == ["deep/er/x.yaml"]
    assert completing.sweeps("nowhere/") == []
    assert completing.figures("mi") == ["mine.py"]
    whole = f"{Path.cwd()}/dee"
    assert completing.sweeps(whole) == [f"{Path.cwd()}/deep/"]


def test_all_that_there_is_is_offered():
    assert set(completing.sweeps("")) >= {path.stem for path in shipped("sweeps").glob("*.yaml")}
    assert set(completing.figures("")) == set(scripts())
    assert set(completing.measures("")) >= set(families.measures.tags) and set(completing.families("")) == set(
        families.ALL
    )
    assert set(completing.exported("")) > set(completing.tables("")) == set(TABLES)


@pytest.mark.parametrize(
    "words", [["--help"], ["sweep", "--list"], ["sweep", "--help"], ["--show-completion"], ["measures"]]
)
def test_what_only_tells_imports_nothing_heavy(words):
    """`impray --help` and `impray sweep --list` answer at once: what they cost is what they import."""
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    words = [*words, "bash"] if words == ["--show-completion"] else words
    done = subprocess.run([sys.executable, "-c", SPY, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "heavy: []\n" and done.stdout


def test_a_login_is_still_refused_where_nothing_is_completed():
    assert impray("sweep", "quickstart", "--out", "s3://key:secret@bucket/x").code == 2
