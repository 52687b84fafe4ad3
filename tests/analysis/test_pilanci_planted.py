"""pilanci2025, planted networks: rows with known answers, and what the heads of its figures say would count against us."""

from itertools import product

import pytest
from analysis.pilanci_rows import LEVELS, begins, of_theirs, of_unfused, recovered, verdicts, writer
from pilanci import cost, planted, theirs, those, unfused
from polars import col

from impray.figures.panels import MOST_FACETS, table
from impray.results import quantities as q


def panels_of(module, of):
    """(label, rows) of a figure's panels."""
    return [(panel.label, rows) for panel, rows in table(module.FIGURE, of).panels]


@pytest.fixture
def put(tmp_path):
    return writer(tmp_path)


def test_planted_judges_each_m_at_each_budget(put):
    few = LEVELS | {"imp": 12.0}
    told = verdicts(planted, recovered(put, at_few_steps=few, train_above=0.2))
    for words in (
        "pursuit has a higher held-out PSNR than",
        "imp, trained on the largest",
        "iht has a higher held-out PSNR than imp",
    ):
        assert set(begins(told, words)) == {"holds"}, words
    assert len(begins(told, "pursuit has")) == 3 * 2 and len(begins(told, "imp keeps more")) == 2
    assert set(begins(told, "imp is as good on new inputs")) == {"holds"}  # 0.2 to 0.28 dB, inside 1 dB


def test_each_size_is_judged_against_the_linear_model(put):
    told = verdicts(planted, recovered(put, line=35.0))
    for method, verdict in (("imp", "holds"), ("iht", "contradicted")):
        assert begins(told, f"{method} has a higher held-out PSNR than a linear model") == [verdict] * 4
    assert not begins(verdicts(planted, recovered(put)), "imp has a higher held-out PSNR than a linear")


def test_planted_would_say_so_if_the_paper_were_right(put):
    told = verdicts(planted, recovered(put, LEVELS | {"imp": 20.0, "pursuit": 25.0}, train_above=3.0))
    assert begins(told, "imp, trained on the largest") == ["contradicted"] * 2
    assert begins(told, "pursuit has a higher held-out PSNR than iht") == ["contradicted"] * 2
    assert begins(told, "iht is as good on new inputs") == ["contradicted"] * 2


def test_an_exact_fit_counts_as_100_dB(put):
    of = recovered(put)
    frame = those.numbers(of, q.PSNR)
    assert frame.filter(col("method") == "pursuit")["value"].unique().to_list() == [100.0]
    gaps = those.gaps(q.PSNR, "pursuit", "iht", ("m",))(of).filter(col("seed") == 4)
    assert gaps["gap"].to_list() == pytest.approx([100 - 30.4] * 2)


def test_cells_stand_by_m_and_s_with_imp_on_each_budget(put):
    (panel, rows), *_ = table(planted.FIGURE, recovered(put, at_few_steps=LEVELS | {"imp": 12.0})).panels
    names = set(rows["facet"])
    assert names == {"imp, 50 steps", "imp, 100 steps", "oneshot", "random", "iht", "pursuit"}
    means = {(row["facet"], row["m"], row["x"]): row["mean"] for row in rows.iter_rows(named=True)}
    assert means["imp, 50 steps", 6, "4"] == pytest.approx(12.4) and means["imp, 100 steps", 3, "2"] == pytest.approx(
        40.4
    )


def test_linear_omp_stands_beside_the_methods_and_in_no_other_claim(put):
    of = recovered(put)
    plain, told = dict(panels_of(planted, of)), verdicts(planted, of)
    of = recovered(put, line=20.0)
    assert {says: is_so for says, is_so in verdicts(planted, of).items() if "linear model" not in says} == told
    more = dict(panels_of(planted, of))
    line = more["PSNR (dB)"].filter(col("method") == those.LINE)
    means = {(row["data"], row["facet"], row["x"]): row["mean"] for row in line.iter_rows(named=True)}
    assert means == {
        (data, f"m = {m}", s): pytest.approx(mean)
        for (data, mean), m, s in product((("held out", 20.1), ("training", 21.1)), (3, 6), ("2", "4"))
    }
    for label, rows in more.items():
        assert rows.filter(col("method") != those.LINE).equals(plain[label]), label


def test_no_method_or_budget_is_left_out_of_a_picture(put):
    for _, rows in panels_of(planted, recovered(put, line=20.0)):
        assert rows["facet"].n_unique() <= MOST_FACETS


def test_unfused_holds_both_readouts_and_the_dense_network_against_imp(put):
    assert set(verdicts(unfused, of_unfused(put)).values()) == {"holds"}


def test_unfused_would_say_so_if_trained_readouts_or_dense_networks_were_better(put):
    told = verdicts(unfused, of_unfused(put, fused_above=-5.0, dense_above=10.0))
    assert begins(told, "imp has a higher held-out PSNR fused") == ["contradicted"] * 2
    assert [v for says, v in told.items() if "than its dense network" in says] == ["contradicted"] * 4


def test_unfused_draws_linear_omp_once_at_the_s_of_the_truth(put):
    (panel, rows), (_, recall) = table(unfused.FIGURE, of_unfused(put, line=20.0)).panels
    line = rows.filter(col("who") == those.LINE)
    assert {row[:3] for row in line.select("x", "facet", "mean", "readout").unique().iter_rows()} == {
        (str(s), f"m = {m}", 20.0 + s) for m, s in product((3, 6), (2, 4))
    }
    assert line["readout"].n_unique() == 1 and those.LINE in panel.options["order"]
    assert set(rows["who"]) == {"imp", "oneshot", "random", "iht", "pursuit", "dense", those.LINE}
    assert those.LINE not in set(recall["who"])


def test_memory_is_told_of_imp_and_the_solvers_and_convergence_of_solvers_alone(put):
    panels = table(cost.FIGURE, recovered(put)).panels
    memory = {(row["method"], row["mean"]) for row in panels[0][1].iter_rows(named=True)}
    assert memory == {("imp", 0.009), *((solver, s / 1000) for solver in ("iht", "pursuit") for s in (2, 4))}
    (_, converged), (_, slope) = panels[1:]
    assert set(converged["method"]) == {"iht", "pursuit"} and set(converged["mean"]) == {0.8}
    # 1,000 bytes a weight of the solvers; imp holds as much at every s
    assert set(slope.select("method", "x").iter_rows()) == set(product(("iht", "pursuit"), ("3", "6")))
    assert slope["mean"].to_numpy() == pytest.approx(1.0)


@pytest.mark.parametrize(("above", "verdict"), [(0.05, "holds"), (3.0, "contradicted")])
def test_their_imp_is_told_just_after_pruning_and_trained_once_more(put, above, verdict):
    made = table(theirs.FIGURE, of_theirs(put, above))
    assert [finding.verdict for finding in made.findings] == [verdict] * 2
    rows = made.panels[0][1]
    means = {(row["network"], row["x"], row["facet"]): row["mean"] for row in rows.iter_rows(named=True)}
    assert means == {
        (network, s, f"m = {m}"): pytest.approx(12.0 if network == theirs.PRUNED else 12.02 + above)
        for network, s, m in product((theirs.PRUNED, theirs.AGAIN), ("2", "4"), (3, 6))
    }
    assert set(rows["method"]) == {"imp"} and set(rows["seeds"]) == {5}


# PSNR by method at s = 4; more weights are better by 5 dB, pursuit by 2.
