"""width_by_gain: counts and means of version 0.5.0 come out again; what is missing is said."""

import width_by_gain
from polars import col

from analysis import stored
from impray.figures import table

SWEEP = "quickstart"


def test_counts_and_means_are_those_of_050_and_what_is_missing_is_said(of):
    stored.agrees(width_by_gain.FIGURE, of, stored.expected(SWEEP)["width_by_gain"])
    found = table(width_by_gain.FIGURE, of.where(col("method") != "random")).findings
    assert all("second side" in each.lacking for each in found if "random" in each.says)
    assert all(each.of == 6 for each in found if "random" not in each.says)
