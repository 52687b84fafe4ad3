"""The cavity rule beside IMP: overlaps by hand, scores of what goes next, verdicts that follow the numbers."""

import math

import cavity_rule
import common
import numpy as np
import polars as pl
import pytest
from cavity_rule import Findings
from matplotlib.figure import Figure

from impray.results import tables
from impray.results.paths import Paths
from impray.spec.errors import DataError

BLEND = "data.gaussian_blend"
METHODS = ("imp", "oneshot", "random", "cavity", "cavity_lowest")
PLAIN = {"imp": 2.0, "oneshot": 3.0, "random": 7.0, "cavity": 2.0, "cavity_lowest": 7.0}  # widths if H* holds
HIGH = {"imp": 5.0, "oneshot": 4.0, "random": 3.5, "cavity": 6.0, "cavity_lowest": 3.2}  # kurtosis if H* holds


def packed(*units: str) -> np.ndarray:
    return np.stack([np.packbits([int(bit) for bit in unit]) for unit in units])


def stored(row: dict, *units: str) -> list[dict]:
    """The rows of `masks` of a lineage's round, all its units."""
    keys = {name: row[name] for name in ("lineage", "round", "method", "seed", BLEND)} | {"layer": 1}
    bits = zip(units, packed(*units), strict=True)
    of_units = enumerate((text.count("1"), each.tobytes()) for text, each in bits)
    return [keys | {"unit": n, "fan_in": count, "bits": each, "shape": [2, 4]} for n, (count, each) in of_units]


@pytest.fixture
def ruled(lineage_row, lazy):
    """Rows of rounds 0 to 3, two seeds, data and clone: widths and kurtosis as given from round 1 on, and overlaps."""

    def rows(widths=PLAIN, kurtosis=HIGH, overlap=(0.9, 0.8), **others):
        found = []
        for blend in (0.0, 1.0):
            for method in METHODS:
                for seed in (0, 1):
                    for n in range(4):
                        width, high = (7.0, 3.5) if n == 0 else (widths[method], kurtosis[method])
                        high = 3.0 if blend else high
                        row = lineage_row(blend, method, seed, width + 0.1 * seed, round=n, density=0.7**n, **others)
                        row |= {"clustering_mean": 8.0 - width, "kurtosis_per_class_mean": high, "accuracy": 0.5}
                        shares = {"cavity": overlap[0], "oneshot": overlap[1]}
                        share = None if method == "imp" else shares.get(method, 0.1)
                        row |= {
                            "overlap": share,
                            "overlap_by_fan_in": share and 0.3,
                            "overlap_by_chance": share and 0.3,
                        }
                        score = None if n == 3 else {"cavity": 5.0, "imp": 1.0}.get(method, -1.0)
                        row |= {"next_cavity": score, "next_cavity_half": score and 2 * score, "units_counted": 60}
                        row |= {"next_cavity_median": score and -0.1 * score}
                        found.append(row)
        return lazy(found)

    return rows


def test_overlap_by_hand():
    imp, other = packed("11000000", "11110000"), packed("10100000", "00110000")
    # shared 1 + 2 of 6; by chance at these fan-ins (2 * 2 + 4 * 2) / 8 of 6; kept at all 4 of 16
    assert cavity_rule.overlap(imp, other, 8) == (0.5, 0.25, 0.25)
    assert cavity_rule.overlap(imp, imp, 8)[0] == 1.0


def test_overlap_is_with_imp_of_the_same_trial_seed_and_round(lineage_row, lazy):
    imp = [lineage_row(0.0, "imp", seed, 2.0, fan_in_mean=2.0) for seed in (0, 1)]
    cavity = [lineage_row(0.0, "cavity", seed, 2.0, fan_in_mean=2.0) for seed in (0, 1)]
    clone = lineage_row(1.0, "cavity", 0, 2.0, fan_in_mean=2.0)  # no imp there
    masks = stored(imp[0], "11000000", "00000011") + stored(imp[1], "00110000", "00110000")
    masks += [mask for row in cavity for mask in stored(row, "11000000", "01100000")]
    masks += stored(clone, "11000000", "01100000")
    found = cavity_rule.with_overlap(lazy([*imp, *cavity, clone]), lazy(masks)).collect()
    shares = {(row["method"], row[BLEND], row["seed"]): row["overlap"] for row in found.iter_rows(named=True)}
    assert shares == {
        ("imp", 0.0, 0): None,
        ("imp", 0.0, 1): None,
        ("cavity", 0.0, 0): 0.5,
        ("cavity", 0.0, 1): 0.25,
        ("cavity", 1.0, 0): None,
    }
    assert found.filter(pl.col("overlap").is_not_null())["overlap_by_chance"].unique().to_list() == [0.25]


def test_masks_of_some_units_only_give_no_overlap(lineage_row, lazy):
    rows = [lineage_row(0.0, method, 0, 2.0, fan_in_mean=1.5) for method in ("imp", "cavity")]
    some = [mask for row in rows for mask in stored(row, "11000000")]  # the other unit has one input
    assert cavity_rule.with_overlap(lazy(rows), lazy(some)).collect()["overlap"].is_null().all()
    whole = [mask for row in rows for mask in stored(row, "11000000", "10000000")]
    assert cavity_rule.with_overlap(lazy(rows), lazy(whole)).collect()["overlap"].to_list() == [None, 1.0]


def test_scores_are_those_of_the_first_layers_weights_that_go_next(lineage_row, lazy):
    rows = [lineage_row(0.0, "cavity", 0, 2.0, round=n) for n in (0, 1)]
    key = {"lineage": rows[0]["lineage"]}
    fates = [
        key | {"round": n, "layer": layer, "fate": fate, "cavity_scaled_mean": 10.0 * n + fate + 100 * layer}
        for n, layer, fate in ((0, 1, 1), (0, 1, 2), (0, 2, 1), (1, 1, 2), (1, 1, 0))
    ]
    fates = [row | {"cavity_half_scaled_mean": 2 * row["cavity_scaled_mean"]} for row in fates]
    fates = [row | {"cavity_scaled_median": -row["cavity_scaled_mean"]} for row in fates]
    found = cavity_rule.with_next(lazy(rows), lazy(fates)).collect().sort("round")
    names = ("next_cavity", "next_cavity_median", "next_cavity_half")
    assert found.select(names).rows() == [(101.0, -101.0, 202.0), (112.0, -112.0, 224.0)]


def test_table_of_one_method_and_round(ruled):
    found = cavity_rule.table(ruled(), [BLEND]).filter(x="0", method="cavity", round=3).unique("measure")
    values = dict(found.select("measure", "mean").rows())
    assert values == pytest.approx(
        {
            "rf_width_px": 2.05,
            "clustering": 6.0,
            "kurtosis_per_class": 6.0,
            "accuracy": 0.5,
            "overlap": 0.9,
            "overlap_by_fan_in": 0.3,
            "overlap_by_chance": 0.3,
            "units_counted": 60.0,
        }
    )


@pytest.mark.parametrize(
    ("locality", "shares", "raises", "word"),
    [
        (("like", "more"), "as oneshot", "most", "supported"),
        (("like", "more"), "as oneshot", "none", "alike"),
        (("like", "less"), "as oneshot", "most", "in part"),
        (("more", "more"), "at chance", "most", "in part"),
        (("less", "none"), "above chance", "most", "in part"),
        (("less", "none"), "at chance", "most", "not supported"),
        (("less", "none"), "at chance", "some", "untested"),
        (("less", "none"), None, "none", "untested"),
        ((), "at chance", "most", "unanswered"),
        (("like", "like"), "as oneshot", None, "unanswered"),
    ],
)
def test_the_verdict_follows_the_findings(locality, shares, raises, word):
    assert cavity_rule.verdict(Findings(dict(zip("ab", locality, strict=False)), shares, raises)) == word


@pytest.mark.parametrize(
    ("gaps", "word"),
    [
        ((1.0,) * 6, "less"),
        ((0.01, 0.02, 1.0), "less"),  # every seed, however unevenly
        ((1.0,) * 5 + (-1.0,), "less"),
        ((1.0,) * 5 + (-1.9,), "less"),
        ((1.0,) * 5 + (-2.5,), "like"),  # one seed outweighs
        ((1.0,) * 4 + (-1.0,) * 2, "like"),
        ((3.0,) * 2 + (-0.1,) * 4, "like"),  # the mean says less, most seeds say more
        ((1.0, -1.0), "like"),
        ((0.0,) * 3, "like"),
        ((0.5,), "less"),
    ],
)
def test_locality_is_judged_by_most_seeds_and_their_mean_either_way(gaps, word):
    def judged(gaps, measure):
        signs = (sum(gap < 0 for gap in gaps), sum(gap > 0 for gap in gaps))
        pairs = common.Pairs(len(gaps), *signs, sum(gaps) / len(gaps), min(gaps), max(gaps))
        return cavity_rule._beyond(pairs, measure)

    mirrored, other = [-gap for gap in gaps], {"less": "more", "like": "like"}[word]
    assert judged(gaps, cavity_rule.WIDTH) == judged(mirrored, cavity_rule.CLUSTERING) == word
    assert judged(mirrored, cavity_rule.WIDTH) == judged(gaps, cavity_rule.CLUSTERING) == other


@pytest.mark.parametrize(
    ("others", "last", "locality", "said"),
    [
        (3.0, 1.8, "less", "Untested: masks unlike imp's"),  # five of six seeds less local than imp
        (1.0, 2.2, "more", "Alike: masks like imp's"),
        (2.2, 1.0, "like", "Alike: masks like imp's"),  # the sixth outweighs five
    ],
)
def test_seeds_that_disagree_decide_by_their_weight(lineage_row, lazy, others, last, locality, said):
    def row(method, seed, width):
        columns = {"kurtosis_per_class_mean": 4.0, "overlap": None, "overlap_by_fan_in": None}
        return lineage_row(0.0, method, seed, width, round=1, density=0.7, **columns)

    width = {"imp": [2.0] * 6, "random": [7.0] * 6, "cavity": [others] * 5 + [last]}
    rows = [row(method, seed, px) for method, of in width.items() for seed, px in enumerate(of)]
    found = cavity_rule.table(lazy(rows), [BLEND])
    assert cavity_rule.findings(found).locality == {"rf_width_px": locality}
    told = cavity_rule.headline(found)
    assert told.startswith(said) and f": {cavity_rule.LOCALITY[locality]} by rf_width_px." in told


def test_numbers_as_h_star_has_them_support_it(ruled):
    found = cavity_rule.table(ruled(), [BLEND])
    assert cavity_rule.findings(found) == Findings({"rf_width_px": "like", "clustering": "like"}, "as oneshot", "most")
    told = cavity_rule.headline(found)
    assert (
        told.startswith("Supported")
        and "cavity keeps 90 % (chance, with its inputs per unit, 30 %; above it in 2" in told
    )
    assert "in every seed at 3 of 3 rounds (the first pruning takes it from 3.5 to 6 by cavity, to 5 by imp)" in told


def test_high_kurtosis_without_imps_masks_does_not(ruled):
    found = cavity_rule.table(ruled(widths=PLAIN | {"cavity": 8.0}, overlap=(0.2, 0.8)), [BLEND])
    assert cavity_rule.findings(found).locality == {"rf_width_px": "none", "clustering": "none"}
    assert cavity_rule.headline(found).startswith("Not supported")


def test_where_the_score_does_not_raise_the_kurtosis_it_tests_nothing(ruled):
    rows = ruled(PLAIN | {"cavity": 5.0}, HIGH | {"cavity": 4.0}, overlap=(0.2, 0.8))
    found = cavity_rule.table(rows, [BLEND])
    assert cavity_rule.findings(found) == Findings({"rf_width_px": "less", "clustering": "less"}, "at chance", "none")
    told = cavity_rule.text(found)
    assert "Untested" in told
    assert "rf_width_px: cavity is narrower than imp in so many of 2 seeds at rounds 1-3: 0, 0, 0." in told
    assert (
        "what cavity removes next has a positive mean in every seed after rounds 0-2 of rounds 0-2, a positive median "
        "after no round; N_W x score of what goes first: mean +5, median -0.5, mean from half of the inputs +10."
        in told
    )
    assert "dotted their median, dashed their mean from half" in told


def test_diverged_lineages_are_counted(ruled, lineage_row, lazy):
    bad = lineage_row(0.0, "cavity", 2, math.nan, round=1, status="diverged")
    rows = pl.concat([ruled().collect(), pl.DataFrame([bad])], how="diagonal_relaxed")
    told = cavity_rule.text(cavity_rule.table(rows.lazy(), [BLEND]))
    assert "1 of 21 lineages diverged (1 of cavity at data.gaussian_blend = 0" in told


def test_a_sweep_without_the_rule_is_told_so(lineage_row, lazy):
    with pytest.raises(DataError, match="no lineage of the method cavity"):
        cavity_rule.table(lazy([lineage_row(0.0, "imp", 0, 2.0)]), [BLEND])


@pytest.mark.parametrize("axes", [[], [BLEND]])
def test_draws_with_and_without_an_axis(ruled, axes):
    rows = ruled() if axes else ruled().filter(pl.col(BLEND) == 0)
    found = cavity_rule.table(rows, axes)
    assert isinstance(cavity_rule.draw(found), Figure) and cavity_rule.text(found)


def test_medians_are_drawn_dotted_beside_the_mean_scores(ruled):
    figure = cavity_rule.draw(cavity_rule.table(ruled(), [BLEND]))
    last = figure.axes[-1].get_lines()
    colour = common.look("cavity")["color"]
    dotted = [line for line in last if line.get_linestyle() == ":" and line.get_color() == colour]
    assert [list(np.asarray(line.get_ydata())) for line in dotted] == [[-0.5] * 3]
    entries = [entry.get_text() for entry in figure.legends[0].get_texts()]
    assert "scores: median" in entries and "overlap: chance" in entries
    without = cavity_rule.table(ruled().drop("next_cavity_median", "next_cavity_half"), [BLEND])
    assert "median" not in cavity_rule.text(without).split("Scores:")[1]
    assert "scores: median" not in [entry.get_text() for entry in cavity_rule.draw(without).legends[0].get_texts()]


def test_what_was_not_measured_is_left_out(ruled):
    scores = ("next_cavity", "next_cavity_median", "next_cavity_half")
    rows = ruled().drop("overlap", "overlap_by_fan_in", "overlap_by_chance", *scores)
    found = cavity_rule.table(rows, [BLEND])
    assert isinstance(cavity_rule.draw(found), Figure)
    assert "No overlap" in cavity_rule.text(found) and "Overlap with imp: not known." in cavity_rule.text(found)


def test_files_of_a_folder(lineage_row, folder, capsys):
    rows = [
        lineage_row(
            0.0, method, 0, PLAIN[method], round=n, density=0.7**n, fan_in_mean=2.0, kurtosis_per_class_mean=4.0
        )
        for method in ("imp", "cavity")
        for n in (0, 1)
    ]
    out = folder(rows)
    masks = [mask for row in rows for mask in stored(row, "11000000", "00000011")]
    tables.write(Paths(out), "masks", "rows", masks, {BLEND: "float"})
    cavity_rule.main(out)
    assert (out / "figures" / "cavity_rule.png").read_bytes().startswith(b"\x89PNG")
    assert "cavity keeps 100 %" in (out / "figures" / "cavity_rule.txt").read_text()
    assert "overlap" in set(pl.read_csv(out / "figures" / "cavity_rule.csv")["measure"])
