"""masks: the pictures and numbers of version 0.5.0 come out again, of its one seed and of all."""

import masks
import pytest
from polars import col

from analysis import stored
from impray.figures import NotMeasured

SWEEP = "quickstart"


def test_counts_and_means_are_those_of_050(of):
    """0.5.0 judged one seed; the numbers that it gives of each seed by itself are counted here."""
    stored.agrees(masks.FIGURE, of, stored.expected(SWEEP)["masks"])


def test_shown_are_the_units_of_050_with_the_most_inputs_first(of):
    shown = masks.shown(of)
    assert shown.select("seed", "round").unique().rows() == [(0, 10)]
    mean = masks.of_lineages(of).filter(round=10)
    for key, (near, most, least, units) in stored.expected(SWEEP)["masks of seed 0"].items():
        method, blend = key.split()
        part = shown.filter(col("method") == method, col("data.gaussian_blend") == float(blend))
        inputs = part["fan_in"].to_list()
        assert inputs == sorted(inputs, reverse=True) and (len(inputs), inputs[0], inputs[-1]) == (units, most, least)
        assert mean.filter(lineage=part["lineage"][0])["value"].to_list() == [pytest.approx(near, rel=1e-9)]


def test_only_the_most_connected_units_count(of, monkeypatch):
    most = masks.connected(of).group_by("lineage").agg(col("fan_in").top_k(5).sum())
    monkeypatch.setattr(masks, "MOST_UNITS", 5)
    kept = masks.connected(of).group_by("lineage").agg(col("fan_in").sum())
    assert kept.sort("lineage").equals(most.sort("lineage"))


@pytest.mark.parametrize("rows", [masks.shown, masks.of_lineages])
def test_a_sweep_without_masks_says_what_it_needs(rows, stored_sweep):
    with pytest.raises(NotMeasured, match="needs the measure masks"):
        rows(stored_sweep("non_gaussianity_dial"))
