"""width_by_round and kurtosis_by_round: counts and means of version 0.5.0 come out again, at the last round and over all."""

import kurtosis_by_round
import pytest
import width_by_round
from polars import col

from analysis import stored
from impray.figures import table
from impray.results.quantities import Quantity

SCRIPTS = pytest.mark.parametrize("script", [width_by_round, kurtosis_by_round], ids=lambda script: script.__name__)

SWEEP = "quickstart"


@SCRIPTS
def test_counts_and_means_are_those_of_050(script, of):
    """0.5.0 counted every round by itself; "over all rounds" is the mean of its means."""
    stored.agrees(script.FIGURE, of, stored.expected(SWEEP)[script.__name__])


def test_a_line_changes_by_its_slope_times_the_rounds(of):
    line = Quantity("line", "", make=lambda of: of.rounds.select("lineage", "round", value=0.5 * col("round")))
    assert width_by_round.change_of_random(line)(of)["gap"].to_list() == [5.0] * 6


@SCRIPTS
def test_a_sweep_without_random_says_so_of_its_claims(script, of):
    found = table(script.FIGURE, of.where(col("method") != "random")).findings
    lacking = {each.lacking for each in found if "random" in each.says}
    assert "needs random on the least Gaussian inputs" in lacking and len(lacking) == 2
    assert all("second side" in words or words.startswith("needs random") for words in lacking)
    assert all(each.of == 6 for each in found if "random" not in each.says)


@SCRIPTS
def test_where_the_inputs_do_not_differ_they_are_the_least_gaussian(script, of):
    alone = {each.says: each for each in table(script.FIGURE, of.where(col("end") == "least Gaussian")).findings}
    found = [each for each in table(script.FIGURE, of).findings if "most Gaussian" not in each.says]
    assert len(found) > 7 and all(each.effect == alone[each.says].effect for each in found)
