"""Plugins as a user meets them on the command line: run, look without the files, change a file, raise a version, list the families."""

import json
import subprocess
import sys

import pytest
from plugins import written
from typer.testing import CliRunner

from impray.cli import jobs
from impray.cli.app import app
from impray.service.drawing import command
from impray.spec.plugins import joined

FIGURE = "my_figures.by_round"


def impray(*words, folder, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "impray.cli", *words], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def sweep_of_docs(folder):
    written.of_docs(folder)
    return written.sweep_with(
        folder,
        ["my_measures.py", "my_figures.py", "my_data.py"],
        **{"trial.data": {"kind": "my_data.stripe", "held_out": 20}, "figures": [FIGURE]},
        measures=["accuracy", "my_measures.sparsity"],
        search={
            "space": {"data.noise": [0.1, 1.0]},
            "goals": [{"measure": "sparsity", "direction": "max", "at": {"density": 0.8}}],
        },
    )


@pytest.mark.slow
def test_a_sweep_of_plugins_from_its_start_to_its_views(tmp_path):
    sweep_of_docs(tmp_path)
    run = ("sweep", "sweep_of_mine.yaml", "--where", "here", "--mlflow", "off")
    said = impray(*run, folder=tmp_path)
    out = tmp_path / "runs" / "sweep_of_mine"
    picture = out / "figures" / "my_figures_by_round.png"
    assert f"figure: {picture.relative_to(tmp_path)}" in said
    assert picture.read_bytes().startswith(b"\x89PNG")

    with (tmp_path / "my_data.py").open("a") as file:
        file.write("# the same numbers\n")
    assert "its version is still 1" in impray(*run, folder=tmp_path)
    assert "its version is still 1" not in impray(*run, folder=tmp_path)
    assert len(json.loads((out / "provenance.json").read_text())["plugins"]["my_data"]["earlier_hashes"]) == 1

    text = (tmp_path / "my_data.py").read_text()
    (tmp_path / "my_data.py").write_text(text.replace('version="1"', 'version="2"'))
    assert "is version 1 in this folder" in impray(*run, folder=tmp_path, code=2)
    (tmp_path / "my_data.py").write_text(text)
    assert "nothing to do" in impray("sweep", str(out / "sweep.yaml"), *run[2:], folder=tmp_path)

    for name in ("my_measures", "my_data"):
        (tmp_path / f"{name}.py").write_text("raise AssertionError('it was run')\n")
    assert "2 of 2 trials done" in impray("status", str(out), folder=tmp_path)
    top = json.loads(impray("top", str(out), "--json", folder=tmp_path))
    assert "sparsity" in json.dumps(top)
    assert "synced: 2 trials" in impray("mlflow", "sync", str(out), folder=tmp_path)
    assert "not drawn: my_figures.by_round" in impray("figures", str(out), folder=tmp_path)
    picture.unlink()
    impray("figures", str(out), FIGURE, "--plugin", "my_figures.py", folder=tmp_path)
    assert picture.exists()
    assert "it was run" in impray(*run, folder=tmp_path, code=2)


def test_a_figure_of_a_plugin_is_drawn_from_its_file(tmp_path):
    from impray.spec.plugins.loading import from_file

    file = written.of_docs(tmp_path)["my_figures"]
    joined.join(from_file(file))
    assert command(FIGURE)[1:] == ["-m", "impray.figures.of_plugin", FIGURE, str(file)]
    assert command("width_by_gain")[1].endswith("width_by_gain.py")


def test_an_unknown_figure_is_told_with_those_of_plugins(tmp_path):
    file = sweep_of_docs(tmp_path)
    file.write_text(file.read_text().replace(FIGURE, "my_figures.by_ruond"))
    answer = CliRunner().invoke(app, ["sweep", str(file), "--plan"])
    assert answer.exit_code == 2 and f"did you mean '{FIGURE}'?" in answer.output


def test_families_lists_members_with_all_that_is_known_of_them(tmp_path):
    files = written.of_docs(tmp_path)
    words = ["families", "--json", "--plugin", str(files["my_measures"]), "--plugin", str(files["my_rules"])]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    members = {(m["family"], m["name"]): m for m in json.loads(answer.stdout)["members"]}
    mine = members["measures", "my_measures.sparsity"]
    assert mine["source"] == str(files["my_measures"]) and mine["version"] == "1" and mine["requires"] == ["reads mask"]
    assert mine["parameters"] == [{"name": "power", "type": "number", "default": 1.0, "about": ""}]
    assert [column["name"] for column in mine["columns"]] == ["sparsity"]
    assert members["rules", "my_rules.noisy"]["parameters"][0]["default"] == 1.0
    assert members["data", "nlgp"]["source"] == "built in" and ("figures", "width_by_gain") in members


@pytest.mark.parametrize("family", ["data", "nets", "training", "rules", "measures", "figures"])
def test_families_shows_one_family_whole(family):
    answer = CliRunner().invoke(app, ["families", family])
    assert answer.exit_code == 0 and answer.output.startswith(f"{family}:")


def test_a_family_that_is_none_is_told():
    answer = CliRunner().invoke(app, ["families", "mesures"])
    assert answer.exit_code == 2 and "did you mean 'measures'?" in answer.output


def test_a_broken_file_is_told_by_families_and_schema(tmp_path):
    (tmp_path / "mine.py").write_text("1 / 0\n")
    for words in (["families", "measures"], ["schema"]):
        answer = CliRunner().invoke(app, [*words, "--plugin", str(tmp_path / "mine.py")])
        assert answer.exit_code == 2 and "line 1: cannot be imported: ZeroDivisionError" in answer.output


def test_plugins_go_with_a_job(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    files = [tmp_path / "a" / "mine.py", tmp_path / "a" / "deep" / "mine.py"]
    for number, file in enumerate(files):
        file.write_text(str(number))
    option, value = jobs._with_plugins([str(file) for file in files], tmp_path / "b")
    assert (option, value) == ("--set", "plugins=[0/mine.py, 1/mine.py]")
    assert [(tmp_path / "b" / place).read_text() for place in ("0/mine.py", "1/mine.py")] == ["0", "1"]
