"""Claims become samples: pairing by seed, rounds in which masks differ, ends, trends, shares."""

from dataclasses import replace

import polars as pl
import pytest
from fake_sweep import Fake
from polars import col

from impray.figures import (
    AXIS,
    EVERY,
    LEAST,
    MOST,
    Figure,
    Gaps,
    Level,
    More,
    NotMeasured,
    Panel,
    Same,
    Share,
    Trend,
    band,
    dots,
    table,
)
from impray.figures.command import draw_into
from impray.figures.drawing import caption, draw, png
from impray.figures.page import Paper, publish
from impray.results.quantities import CLUSTERING, KURTOSIS, WIDTH
from impray.results.tables import scan
from impray.results.tidy import results
from impray.spec.errors import DataError

imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
least, most = col("end") == LEAST, col("end") == MOST


@pytest.fixture
def of(tmp_path):
    fake = Fake(tmp_path / "fake", gains=(0.01, 30.0), methods=("imp", "oneshot", "random"), seeds=4, rounds=3)
    value = {"imp": 3.0, "oneshot": 2.0, "random": 1.0}
    for number in range(2):
        for round in range(4):
            fake.round(
                number, round,
                clustering_mean=lambda m, s, n=number, r=round: value[m] + n + 0.1 * r + 0.01 * s * (m == "imp"),
                rf_width_px_median=lambda m, s: 5 - value[m] - 0.01 * s * (m == "imp"),
                kurtosis_per_class_mean=lambda m, s, n=number, r=round: 2.5 - 0.1 * r * (m == "imp"),
            )  # fmt: skip
    return results(fake.folder)


def gaps(claim, of):
    (sample,) = claim.samples(of)
    return [round(gap, 12) for gap in sample.gaps], sample.sign


def test_pairs_are_seed_by_seed(of):
    assert gaps(More(quantity=CLUSTERING, left=imp & least, than=random & least, says=""), of) == (
        [2.0, 2.01, 2.02, 2.03],
        1,
    )
    assert gaps(More(quantity=WIDTH, left=imp & least, than=random & least, says=""), of) == (
        [-2.0, -2.01, -2.02, -2.03],
        -1,
    )
    one_way, other_way = (
        gaps(More(quantity=CLUSTERING, left=a, than=b, says=""), of)[0] for a, b in ((imp & least, imp & most), (imp & most, imp & least))
    )  # fmt: skip
    assert one_way == [-gap for gap in other_way] == [1.0] * 4


def test_a_kurtosis_is_compared_by_its_distance_from_a_gaussians(of):
    """2.2 is further from 3 than 2.5, though it is lower."""
    found, sign = gaps(More(quantity=KURTOSIS, left=imp, than=random, says=""), of)
    assert sign == 1 and found == [0.3] * 4


def test_methods_that_share_their_masks_are_not_compared(of):
    """All share round 0; imp and oneshot round 1 too: means over rounds 2, 3 and over 1, 2, 3."""
    assert gaps(More(quantity=KURTOSIS, left=imp, than=oneshot, at=EVERY, says=""), of)[0] == [0.25] * 4
    assert gaps(More(quantity=KURTOSIS, left=imp, than=random, at=EVERY, says=""), of)[0] == [0.2] * 4
    early = results(of.place, round=1)
    (sample,) = More(quantity=KURTOSIS, left=imp, than=oneshot, says="").samples(early)
    assert not sample.gaps and "round 2" in sample.lacking


def test_each_makes_a_claim_of_every_value(of):
    found = More(
        quantity=CLUSTERING, left=imp & (col("name") != "NLGP(0.01)"), than=imp & most, each="name", says="on {each}"
    ).samples(of)
    assert [(sample.says, [round(g, 9) for g in sample.gaps]) for sample in found] == [("on NLGP(30)", [1.0] * 4)]
    both = More(quantity=CLUSTERING, left=imp, than=random, each="name", by=("name",), says="{each}").samples(of)
    assert [sample.says for sample in both] == ["NLGP(0.01)", "NLGP(30)"] and all(
        len(sample.gaps) == 4 for sample in both
    )


def test_levels_trends_shares_and_gaps(of):
    assert gaps(Level(quantity=CLUSTERING, left=random & most, above=1.0, says=""), of) == ([0.3] * 4, 1)
    assert gaps(Level(quantity=CLUSTERING, left=random & most, below=1.0, says=""), of) == ([0.3] * 4, -1)
    assert gaps(Trend(quantity=CLUSTERING, left=imp & most, along="round", at=EVERY, says=""), of) == ([1.0] * 4, 1)
    assert gaps(Trend(quantity=CLUSTERING, left=imp & most, along="round", at=EVERY, beyond=0.9, says=""), of) == (
        [0.1] * 4,
        1,
    )
    (flat,) = Trend(quantity=WIDTH, left=imp & most, along="round", at=EVERY, says="").samples(of)
    (short,) = Trend(quantity=WIDTH, left=imp, along="excess", says="").samples(of)
    assert not flat.gaps and "vary" in flat.lacking and not short.gaps and "three values" in short.lacking
    frame = pl.DataFrame({"seed": [0, 0, 1, 1], "near": [1, 1, 1, 9], "gap": [1.0, 2.0, 3.0, None]})
    (rows,) = Share(frame=lambda of: frame, holds=col("near") < 5, says="").samples(of)
    (seeds,) = Share(frame=lambda of: frame, holds=col("near") < 5, per_seed=True, says="").samples(of)
    assert (rows.held, seeds.held) == ((True, True, True, False), (True, False))
    assert gaps(Gaps(frame=lambda of: frame, says=""), of)[0] == [1.0, 2.0, 3.0]
    assert gaps(Same(quantity=CLUSTERING, left=imp, than=imp, margin=1.0, says=""), of)[1] == 0


def test_what_was_not_measured_is_told_or_left_out(of):
    absent = next(q for q in (WIDTH,)).in_layer(2)
    (sample,) = More(quantity=absent, left=imp, than=random, says="").samples(of)
    assert sample.lacking and not sample.gaps
    assert More(quantity=absent, left=imp, than=random, says="", optional=True).samples(of) == []


@pytest.fixture
def figure():
    return Figure(
        name="a_figure", title="A figure", question="Is it one?",
        panels=[Panel(of=CLUSTERING, mark=dots, x=AXIS), Panel(of=WIDTH, mark=band, at=EVERY, columns="name")],
        claims=[More(quantity=CLUSTERING, left=imp, than=random, says="imp is more clustered", by=("name",))],
    )  # fmt: skip


def test_a_panels_numbers_count_a_seed_once(of, figure):
    made = table(figure, of)
    first = made.panels[0][1].filter(imp & least).unique("at")
    assert first.select("seeds", "low", "high").rows() == [(4, pytest.approx(4.3), pytest.approx(4.33))]
    assert first["mean"][0] == pytest.approx(4.315) and first["left"][0] < 4.3 and first["right"][0] > 4.33
    twice = (
        Panel(of=lambda r: pl.concat([r.values(CLUSTERING)] * 2), mark=dots, x=AXIS)
        .rows(of)
        .filter(imp & least)
        .unique("at")
    )
    assert (
        twice.select("mean", "left", "right", "seeds").rows() == first.select("mean", "left", "right", "seeds").rows()
    )


def test_a_figure_leaves_picture_numbers_text_and_findings(of, figure, capsys):
    publish([figure], of, Paper("page", "A <page>", [figure], {"data": "theirs"}))
    files = {file.name: file.read() for file in of_figures(of)}
    assert set(files) == {"a_figure.png", "a_figure.csv", "a_figure.txt", "page.html"}
    assert files["a_figure.png"].startswith(b"\x89PNG") and b"A &lt;page&gt;" in files["page.html"]
    row = scan("findings", of.place).collect().row(0, named=True)
    assert (row["figure"], row["held"], row["of"], row["verdict"]) == ("a_figure", 4, 4, "holds")
    assert row["effect"] == pytest.approx(2.015)
    fewer = Figure(name="a_figure", title="A figure", question="", panels=figure.panels)
    publish([fewer], of)
    assert scan("findings", of.place).collect().is_empty(), "those of its former claims go"


def test_a_sweeps_caveat_is_in_every_text(of, figure):
    told = replace(of, sweep=of.sweep.model_copy(update={"caveat": "ChosenStore after looking."}))
    assert "ChosenStore after looking." in table(figure, told).notes and "ChosenStore" not in " ".join(
        table(figure, of).notes
    )


def of_figures(of):
    from impray.results.paths import Paths

    return Paths(of.place).figures()


def test_a_picture_is_drawn_of_every_scale_and_its_caption_is_short(of, figure):
    made = table(figure, of)
    assert len(png(draw(made))) > 10_000
    assert len(caption(made).split()) <= 60
    wide = pl.DataFrame(
        {"seed": [0, 0, 0], "x": [-1.0, 0.5, float("inf")], "value": [1.0, 2.0, 3.0], "method": ["imp"] * 3}
    )
    odd = Figure(name="b", title="b", question="", panels=[Panel(of=lambda r: wide, mark=dots, x="x", scale="symlog")])
    at = table(odd, of).panels[0][1]["at"].to_list()
    assert at[:2] == [-1.0, 0.5] and at[2] > 10
    assert png(draw(table(odd, of)))


def test_a_name_has_its_colour_and_dash_in_every_facet_whatever_comes_first_there(of):
    """One legend stands for all facets; `lone` has one of the names alone."""
    places = [("one", "a", "d"), ("one", "b", "e"), ("two", "b", "e"), ("two", "a", "d"), ("lone", "b", "e")]
    names = pl.DataFrame(places, schema=["side of", "who", "how"], orient="row")
    of_seeds = pl.DataFrame({"seed": [0, 0], "x": [1.0, 2.0]}).join(names, how="cross")
    rows = of_seeds.with_columns(value=(col("who") == "b").cast(pl.Float64))  # a is drawn at 0, b at 1
    panel = Panel(of=lambda _: rows, mark=dots, x="x", columns="side of", colour="who", dash="how")
    drawn = draw(table(Figure(name="f", title="f", question="", panels=[panel]), of))
    looks = {
        axes.get_title(): {line.get_ydata()[0]: (line.get_color(), line.get_linestyle(), line.get_marker())
                           for line in axes.get_lines() if line.get_linestyle() != "None"}
        for axes in drawn.axes
    }  # fmt: skip
    assert looks["one"] == looks["two"] and set(looks["one"]) == {0.0, 1.0} and len(set(looks["one"].values())) == 2
    assert looks["lone"] == {1.0: looks["one"][1.0]}


def test_a_figure_of_nothing_says_what_it_needs(of):
    nothing = Figure(name="n", title="n", question="", panels=[Panel(of=WIDTH.in_layer(2), mark=dots)])
    with pytest.raises(NotMeasured, match="layer = 2"):
        table(nothing, of)


def wrong_in_a_claim(**parts):
    claim = More(**{"quantity": CLUSTERING, "left": imp, "than": random, "says": "s"} | parts)
    return Figure(
        name="w", title="w", question="", panels=[Panel(of="clustering_mean", mark=dots, x=AXIS)], claims=[claim]
    )


def test_a_quantity_may_be_named(of):
    named, itself = (table(wrong_in_a_claim(quantity=each), of) for each in ("clustering_mean", CLUSTERING))
    assert named.findings == itself.findings and named.findings[0].of
    assert named.panels[0][0].ylabel == CLUSTERING.label and named.panels[0][0].guide == CLUSTERING.reference


def test_a_wrong_name_in_a_figure_is_told_with_what_would_be_right(of):
    with pytest.raises(DataError, match=r"'clustring_mean'.*did you mean 'clustering_mean'"):
        table(wrong_in_a_claim(quantity="clustring_mean"), of)
    panel = Panel(of="clustring_mean", mark=dots, x=AXIS)
    with pytest.raises(DataError, match=r"'clustring_mean'.*did you mean 'clustering_mean'"):
        table(Figure(name="w", title="w", question="", panels=[panel]), of)
    panel = Panel(of=CLUSTERING, mark=dots, x="data.gian")
    with pytest.raises(NotMeasured, match=r"data\.gian; did you mean 'data\.gain'"):
        table(Figure(name="w", title="w", question="", panels=[panel]), of)
    for side, parts in (("first", {"left": col("method") == "impp"}), ("second", {"than": col("method") == "impp"})):
        (finding,) = table(wrong_in_a_claim(**parts), of).findings
        assert f"{side} side" in finding.lacking and not finding.of


def test_a_script_that_asks_for_a_column_that_is_not_there_is_told_so(of):
    with pytest.raises(DataError, match=r"metod.*Did you mean \"method\""):
        draw_into(wrong_in_a_claim(left=col("metod") == "imp"), of.place)
