"""Masks by cavity score: version 0.5.0's counts and means on stored rows, overlaps, and two runs of one rule.

0.5.0 told an ordering round by round, of every pair of methods; claims are judged at the last round (the kurtosis over all rounds
too) of those pairs of which H* says something. Its "as local as imp" was a majority of seeds beyond one standard error.
"""

import shutil

import cavity_rule as figure
import numpy as np
import polars as pl
import pytest

from analysis import stored
from impray.figures import NotMeasured, Round, results, table
from impray.figures.drawing import draw
from impray.figures.judge import CONTRADICTED, NOT_MEASURED, SUPPORTED, Sample, judged
from impray.results import quantities, tables
from impray.results.overlap import OVERLAP, overlaps
from impray.results.paths import Paths

EXPECTED = stored.expected("cavity_rule")
OF = {each.name: each for each in (*quantities.QUANTITIES.values(), OVERLAP)}
AXES = {"data.gaussian_blend": "float"}

SWEEP = "cavity_rule"


@pytest.fixture(scope="module")
def findings(of):
    return {finding.says: finding for finding in table(figure.FIGURE, of).findings}


@pytest.mark.parametrize("old", EXPECTED["orders"], ids=lambda old: "-".join(old[:4]))
def test_orders_are_those_of_the_old_script_at_every_round(of, old):
    name, left, right, side, *told = old
    sign = OF[name].sign if OF[name].score is None else 1
    for round, held, seeds, mean in zip(range(11 - len(told[0]), 11), *told, strict=True):
        [sample] = figure.compared(OF[name], left, right, side, at=Round(round)).samples(of)
        assert (sum(gap * sign > 0 for gap in sample.gaps), len(sample.gaps)) == (held, seeds)
        assert np.mean(sample.gaps) == pytest.approx(mean, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("old", EXPECTED["overlap"], ids=lambda old: "-".join(old[:2]))
def test_overlaps_are_those_of_the_old_script(of, findings, old):
    side, method, held, seeds, share, chance = old
    finding = findings[figure.above_chance(side).says.format(each=method)]
    assert (finding.held, finding.of, finding.effect) == (held, seeds, pytest.approx(share - chance, rel=1e-9))


def test_scores_and_the_kurtosis_over_all_rounds_are_means_of_the_old_script_s_rounds(of, findings):
    for quantity in (figure.MEAN, figure.MEDIAN):
        samples = figure.positive(quantity).samples(of)
        old = {method: np.mean(means) for name, method, means in EXPECTED["scores"] if name == quantity.name}
        assert {s.says.split("what ")[1].split()[0]: np.mean(s.gaps) for s in samples} == pytest.approx(old, rel=1e-9)
    pair = ["kurtosis_per_class_mean", "cavity", "imp", "data"]
    [means] = [each[-1] for each in EXPECTED["orders"] if each[:4] == pair]
    claim = next(each for each in figure.FIGURE.claims if "all rounds cavity" in each.says)
    assert findings[claim.says].effect == pytest.approx(np.mean(means), rel=1e-9)


def test_the_judge_says_of_the_stored_rows_what_the_old_headline_did(findings):
    """Its "not supported": further from a Gaussian than imp, and yet less local than imp, with less overlap than by chance."""
    told = [
        (quantities.KURTOSIS, "imp", SUPPORTED),
        (quantities.CLUSTERING, "random", SUPPORTED),
        (quantities.CLUSTERING, "imp", CONTRADICTED),
        (quantities.WIDTH, "imp", CONTRADICTED),
        (OVERLAP, "oneshot", CONTRADICTED),
    ]
    assert told == [(q, than, findings[figure.compared(q, "cavity", than, "data").says].verdict) for q, than, _ in told]
    assert findings[figure.above_chance("data").says.format(each="cavity")].verdict == CONTRADICTED


# --- two runs of one rule ---------------------------------------------------------------------------------------------


def beyond_one_standard_error(gaps):
    """0.5.0's rule: most seeds agree, and the mean exceeds their range over their number."""
    agree = max((gaps > 0).sum(), (gaps < 0).sum())
    return 2 * agree > len(gaps) and abs(gaps.mean()) > np.ptp(gaps) / len(gaps)


@pytest.mark.parametrize("seeds", [3, 6, 10])
def test_two_runs_of_one_rule_are_told_apart_in_one_of_twenty_not_in_a_third(seeds):
    draws, rng = 2000, np.random.default_rng(seeds)
    gaps = rng.normal(5, 0.3, (draws, seeds)) - rng.normal(5, 0.3, (draws, seeds))
    found = judged([Sample(f"{n}", tuple(each), 1, 0.6, question=f"{n}") for n, each in enumerate(gaps.tolist())])
    told = np.mean([each.verdict in (SUPPORTED, CONTRADICTED) for each in found])
    assert abs(told - 0.05) < 4 * (0.05 * 0.95 / draws) ** 0.5
    assert np.mean([beyond_one_standard_error(each) for each in gaps]) > 0.25


# --- overlaps ---------------------------------------------------------------------------------------------------------


def with_masks(to, change):
    """The stored folder with other masks."""
    stored.folder("cavity_rule", to)
    masks = change(pl.read_parquet(stored.ROWS / "cavity_rule" / "masks.parquet"))
    shutil.rmtree(to / "tables" / "masks")
    if len(masks):
        tables.write(Paths(to), "masks", "changed", masks.to_dicts(), AXES)
    return results(to)


def test_imp_s_own_masks_overlap_wholly_and_their_complements_not_at_all(tmp_path):
    def change(masks):
        keys = ["seed", "unit", "data.gaussian_blend"]
        imp = masks.filter(method="imp").select(*keys, pl.col("bits").alias("of_imp"))
        joined = masks.filter(pl.col("method").is_in(["imp", "cavity", "random"])).join(imp, on=keys)
        flip = pl.col("of_imp").map_elements(lambda bits: bytes(255 - byte for byte in bits), return_dtype=pl.Binary)
        bits = pl.when(method="cavity").then("of_imp").when(method="random").then(flip).otherwise("bits")
        return joined.with_columns(bits.alias("bits")).drop("of_imp")

    of = with_masks(tmp_path, change)
    shares = overlaps(of).join(of.lineages.select("lineage", "method"), on="lineage")
    assert dict(shares.group_by("method").agg(pl.col("share").unique()).iter_rows()) == {
        "cavity": [1.0],
        "random": [0.0],
    }


@pytest.mark.slow
@pytest.mark.parametrize("units", [0, 48])
def test_without_masks_of_all_units_overlaps_are_missing_and_all_else_is_drawn(tmp_path, units):
    found = table(figure.FIGURE, with_masks(tmp_path, lambda masks: masks.filter(pl.col("unit") < units)))
    assert found.findings[0].verdict == NOT_MEASURED and any("masks" in each for each in found.notes)
    draw(found)
    assert {panel.of for panel, _ in found.panels} >= {quantities.CLUSTERING, quantities.WIDTH, figure.MEDIAN}


def test_a_sweep_without_the_rule_says_so(of):
    with pytest.raises(NotMeasured, match="cavity"):
        table(figure.FIGURE, of.where(pl.col("method") != "cavity"))
