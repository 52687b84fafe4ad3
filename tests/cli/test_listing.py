"""What there is to choose from: shipped sweeps, measures, tables, and figures beside a sweep."""

import json
from pathlib import Path

import pytest
import yaml
from cli.said import HERE, SMALL, impray, refused, there, write

from impray.cli import jobs
from impray.cli.listing import asked
from impray.cli.sweep import call_problems
from impray.service.drawing import command, own_scripts
from impray.shipped import shipped
from impray.spec import families
from impray.spec.load import load

SWEEPS = sorted(shipped("sweeps").glob("*.yaml"))
FIGURE = '"""Of mine."""\nfrom impray.figures import Figure\n'


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_shipped_sweep_is_listed_with_its_question_and_how_long_it_takes(path):
    question, cost = asked(path)
    assert question == yaml.safe_load(path.read_text())["question"]
    assert "lineages" in cost or "trials" in cost
    assert any(unit in cost for unit in (" min", " s", "core", "days")), cost
    said = impray("sweep", "--list").out
    assert f"\n{path.stem}\n" in f"\n{said}" and there() == set()


def test_measures_are_listed_each_with_all_its_columns():
    names = families.measures.tags
    lines = impray("measures").out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == list(names)
    (member,) = json.loads(impray("measures", "pieces", "--json").out)["members"]
    assert {column["name"] for column in member["columns"]} == {"pieces", "largest_piece"}
    assert "did you mean 'pieces'?" in refused("measures", "piecs")


def test_one_table_is_listed_alone():
    rows = json.loads(impray("tables", "fates", "--json").out)
    assert {row["table"] for row in rows} == {"fates"}
    assert rows == [row for row in json.loads(impray("tables", "--json").out) if row["table"] == "fates"]
    said = impray("tables", "fates").out
    assert all(row["column"] in said for row in rows) and "rounds:" not in said
    assert "did you mean 'fates'?" in refused("tables", "fate")


def test_a_figure_beside_the_sweep_is_found_and_goes_before_a_shipped_one():
    for file in ("mine.py", "goals.py", "analysis/deep.py"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text(FIGURE)
    Path("masks.py").write_text("print('has nothing to do with figures')\n")
    Path("binary.py").write_bytes(b"\xff\xfe impray.figures")
    own = own_scripts(Path("x.yaml"))
    assert set(own) == {"mine", "goals", "deep"}
    assert command("goals", own)[-1] == str(Path("goals.py").absolute())
    assert command("masks", own)[-1] == str(shipped("analysis") / "masks.py")
    file = write(SMALL | {"figures": ["mine", "deep", "masks"]})
    checked = call_problems(load(Path(file)), "here", None, "off", "runs", False, own)
    assert checked == []
    assert "'deeep'" in refused("sweep", write(SMALL | {"figures": ["deeep"]}), *HERE)
    listed = json.loads(impray("families", "figures", "--sweep", file, "--json").out)["members"]
    assert {member["name"]: member["about"] for member in listed}["deep"] == "Of mine."


def test_nothing_is_run_from_a_results_folder(whole):
    (whole / "mine.py").write_text(FIGURE)
    try:
        assert own_scripts(whole / "sweep.yaml") == {}
    finally:
        (whole / "mine.py").unlink()


def test_own_figures_go_with_a_job(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "mine.py").write_text(FIGURE)
    path = Path(write(SMALL))
    words = jobs.Sent(path, "x", (), [tmp_path / "mine.py"]).laid(tmp_path / "to")
    assert words == ["x.yaml"] and (tmp_path / "to" / "x.yaml").read_text() == path.read_text()
    assert set(own_scripts(tmp_path / "to" / "x.yaml")) == {"mine"}
