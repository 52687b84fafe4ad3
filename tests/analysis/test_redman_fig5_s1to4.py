"""Redman Fig. 5 and S1 to S4: counts and means of version 0.5.0 on stored rows, laws of the rows that they make, and gaps.

Kept where definitions differ. Fig. 5: 0.5.0 counted groups of all seeds, or seeds in which every group holds; now each seed has one
number, its share of groups beyond chance, and both counts come out of the same rows. "At most -0.5" is "below" it, and "within 0.8 to
1.25" without its ends: they differ in ties only. S3: "less than half as much" is the sign of random's rise - imp's / 2 (0.5.0 also
wanted imp to rise). S4: a claim per round, 0.5.0 had seeds of both rounds in one count.
"""

import math

import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from polars import col
from redman import fig5, figs1, figs2, figs3, figs4

from analysis import stored
from impray.figures import CLONE, NATURAL, NotMeasured, results, table
from impray.figures.drawing import draw
from impray.results import scores

SWEEP = "redman2025_fig5_s1to4"
FIGURES = {
    "fig5": fig5.FIGURE,
    "figs1": figs1.FIGURE,
    "figs2": figs2.FIGURE,
    "figs3": figs3.FIGURE,
    "figs4": figs4.FIGURE,
}
SEEDS = 3
is_clone = col("data.gaussian_blend") == 1


def judged(name, of):
    return table(FIGURES[name], of).findings


def gaps(of, *places):
    """Gaps per seed of claims of Fig. 5."""
    return [fig5.FIGURE.claims[place].samples(of)[0].gaps for place in places]


# --- counts and means of 0.5.0 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_counts_and_means_are_those_of_the_scripts_before(name, of):
    findings = judged(name, of)
    for wanted in stored.expected(SWEEP)[name]:
        found = findings[wanted["place"]]
        assert found.effect == pytest.approx(wanted["mean"], rel=1e-9)
        if "held" in wanted:
            assert (found.held, found.of) == (wanted["held"], wanted["of"]), wanted["says"]


def test_groups_of_all_seeds_are_counted_as_before(of):
    for wanted in stored.expected(SWEEP)["fig5"][:4]:
        kind = getattr(fig5, wanted["kind"])
        assert [kind(of)["holds"].sum(), len(kind(of))] == wanted["groups"]
        if "every" in wanted:
            whole = kind(of).group_by("seed").agg(col("holds").all())
            assert [whole["holds"].sum(), len(whole)] == wanted["every"]
        if "clone" in wanted:
            assert [kind(of, CLONE)["holds"].sum(), len(kind(of, CLONE))] == wanted["clone"]
        assert any(
            f"{wanted['groups'][0]} of {wanted['groups'][1]} " in words for words in table(fig5.FIGURE, of).notes
        )


# --- scores by fate --------------------------------------------------------------------------------------------------

SCORES = [name.format(kind) for name in scores.STATISTICS.values() for kind in ("", "scaled_")]


def filled(score):
    """Scores of every kind are this, on natural inputs and clone."""
    return lambda frame: frame.with_columns(score.cast(pl.Float64).alias(name) for name in SCORES)


IS_NEXT = col("fate") == col("round") + 1


def test_scores_that_are_positive_just_before_removal_only_hold_in_every_group(folder):
    of = results(folder(fates=filled(pl.when(IS_NEXT).then(1).otherwise(-1))))
    before, flips, later, at_clone, flips_clone = gaps(of, 0, 1, 2, 5, 6)
    chance = np.mean([2.0**-fate for fate in range(2, 11)])
    assert before == later == (0.5,) * SEEDS and at_clone == flips_clone == (0.0,) * SEEDS
    assert flips == pytest.approx((1 - chance,) * SEEDS)


def test_order_and_size_in_closed_form(folder):
    """Survivors are the latest fate; the score -place on data and -place / 8 on the clone, which half of the samples doubles."""
    place = pl.when(col("fate") == 0).then(11).otherwise(col("fate"))
    size = pl.when(is_clone).then(0.125).otherwise(1.0)
    change = filled(-place * size)
    half = [name for name in SCORES if "half" in name]
    of = results(folder(fates=lambda frame: change(frame).with_columns(col(name) * 2 for name in half)))
    assert scores.orders(of)["rho"].to_list() == pytest.approx([-1] * SEEDS)
    assert scores.sizes(of)["size"].to_list() == pytest.approx([math.sqrt(np.mean(np.arange(1, 12) ** 2))] * SEEDS)
    falls, small, stable = gaps(of, 4, 9, 10)
    assert falls == pytest.approx((-0.5,) * SEEDS)
    assert small == pytest.approx((math.log(0.25),) * SEEDS) and stable == pytest.approx((-math.log(2),) * SEEDS)


def test_the_size_of_all_scores_does_not_matter(of, folder):
    larger = results(folder(fates=lambda frame: frame.with_columns(col(name) * 1000 for name in SCORES)))
    for one, other in zip(gaps(of, *range(11)), gaps(larger, *range(11)), strict=True):
        assert one == pytest.approx(other)


# --- rows of S1 to S4 ------------------------------------------------------------------------------------------------


def test_the_share_of_units_up_to_an_error_is_that_of_counting(of):
    for _, part in figs1.errors(of).group_by("method"):
        values = part["left_edge"].to_numpy()
        assert part["share"].to_list() == pytest.approx([np.mean(values <= value) for value in values])
        assert part["right_edge"].to_list() == [*values[1:], values[-1]]


def test_masks_lie_beside_the_correlations_of_their_units(of):
    pairs = figs1.correlations(of).filter(col("image_name") == "unit_correlation")
    for (mask,), (values,) in zip(figs1.masks(of).select("bits").rows(), pairs.select("values").rows(), strict=True):
        kept = np.unpackbits(np.frombuffer(mask, np.uint8)).sum()
        assert np.frombuffer(values, "<f4").sum() == kept**2  # every pair of inputs has one displacement


def test_each_seed_shows_the_stored_mask_nearest_to_its_mean_and_its_component(of):
    rows = of.rows("units", ["unit", "cosine_ica", "ica_component"], layer=1, round=10, method="imp")
    masks = of.rows("masks", ["unit"], layer=1, method="imp").select("lineage", "unit")
    for lineage, _, _, component, example in figs2.nearest(of).rows():
        own = rows.filter(lineage=lineage).drop_nans("cosine_ica")
        away = own.with_columns(away=(col("cosine_ica") - col("cosine_ica").mean()).abs())
        best = away.join(masks, on=["lineage", "unit"]).sort("away").row(0, named=True)
        assert f"unit {best['unit']}\n" in example and best["ica_component"] == component
    assert figs2.components(of).height == SEEDS


def course(second, first):
    """Kurtosis of layers 2 and 1 of imp (random's layer 2: 3 + round / 10), on natural inputs."""
    second = pl.when(col("method") == "imp").then(second).otherwise(3 + col("round") / 10)
    of_units = pl.when(col("layer") == 2).then(second).otherwise(col("kurtosis_per_class")).alias("kurtosis_per_class")
    return {
        "units": lambda frame: frame.with_columns(of_units),
        "rounds": lambda frame: frame.with_columns(first.alias("kurtosis_per_class_mean")),
    }


@pytest.mark.parametrize("sign", [1, -1])
def test_rise_peak_and_fall_in_closed_form_whichever_side_of_3(folder, sign):
    """Layer 2 rises to 7 above (below) 3 at round 7 and falls to 4; layer 1 rises all the time."""
    second = pl.when(col("round") <= 7).then(col("round")).otherwise(14 - col("round"))
    found = judged("figs3", results(folder(**course(3 + sign * second, 3 + col("round") / 1.0))))
    assert [each.effect for each in found] == pytest.approx([4.0, 1.0, 1.0, 1.0 - 2.0])
    assert [each.held for each in found] == [SEEDS] * 4


# --- what a folder lacks ---------------------------------------------------------------------------------------------


LOST = {
    "fig5": ("fates", "cavity"),
    "figs2": ("units", "units"),
    "figs3": ("units", "units"),
    "figs4": ("histograms", "cavity"),
}


@pytest.mark.parametrize("name", LOST)
def test_a_folder_without_the_measure_says_what_is_missing(folder, name):
    lost, needs = LOST[name]
    with pytest.raises(NotMeasured, match=needs):
        table(FIGURES[name], results(folder(**{lost: None})))


def test_a_figure_is_drawn_of_what_there_is(folder):
    found = table(figs1.FIGURE, results(folder(images=None, masks=None)))
    assert [each.of for each in found.findings] == [SEEDS] and len(found.lacking) == 3
    assert "correlation" in found.lacking[0]


def test_without_a_clone_controls_are_not_measured_and_all_else_stands(folder, of):
    found = judged("fig5", results(folder()).where(col("side") == NATURAL))
    assert [each.lacking for each in found[5:10]] == ["was not measured"] * 5
    assert [each.effect for each in found[:5]] == [each.effect for each in judged("fig5", of)[:5]]


@pytest.mark.some(2)
@pytest.mark.parametrize("name", FIGURES)
def test_it_can_be_drawn(name, of):
    FigureCanvasAgg(draw(table(FIGURES[name], of))).draw()
