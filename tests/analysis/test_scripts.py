"""What all scripts of analysis/ share: they are figures and nothing else, and wrong input is told in a few lines with exit code 2."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import stored
from impray.figures import command
from impray.figures.command import figures_of

FOLDER = Path(__file__).parents[2] / "analysis"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


def script(name):
    module = importlib.import_module(name)
    return next(getattr(module, each) for each in ("PAPER", "FIGURES", "FIGURE") if hasattr(module, each)), module


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_figures_that_say_what_would_count_against_them(name):
    found, module = script(name)
    figures = figures_of(found)[0]
    assert figures and len({figure.name for figure in figures}) == len(figures)
    assert all(figure.name.startswith(name) for figure in figures), "its files are found by the script's name"
    assert module.__doc__ and "matplotlib" not in (FOLDER / f"{name}.py").read_text()
    assert all(figure.title and figure.question for figure in figures)


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_no_sweep_exits_with_2_and_names_it(name, tmp_path, monkeypatch, capsys):
    for wrong in (tmp_path, tmp_path / "absent"):
        monkeypatch.setattr(sys, "argv", [name, str(wrong)])
        with pytest.raises(SystemExit) as stopped:
            command.run(script(name)[0], "About.")
        told = capsys.readouterr().err
        assert stopped.value.code == 2 and str(wrong) in told and told.count("\n") == 1


def test_damaged_tables_are_named(tmp_path, monkeypatch, capsys):
    out = stored.folder("quickstart", tmp_path / "q")
    (file,) = (out / "tables" / "rounds").iterdir()
    file.write_bytes(b"no parquet")
    monkeypatch.setattr(sys, "argv", ["width_by_gain", str(out)])
    with pytest.raises(SystemExit) as stopped:
        command.run(script("width_by_gain")[0], "About.")
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and str(file) in told and "Traceback" not in told


@pytest.mark.slow
def test_a_script_runs_by_itself_and_prints_its_files(tmp_path):
    out = stored.folder("quickstart", tmp_path / "q")
    asked = [sys.executable, FOLDER / "width_by_gain.py", out, "--only", "data.gaussian_blend=0"]
    ran = subprocess.run(asked, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    files = [Path(line) for line in ran.stdout.splitlines()[:3]]
    assert sorted(path.name for path in files) == [f"width_by_gain.{ending}" for ending in ("csv", "png", "txt")]
    assert all(path.is_file() and path.parent == out / "figures" for path in files)
    ran = subprocess.run([*asked[:-1], "data.gaussian_blend"], capture_output=True, text=True)
    assert ran.returncode == 2 and "AXIS=VALUE" in ran.stderr
