"""Importance of axes: what is known of a goal that is known, of one that is nothing, and of too few trials."""

import numpy as np
import polars as pl
import pytest
from importance import FEWEST, FIGURE, distributions, importance, lines

from impray.figures import NotMeasured, panels
from impray.figures.drawing import draw

SWEEP = "search_small_fields"


def known(count=40):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"a": rng.uniform(size=count), "b": rng.uniform(size=count), "kind": ["x", "y"] * (count // 2)}
    )
    return frame.with_columns((10 * pl.col("a") ** 2).alias("of a"), pl.lit(rng.normal(size=count)).alias("of nothing"))


def space():
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1), "kind": CategoricalDistribution(["x", "y"])}


@pytest.mark.parametrize("seed", [0, 1])
def test_shares_sum_to_one_and_a_goal_of_one_axis_is_that_axiss(seed):
    shares = importance(known(), "of a", space(), seed)
    assert set(shares) == {"a", "b", "kind"} and sum(shares.values()) == pytest.approx(1)
    # Of `of a` nothing is left for the other axes but what a forest of 40 points gets wrong.
    assert shares["a"] > 0.9
    assert importance(known(), "of a", space(), seed) == shares, "seeded"


def test_of_nothing_no_axis_has_what_the_one_that_matters_has():
    """Shares sum to 1 even here, which is why the figure shows shuffled goals."""
    shares = importance(known(), "of nothing", space(), 0)
    assert sum(shares.values()) == pytest.approx(1) and max(shares.values()) < 0.9


def test_parallel_coordinates_go_from_the_lowest_to_the_highest_value_of_every_axis(of):
    frame = lines(of)
    ends = frame.drop_nulls("y").group_by("along").agg(pl.col("y").min().alias("low"), pl.col("y").max().alias("high"))
    assert len(ends) == len(of.axes) + 2 and set(ends["low"]) == {0.0} and set(ends["high"]) == {1.0}
    ranks = frame.drop_nulls("rank").unique("trial")["rank"]
    assert (ranks.min(), ranks.max()) == (0.0, 1.0)
    assert set(distributions(of)) == set(of.axes)


def test_of_few_trials_nothing_is_said(of):
    table = panels.table(FIGURE, of)
    assert len(table.panels) == 1 and len(table.lacking) == 2 and str(FEWEST) in table.lacking[0]
    assert draw(table).axes
    with pytest.raises(NotMeasured):
        FIGURE.panels(of)[0].rows(of)
