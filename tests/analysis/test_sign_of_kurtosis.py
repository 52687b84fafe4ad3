"""The sign of the inputs' kurtosis: version 0.5.0's counts and means on stored rows, the rows that the figure makes, what it lacks.

0.5.0 called a stimulus more local where nine in ten seeds said so; counts and means are the same, verdicts are the judge's. Its
reference was the pointwise stimulus nearest to no excess kurtosis; the figure pools those below 0.01, of which shipped sweeps have
one. Its rank correlations left out seeds that lack a stimulus. Of the photographs' pixels it judged all classes together, the figure
counts classes.
"""

import shutil

import numpy as np
import polars as pl
import pytest
import sign_of_kurtosis as figure

from analysis import stored
from impray.figures import results, table
from impray.figures.drawing import draw
from impray.figures.judge import NOT_MEASURED
from impray.results import quantities, tables
from impray.results.paths import Paths

EXPECTED = stored.expected("sign_of_kurtosis")
OF = quantities.QUANTITIES

SWEEP = "sign_of_kurtosis"


@pytest.fixture(scope="module")
def findings(of):
    return {finding.says: finding for finding in table(figure.FIGURE, of).findings}


@pytest.mark.parametrize("name", ["clustering_mean", "rf_width_px_median", "ipr_mean", "ipr_mask_mean"])
@pytest.mark.parametrize("method", figure.METHODS)
def test_changes_are_those_of_the_old_script(of, findings, name, method):
    old = [each[2:] for each in EXPECTED["changes"] if each[:2] == [name, method]]
    for words in figure.SIDES:
        of_side = {stimulus: (more, seeds, mean) for side, stimulus, more, seeds, mean in old if side == words}
        one_by_one = figure.change(OF[name], method, words, one_by_one=True)
        sign, samples = OF[name].sign, one_by_one.samples(of)
        found = {s.says: (sum(g * sign > 0 for g in s.gaps), len(s.gaps), np.mean(s.gaps)) for s in samples}
        assert found == {one_by_one.says.format(each=stimulus): (more, seeds, pytest.approx(mean, rel=1e-9))
                         for stimulus, (more, seeds, mean) in of_side.items()}  # fmt: skip
        together = findings[figure.change(OF[name], method, words).says]
        assert together.effect == pytest.approx(np.mean([mean for *_, mean in of_side.values()]), rel=1e-9)
        if name == "clustering_mean":
            told = {says: (findings[says].held, findings[says].of, findings[says].effect) for says in found}
            assert told == {says: (*counts, pytest.approx(mean)) for says, (*counts, mean) in found.items()}


@pytest.mark.parametrize("old", EXPECTED["random"], ids=lambda old: "-".join(old[:2]))
def test_gaussian_inputs_against_random_are_those_of_the_old_script(findings, old):
    name, method, more, seeds, mean = old
    found = findings[figure.beyond_random(OF[name], method).says]
    assert (found.held, found.of, found.effect) == (more, seeds, pytest.approx(mean, rel=1e-9))


@pytest.mark.parametrize("old", EXPECTED["ranked"], ids=lambda old: "-".join(old[:3]))
def test_rank_correlations_are_those_of_the_old_script_seed_by_seed(of, old):
    name, method, words, rhos = old
    claim = figure.proxy(words) if name == "proxy" else figure.trend(OF[name], method, words)
    [sample] = claim.samples(of)
    assert sorted(sample.gaps) == pytest.approx(sorted(rhos), rel=1e-9)  # 0.5.0 had its seeds in no order


def test_all_that_the_committee_s_sweep_lacks_is_said_once(of):
    found = table(figure.FIGURE, of.where(~figure.images))
    lacking = [finding for finding in found.findings if finding.verdict == NOT_MEASURED]
    [photographs] = [finding.says for finding in lacking]
    assert photographs == figure.change(quantities.CLUSTERING, "imp", "photographs").says and not found.lacking
    draw(found)


def with_rounds(to, change):
    """The stored folder with other rows of `rounds`."""
    stored.folder("sign_of_kurtosis", to)
    shutil.rmtree(to / "tables" / "rounds")
    rows = change(pl.read_parquet(stored.ROWS / "sign_of_kurtosis" / "rounds.parquet"))
    tables.write(Paths(to), "rounds", "changed", rows.to_dicts(), {"data": "str"})
    return table(figure.FIGURE, results(to))


def test_without_clustering_its_panel_and_claims_say_so_and_all_else_is_drawn(tmp_path):
    found = with_rounds(tmp_path, lambda rows: rows.drop("clustering_mean"))
    assert found.findings[0].verdict == NOT_MEASURED and "clustering" in found.findings[0].lacking
    assert len(found.lacking) == 1 and "clustering" in found.lacking[0] and len(found.panels) > 3


def test_while_a_sweep_runs_all_stimuli_are_drawn_at_the_round_that_most_have_reached(of, tmp_path):
    late = list(of.trials)[:2]
    fewer = pl.when(pl.col("trial").is_in(late)).then(3).otherwise("round").alias("round")
    drawn = with_rounds(tmp_path, lambda rows: rows.with_columns(fewer)).panels[0][1]
    assert set(drawn["round"]) == {6} and set(drawn["trial"]) == set(of.trials) - set(late)


# --- rows that the figure makes ---------------------------------------------------------------------------------------


def test_the_gaussian_stimulus_stands_in_both_families_and_nothing_else_twice(of):
    rows, values = figure.stimuli(quantities.CLUSTERING)(of), of.values(quantities.CLUSTERING)
    twice = rows.filter(rows.select("lineage").is_duplicated())
    assert set(twice["name"]) == {"NLGP(0.01)"} and set(twice["family"]) == {"pointwise", "elliptical"}
    assert len(rows) == len(values) + len(twice) // 2


def test_dependence_is_the_difference_of_differences(of):
    means = of.values(quantities.CLUSTERING).pivot("name", index=["seed", "method"], values="value")
    rise = (pl.col("NLGP(100)") + pl.col("Kur(100)") - pl.col("Kur(4.5)") - pl.col("Kur(3)")) / 2
    rises = means.select("seed", "method", rise.alias("rise")).pivot("method", index="seed", values="rise").sort("seed")
    assert figure.dependence(of)["gap"].to_list() == pytest.approx(
        (rises["oneshot"] - rises["imp"]).to_list(), rel=1e-9
    )


def test_equal_fan_in_has_a_pool_per_method_and_images_apart(of):
    whole = of.values(quantities.CLUSTERING_EQUAL)
    for part in (figure.imp & figure.images, figure.oneshot & ~figure.images):
        alone = of.where(part).values(quantities.CLUSTERING_EQUAL)
        assert alone.equals(whole.filter(part)) and len(alone) > 10


def test_a_class_counts_once_whatever_its_seeds(of):
    classes = figure.classes(of)
    assert classes["class"].to_list() == list(range(10))
    once = of.rounds.filter(name="photographs")["input_kurtosis_by_class"].to_list()
    assert classes["value"].to_numpy() == pytest.approx(np.mean(once, axis=0) - 3, rel=1e-9)
