"""`impray findings`: what the table of findings holds, and nothing else, in three forms."""

import json

import polars as pl
import pytest
from cli.said import impray, refused

from analysis import stored
from impray.figures import AXIS, Figure, More, Panel, dots
from impray.figures.command import draw_into
from impray.figures.findings import recipe, shipped_recipe
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.quantities import CLUSTERING
from impray.results.tables import scan
from impray.shipped import shipped
from impray.spec.load import load

METHODS = ("oneshot", "random")
FIGURE = Figure(
    name="mine",
    title="Mine",
    question="Is imp more clustered?",
    panels=[Panel(of=CLUSTERING, mark=dots, x=AXIS)],
    claims=[
        More(
            quantity=CLUSTERING, left=pl.col("method") == "imp", than=pl.col("method") == other, says=f"than |{other}|"
        )
        for other in METHODS
    ],
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = stored.folder("quickstart", tmp_path_factory.mktemp("findings") / "quickstart")
    draw_into(FIGURE, out)
    return out


def test_every_form_has_every_claim_with_the_numbers_of_the_table(drawn):
    rows = scan("findings", drawn).collect().sort("number")
    (document,) = json.loads(impray("findings", drawn, "--json").out)
    assert [row["claim"] for row in document["findings"]] == [f"than |{other}|" for other in METHODS]
    for name in ("effect", "low", "high", "p_holm", "held", "of", "verdict"):
        assert [row[name] for row in document["findings"]] == rows[name].to_list()
    assert document["seeds"] == scan("rounds", drawn).collect()["seed"].n_unique()
    text, markdown = impray("findings", drawn).out, impray("findings", drawn, "--markdown").out
    for row in rows.iter_rows(named=True):
        assert row["claim"] in text and row["verdict"] in text and f"{row['effect']:.3g}" in text
        line = next(line for line in markdown.splitlines() if row["claim"].replace("|", "&#124;") in line)
        assert line.count("|") == 6 and f"{row['low']:.3g} to {row['high']:.3g}" in line
    assert document["recipe"] in text and document["recipe"] in markdown


def test_several_folders_are_told_one_after_the_other(drawn):
    said = impray("findings", drawn, drawn, "--markdown").out
    assert said.count("\n## quickstart\n") + said.startswith("## quickstart\n") == 2


def test_a_folder_without_drawn_figures_makes_no_claims(tmp_path):
    out = stored.folder("quickstart", tmp_path / "quickstart")
    assert json.loads(impray("findings", out, "--json").out)[0]["findings"] == []
    assert "no claims" in impray("findings", out).out


def test_what_cannot_be_meant_is_told(drawn, tmp_path):
    assert "leave one out" in refused("findings", drawn, "--json", "--markdown")
    refused("findings", tmp_path)
    assert refused("findings", drawn, tmp_path), "all or nothing is printed"


def test_the_recipe_is_what_decides_the_lineages():
    whole = load(shipped("sweeps") / "quickstart.yaml")
    assert recipe(whole) == shipped_recipe("quickstart") and shipped_recipe("no such sweep") is None
    same = whole.model_copy(update={"question": "another?", "figures": (), "measures": whole.measures[:1]})
    assert recipe(same) == recipe(whole)
    others = [
        whole.model_copy(update={"rounds": whole.rounds + 1}),
        whole.model_copy(update={"seeds": (*whole.seeds, 99)}),
    ]
    assert len({recipe(each) for each in (whole, *others)}) == 3


def test_a_stored_sweep_is_that_of_its_folder(drawn):
    (document,) = json.loads(impray("findings", drawn, "--json").out)
    assert document["recipe"] == recipe(read_sweep(Paths(drawn)))
