"""Ingrosso & Goldt (2022): the counts and means of version 0.5.0 on stored rows, laws of its rows, and gaps.

0.5.0 counted pairs of gain and seed; now every gain is a claim over its seeds, and their counts add up to the pairs.
"""

import ingrosso2022
import polars as pl
import pytest
from polars import col

from analysis import stored
from impray.figures import NotMeasured, results, table
from impray.figures.drawing import draw
from impray.theory.ring import noise_ipr

NAME = "ingrosso2022"


@pytest.fixture
def opened(tmp_path_factory):
    return lambda **changes: results(stored.changed(NAME, tmp_path_factory.mktemp(NAME), **changes))


def test_claims_have_the_counts_and_means(opened):
    found, known = table(ingrosso2022.FIGURE, opened()).findings, stored.expected(NAME)
    parts = [[0, 1], [2, 3], [4, 5, 6], [7], [8, 9]]  # the old claims, by gain
    counts = [(sum(found[at].held for at in part), sum(found[at].of for at in part)) for part in parts]
    assert counts == [(each["held"], each["of"]) for each in known["claims"]]
    gains = pl.DataFrame(known["gains"], known["columns"], orient="row")
    gaps = gains.filter(col("gain") > 1).select(
        col("ipr") - col("ipr_clone"),
        col("ipr").alias("rise") - col("ipr_first"),
        col("sinusoid_distance") - col("sinusoid_distance_clone"),
    )
    assert [found[at].effect for at in (0, 1, 2, 3, 8, 9)] == pytest.approx(
        [gap for column in gaps for gap in column], rel=1e-9
    )


def test_an_ipr_at_a_multiple_of_random_weights_is_that_far_from_them(opened):
    """And only a factor beyond 1.5 leaves the margin; the process is above a clone by what it is scaled with."""
    blend = col("data.gaussian_blend")
    for factor, verdict in ((1.2, "holds"), (1.8, "contradicted")):
        ipr = pl.when(blend == 1).then(factor).otherwise(3.0) * noise_ipr(256) * (1 + 0.01 * col("seed"))
        of = opened(steps=lambda rows, ipr=ipr: rows.with_columns(ipr.alias("ipr")))
        found = {each.says: each for each in table(ingrosso2022.FIGURE, of).findings}
        assert found["at gain 100 the IPR on the process ends above the clone's"].effect == pytest.approx(
            (3 - factor) * noise_ipr(256) * 1.02
        )
        assert found["at gain 100 the clone's IPR ends near random weights'"].verdict == verdict
        assert found["at gain 100 it rises while training"].effect == 0


def test_the_figure_is_drawn_with_what_there_is(opened):
    draw(table(ingrosso2022.FIGURE, opened()))
    made = table(ingrosso2022.FIGURE, opened(steps=lambda rows: rows.drop("weights")))
    assert any("weights_every" in each for each in made.lacking)
    made = table(ingrosso2022.FIGURE, opened(rounds=lambda rows: rows.drop("sinusoid_distance_mean")))
    assert [each.lacking for each in made.findings if each.question == "wave"] == [f"needs {ingrosso2022.NEEDS}"]


def test_what_is_missing_is_said(opened, tmp_path):
    with pytest.raises(NotMeasured, match="needs nlgp at a gaussian_blend"):
        table(ingrosso2022.FIGURE, results(stored.folder("lufkin2024_committee", tmp_path / "other")))
    found = table(ingrosso2022.FIGURE, opened(steps=lambda rows: rows.clear()))
    assert {each.verdict for each in found.findings} == {"not measured"}
