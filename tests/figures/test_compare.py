"""Two folders side by side: which trials meet, at which density, and what the judge says of their seeds."""

import json
import math

import pytest
from cli.said import impray, refused
from conftest import sweep_into, tiny_sweep
from fake_sweep import Fake
from scipy import stats

from impray.figures.compare import EQUAL, HIGHER, LOWER, OPEN, compare
from impray.results.tidy import results
from impray.spec.errors import DataError

NOISE = (0.013, -0.004, 0.009, -0.011, 0.002, 0.006)


def fake(folder, shift=0.0, noise=NOISE, **fields):
    """A sweep whose accuracies are a known function of the seed."""
    made = Fake(folder, seeds=6, rounds=2, methods=("imp", "random"), **fields)
    for number in range(len(made.gains)):
        for round in range(3):
            made.round(
                number,
                round,
                accuracy=lambda method, seed: 0.5 + 0.05 * seed + (shift + noise[seed]) * (method == "imp"),
            )
    return results(folder)


def test_a_difference_is_that_of_the_seeds_with_the_t_interval_and_holms_p(tmp_path):
    one, other = fake(tmp_path / "a", noise=[0.0] * 6), fake(tmp_path / "b", shift=0.1)
    found = compare(one, other)
    of_imp = [row for row in found.rows if row.method == "imp"]
    assert {row.trial for row in of_imp} == {"data.gain = 0.5", "data.gain = 2"} and len(of_imp) == 2
    gaps = [0.1 + noise for noise in NOISE]
    test = stats.ttest_1samp(gaps, 0.0)
    interval = test.confidence_interval(0.95)
    for row in of_imp:
        assert row.finding.effect == pytest.approx(sum(gaps) / 6, rel=1e-9)
        assert (row.finding.low, row.finding.high) == pytest.approx((interval.low, interval.high), rel=1e-6)
        # Four comparisons, and the two of random have no difference: the smaller p values count 4 and 3 times.
        assert row.finding.p_holm == pytest.approx(4 * test.pvalue, rel=1e-6) and row.verdict == HIGHER
        assert row.means[1] - row.means[0] == pytest.approx(row.finding.effect)
    assert {row.verdict for row in found.rows if row.method == "random"} == {EQUAL}


def test_the_other_way_round_is_the_same_with_the_other_sign(tmp_path):
    one, other = fake(tmp_path / "a", noise=[0.0] * 6), fake(tmp_path / "b", shift=0.1)
    there, back = compare(one, other).rows, compare(other, one).rows
    for first, second in zip(there, back, strict=True):
        assert first.means == second.means[::-1] and first.densities == second.densities[::-1]
        assert first.finding.effect == pytest.approx(-second.finding.effect)
        assert first.finding.p_holm == pytest.approx(second.finding.p_holm)
        assert second.verdict == {HIGHER: LOWER}.get(first.verdict, first.verdict)


def test_what_does_not_differ_by_more_than_its_noise_is_not_told_apart(tmp_path):
    one, other = fake(tmp_path / "a", noise=[0.0] * 6), fake(tmp_path / "b")
    assert {row.verdict for row in compare(one, other).rows if row.method == "imp"} == {OPEN}


def test_trials_meet_by_the_values_that_both_have(tmp_path):
    found = compare(fake(tmp_path / "a"), fake(tmp_path / "b", gains=(2.0, 7.0)))
    assert {row.trial for row in found.rows} == {"data.gain = 2"}
    assert sum("1 of 2 trials" in note for note in found.notes) == 2
    assert any("lineages are in both" in note for note in found.notes)


def test_an_axis_without_a_value_in_both_is_what_differs(tmp_path):
    found = compare(fake(tmp_path / "a", gains=(0.5,), noise=[0.0] * 6), fake(tmp_path / "b", gains=(7.0,), shift=0.1))
    assert {row.trial for row in found.rows} == {""} and any("data.gain" in note for note in found.notes)
    assert [row.verdict for row in found.rows if row.method == "imp"] == [HIGHER]
    assert [d.values for d in found.differences if d.path == "search.space.data.gain"] == [("[0.5]", "[7]")]


def test_both_are_read_at_one_density_whatever_their_fractions(tmp_path):
    """0.7^n against 0.5^n: where both keep no more than the larger of their last densities."""
    fractions = (0.3, 0.5)
    shared = {"search": {}, "measures": ["accuracy"], "rounds": 3}
    sides = []
    for fraction in fractions:
        folder = tmp_path / str(fraction)
        sweep_into(folder, tiny_sweep(**shared, **{"trial.prune.fraction": fraction}))
        sides.append(results(folder))
    found = compare(*sides)
    assert found.density == pytest.approx(0.7**3, abs=0.01)
    for row in found.rows:
        assert row.densities == pytest.approx((0.7**3, 0.5**2), abs=0.01)
    assert [(d.path, d.values) for d in found.differences] == [("trial.prune.fraction", ("0.3", "0.5"))]
    dense = compare(*sides, density=1.0)
    assert {row.densities for row in dense.rows} == {(1.0, 1.0)} and {row.verdict for row in dense.rows} == {EQUAL}
    with pytest.raises(DataError, match="have reached"):
        compare(*sides, density=0.01)


def test_the_command_prints_text_and_json_and_refuses_what_is_no_density(tmp_path):
    fake(tmp_path / "a", noise=[0.0] * 6)
    fake(tmp_path / "b", shift=0.1)
    words = ("compare", tmp_path / "a", tmp_path / "b")
    said = impray(*words)
    assert said.code == 0 and "asked alike" in said.out and said.out.count(" higher") == 2
    document = json.loads(impray(*words, "--json").out)
    assert len(document["rows"]) == 4 and document["density"] == pytest.approx(0.64)
    assert not any(isinstance(v, float) and math.isnan(v) for row in document["rows"] for v in row["finding"].values())
    assert "--density" in refused(*words, "--density", "20")
    assert "no such folder" in refused("compare", tmp_path / "a", tmp_path / "c")
