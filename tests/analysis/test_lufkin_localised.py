"""Lufkin Fig. 5 to 7: the counts and means of version 0.5.0 on stored rows, laws of the rows that they make, and gaps.

0.5.0 counted nets, stimuli, units and components; now a seed is judged, and a set of inputs for ICA. Its counts come out of the same
rows. "The IPR is consistent": 0.5.0 counted stimuli whose standard deviation is at most 0.05, now a seed counts that is nowhere further
than that from a stimulus's mean. "The authors' value lies within the range of our seeds": now within 0.1 of their mean.
"""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from lufkin import fig5, fig6, fig7, units
from polars import col

from analysis import stored
from impray.figures import NotMeasured, results, table
from impray.figures.drawing import draw

SETS = {
    "lufkin2024": fig5,
    "lufkin2024_committee": fig6,
    "lufkin2024_two_layer_relu": fig7,
    "lufkin2024_two_layer_sigmoid": fig7,
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The results of a stored set; `changes`: of some tables a function of their rows."""

    return lambda name, **changes: results(stored.changed(name, tmp_path_factory.mktemp(name), **changes))


def findings(name, of):
    return {each.says: each for each in table(SETS[name].FIGURE, of).findings}


def old(name, start):
    return next(each for each in stored.expected(name)["claims"] if each["says"].startswith(start))


# --- counts and means of 0.5.0 ---------------------------------------------------------------------------------------


def test_fig5_has_the_numbers_of_every_stimulus(opened):
    of = SETS["lufkin2024"].FIGURE.part(opened("lufkin2024"))
    keys = ["scales", "family", "parameter"]
    rows = fig5.fields(of).group_by(*keys, "by").agg(col("value").mean().alias("mean"), col("value").std().alias("sd"))
    peaks = fig5.shares(fig5.measured(of, fig5.AGREE))
    assert peaks["held"].sum() == sum(row[-1] for row in stored.expected("lufkin2024")["stimuli"])
    for *key, _, mean, sd, flow, _ in stored.expected("lufkin2024")["stimuli"]:
        one = rows.filter(col(name) == value for name, value in zip(keys, key, strict=True))
        assert one.filter(by="simulated").select("mean", "sd").row(0) == pytest.approx((mean, sd), rel=1e-9)
        assert one.filter(by="eq. 5")["mean"].item() == pytest.approx(flow, rel=1e-9)


def test_fig5_has_the_counts_and_gaps(opened):
    of = SETS["lufkin2024"].FIGURE.part(opened("lufkin2024"))
    nets, found, value = fig5.nets(of), findings("lufkin2024", of), col("value")
    localised = [
        each for says, each in found.items() if says.endswith("of the most negative excess kurtosis, localises")
    ]
    assert [(each.held, each.of) for each in localised] == [(30, 30)] * 2
    quiet = nets.filter(fig5.excess > 0).with_columns(value < 6 / 42)
    stimuli = nets.group_by("name", maintain_order=True).agg(
        col("scales", "local", "excess", "theirs").first(), value.mean(), value.std().alias("sd"),
        value.min().alias("min") - 5e-4, value.max().alias("max") + 5e-4,
    )  # fmt: skip
    counts = {
        "no positive excess kurtosis localises (ξ 0.3/0.7)": quiet.filter(scales="ξ 0.3/0.7")["value"],
        "no positive excess kurtosis localises (ξ 1/3)": quiet.filter(scales="ξ 1/3")["value"],
        "every negative": stimuli.filter(fig5.negative, scales="ξ 0.3/0.7").select(value > col("local")).to_series(),
        "the IPR is consistent": stimuli["sd"] <= fig5.STEADY,
        "the IPR of the authors": stimuli.drop_nulls("theirs")
        .select(col("theirs").is_between("min", "max"))
        .to_series(),
    }
    for says, held in counts.items():
        assert (held.sum(), len(held)) == (old("lufkin2024", says)["held"], old("lufkin2024", says)["of"])
    gaps = [each.effect for each in found.values() if each.question == "family"]
    assert sorted(gaps) == pytest.approx(sorted(gap[-1] for gap in stored.expected("lufkin2024")["gaps"]), rel=1e-9)


@pytest.mark.parametrize("name", list(SETS)[1:])
def test_units_have_the_counts_and_means(opened, name):
    of = SETS[name].FIGURE.part(opened(name))
    rows = fig6.both(of) if SETS[name] is fig6 else fig7.fields(of)
    rows = rows.group_by("model", "name").agg(col("local").sum(), pl.len(), col("arc", "ipr", "cycles").mean())
    for row in stored.expected(name)["units"]:
        assert rows.filter(model=row[0], name=row[1]).row(0)[2:] == pytest.approx(
            row[2:], rel=1e-6
        )  # stored in single precision


def test_a_share_of_units_over_seeds_is_the_count_of_units(opened):
    found = findings("lufkin2024_committee", opened("lufkin2024_committee"))
    most = found["most units of a committee localise with negative excess kurtosis"]
    assert 50 * (most.effect + 0.5) == pytest.approx(old("lufkin2024_committee", "the committee")["held"])
    assert (most.held, most.of) == (5, 5)
    counts = {says: (each.held, each.of) for says, each in found.items()}
    assert counts["the mean IPR is higher with negative than with positive excess kurtosis"] == (5, 5)
    assert counts["no unit localises with positive excess kurtosis"] == (5, 5)
    ica = [found[f"every component of ICA on Kur({k}) is localised"] for k in (3, 4, 10)]
    assert [(each.held, each.of, each.control) for each in ica] == [(1, 1, False), (1, 1, True), (0, 1, True)]


def test_some_but_not_all(opened):
    found = findings("lufkin2024_two_layer_relu", opened("lufkin2024_two_layer_relu"))
    some = found["some of the 10 relu units on Kur(30) localise, not all"]
    assert (some.held, some.of, some.control) == (1, 5, False)
    assert [each.held for each in found.values()] == [1, 5, 4, 5]


# --- laws ------------------------------------------------------------------------------------------------------------


def test_kur_on_the_curve_of_nlgp_has_no_gap_and_a_shift_is_the_gap(opened):
    known = opened("lufkin2024").lineages.select("lineage", "excess", "kind")

    def line(rows, shift):
        straight = 0.3 - 0.1 * col("excess") + shift * (col("kind") == "kur")
        return (
            rows.join(known, on="lineage")
            .filter(col("excess").is_finite())
            .with_columns(straight.alias("ipr_mean"))
            .drop("excess", "kind")
        )

    for shift in (0.0, 0.05):
        of = opened("lufkin2024", rounds=lambda rows, shift=shift: line(rows, shift))
        gaps = fig5.beside_nlgp(fig5.FIGURE.part(of))["gap"]
        assert np.abs(gaps.to_numpy() - shift).max() < 1e-12


@pytest.mark.parametrize("inputs", [36, 40, 44])
def test_a_unit_is_local_by_its_arc_wherever_it_lies(inputs):
    spike, block, wave = np.zeros(inputs), np.zeros(inputs), np.sin(2 * np.pi * 3 * np.arange(inputs) / inputs)
    spike[1], block[: inputs // 3] = 1, -1
    fields = [np.roll(sign * w, by).tolist() for w in (spike, block, wave) for sign in (1, -1) for by in (0, 7)]
    of = SimpleNamespace(trials={"a": SimpleNamespace(data=SimpleNamespace(input_shape=(inputs,)))})
    rows = pl.DataFrame({"trial": "a", "name": "Kur(10)", "excess": -0.93, "model": "units", "weights": fields})
    found = units.described(of, rows)
    assert found["local"].to_list() == [True] * 4 + [False] * 8
    assert (found["local"] == (found["arc"] < 1 / 8)).all()
    assert (found["arc"] != found["bound"]).all()
    assert found["cycles"][8:].to_list() == [3] * 4


# --- pictures, and what is missing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_figures_are_drawn(opened, name):
    made = table(SETS[name].FIGURE, opened(name))
    draw(made)
    assert not made.lacking
    if name == "lufkin2024":  # both infinite kurtoses have a place
        beyond = made.panels[0][1].filter(col("excess").is_infinite())
        assert beyond.select("x", "at").n_unique() == beyond["at"].n_unique() == 2


@pytest.mark.slow
def test_what_is_missing_is_said(opened):
    with pytest.raises(NotMeasured, match="single ReLU neurons"):
        table(fig5.FIGURE, opened("lufkin2024_committee"))
    with pytest.raises(NotMeasured, match="two-layer networks"):
        table(fig7.FIGURE, opened("lufkin2024_committee"))
    with pytest.raises(NotMeasured, match="soft committee machines"):
        table(fig6.FIGURE, opened("lufkin2024"))
    with pytest.raises(NotMeasured, match="at least 3 kurtoses"):
        table(fig5.FIGURE, opened("lufkin2024", rounds=lambda rows: rows.filter(col("trial") == rows["trial"][0])))
    with pytest.raises(NotMeasured, match="measure course"):
        table(fig6.FIGURE, opened("lufkin2024_committee", steps=lambda rows: rows.clear()))
    found = findings("lufkin2024_committee", opened("lufkin2024_committee", images=lambda rows: rows.clear()))
    assert [each.lacking for each in found.values() if each.question == "ICA"] == ["needs measure components"]
    without = table(
        fig5.FIGURE, opened("lufkin2024", rounds=lambda rows: rows.drop("ipr_flow_mean", "peak_agrees_mean"))
    )
    assert [each.split(":")[0] for each in without.lacking] == ["same peak as by eq. 5 (share)"]
