"""dial: counts and means of version 0.5.0 come out again, per seed; laws of the rows that it makes."""

import dial
import pytest
from polars import col

from analysis import stored
from impray.figures import table
from impray.results.quantities import CLUSTERING, WIDTH, Quantity

SWEEP = "non_gaussianity_dial"


def test_counts_and_means_are_those_of_050(of):
    """0.5.0 counted pairs of setting and seed, 27 and 9 of them; they are averaged into their 3 seeds here."""
    told = stored.expected(SWEEP)
    for figure in dial.FIGURE:
        stored.agrees(figure, of, told[figure.name])
    for quantity, name in ((WIDTH, "rf_width_px"), (CLUSTERING, "clustering")):
        gaps = quantity.sign * dial.differences(quantity)(of)["value"]
        assert [(gaps > 0).sum(), len(gaps)] == told["pairs of setting and seed"][name]
        assert dial.smallest(quantity)(of)["gap"].min() == gaps.min()


def like(path):
    """A quantity that is the trial's value on an axis; smaller is better."""
    return Quantity(path, "", better="lower", make=lambda of: of.rounds.select("lineage", "round", value=col(path)))


def test_a_number_that_is_the_dial_itself_takes_every_step(of):
    samples = [sample for claim in dial.course(like("data.gaussian_blend")) for sample in claim.samples(of.at_base())]
    # Ranks in order; of 0, 0.1, 0.2, 0.4, 0.7, 1 the smallest step, and from the second to the last.
    assert [sample.gaps for sample in samples] == [pytest.approx([gap] * 3) for gap in (1.0, 0.1, 0.9)]


@pytest.mark.parametrize(("path", "gap"), [("prune.rewind_step", 1000.0), ("prune.fraction", 0.3 - 0.7599)])
def test_an_axis_changes_what_is_that_axis_and_nothing_else(of, path, gap):
    gaps = dict(dial.effects(like(path))(of).group_by("words").agg(col("gap").mean()).rows())
    assert {words.startswith(path): gap for words, gap in gaps.items()} == {True: pytest.approx(gap), False: 0.0}


def test_one_setting_and_two_values_of_the_dial_are_said(of):
    base = of.at_base()
    assert dial.effects(WIDTH)(base).is_empty()
    found = table(dial.FIGURE[0], base.where(col("end") != "")).findings
    lacking = {each.lacking for each in found if each.question.endswith("dial")}
    assert lacking == {"needs three values or more of an axis with a Gaussian end"}
