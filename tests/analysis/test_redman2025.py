"""redman2025: which slice is drawn, each figure's table and verdict on rows with known answers, and the whole page."""

import numpy as np
import polars as pl
import pytest
import redman2025
from paper import claims, page
from redman import courses, fig1, fig2, fig3, fig4, fig5, figs1, figs2, figs3, figs4, panels, scores
from redman import slice as sliced
from redman.slice import NotMeasured

from impray.spec.errors import DataError

BLEND = "data.gaussian_blend"
ORDER = ("imp", "oneshot", "random")
SPOT = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
APART = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]], dtype=bool)
SWEEP = """
question: what?
trial:
  data: {kind: photographs, shape: [4, 4], crops: 20, held_out: 4}
  net: {hidden: [6, 4]}
  prune: {rewind_step: 5}
seeds: 2
rounds: 3
measures: [kurtosis, {cavity: {min_fan_in: 7}}]
search: {space: {data.gaussian_blend: [0, 0.4, 1], prune.rewind_step: [0, 5]}}
"""


@pytest.fixture
def courses_of(lineage_row):
    """Rows of rounds 0 to 3; `value(blend, method, seed, round)` gives the columns that a measure fills."""

    def rows(value=lambda *_: {}, blends=(0.0, 1.0), methods=ORDER, seeds=(0, 1), rounds=4, **others):
        keys = [(b, m, s, n) for b in blends for m in methods for s in seeds for n in range(rounds)]
        return [lineage_row(b, m, s, round=n, density=0.7**n, **value(b, m, s, n), **others) for b, m, s, n in keys]

    return rows


def of_lineages(rows: list[dict], *names: str) -> list[dict]:
    """What the rows of another table share with these rows of `rounds`."""
    return [{name: row[name] for name in ("lineage", "round", "method", "seed", BLEND, *names)} for row in rows]


def image(values, name: str, number: int = 0, value: float | None = None) -> dict:
    array = np.asarray(values, dtype="<f4")
    return {"name": name, "number": number, "values": array.tobytes(), "shape": list(array.shape), "value": value}


def mask(kept: np.ndarray, unit: int = 0) -> dict:
    kept = np.asarray(kept, dtype=bool)
    packed = {"bits": np.packbits(kept).tobytes(), "shape": list(kept.shape)}
    return {"layer": 1, "unit": unit, "fan_in": int(kept.sum()), **packed}


def verdicts(found: list[claims.Claim]) -> list[str]:
    return [claim.verdict for claim in found]


# --- the slice -------------------------------------------------------------------------------------------------------


def test_the_slice_is_both_ends_of_the_blend_at_the_base_trials_other_values(courses_of, folder):
    axes = {BLEND: "float", "prune.rewind_step": "int"}
    every = [r | {"prune.rewind_step": step} for step in (0, 5) for r in courses_of(blends=(0.0, 0.4, 1.0))]
    every = [r | {"lineage": f"{r['lineage']}-{r['prune.rewind_step']}"} for r in every]
    out = folder(every, axes=axes)
    first = sliced.cut(out)
    assert first.fixed == ("prune.rewind_step = 0",) and first.trial is None
    (out / "sweep.yaml").write_text(SWEEP)
    base = sliced.cut(out)
    assert base.fixed == ("prune.rewind_step = 5",) and base.unused == (f"{BLEND} = 0.4",)
    assert base.trial is not None and base.trial.prune.rewind_step == 5
    assert len(base.lineages) == 12 and set(base.lineages["side"]) == {"natural", "clone"}
    assert all(lineage.endswith("-5") for lineage in base.lineages["lineage"])
    assert base.parameter("cavity", "min_fan_in") == 7 and base.parameter("masks", "most_connected") is None
    asked = sliced.cut(out, {"prune.rewind_step": "0"}, round=2)
    assert asked.fixed == ("prune.rewind_step = 0",) and asked.last == 2
    assert asked.trial is not None and asked.trial.prune.rewind_step == 0
    assert (
        "photographs (4 x 4 inputs, 10 classes)" in base.caption
        and "Not drawn: data.gaussian_blend = 0.4" in base.caption
    )


def test_diverged_lineages_are_left_out_and_counted_and_hold_nobody_up(courses_of, folder):
    rows = courses_of()
    ended = [r for r in rows if (r[BLEND], r["method"], r["seed"]) == (1.0, "imp", 1) and r["round"] < 2]
    rows = [r for r in rows if (r[BLEND], r["method"], r["seed"]) != (1.0, "imp", 1)]
    rows += [ended[0], ended[1] | {"status": "diverged"}]
    rows = [r for r in rows if not (r["method"] == "random" and r["seed"] == 0 and r["round"] == 3)]  # still running
    of = sliced.cut(folder(rows))
    assert of.last == 2 and of.furthest == 3
    assert "1 of 12 lineages diverged (1 of imp, clone): left out." in of.caption
    assert "Some lineages are further, up to round 3" in of.caption
    read = of.rows("rounds", ["density"], method=("imp", "oneshot"))
    assert read["round"].max() == 2 and len(read) == 7 * 3
    with pytest.raises(DataError, match="every lineage has reached is 2"):
        sliced.cut(of.folder, round=3)


def test_without_an_axis_of_blends_all_is_natural(courses_of, folder):
    rows = [{name: value for name, value in r.items() if name != BLEND} for r in courses_of(blends=(0.0,))]
    of = sliced.cut(folder(rows, axes={}))
    assert set(of.lineages["side"]) == {"natural"} and "No Gaussian clone" in of.caption


def test_other_methods_are_named_and_a_sweep_of_them_alone_is_refused(courses_of, folder):
    rows = courses_of(methods=("imp", "cavity"))
    of = sliced.cut(folder(rows))
    assert set(of.lineages["method"]) == {"imp"} and "Not drawn: methods cavity." in of.caption
    with pytest.raises(DataError, match="no lineage of imp, oneshot, random"):
        sliced.cut(folder(courses_of(methods=("cavity",))))


def test_a_sweep_in_which_everything_diverged_says_so(courses_of, folder):
    of = sliced.cut(folder(courses_of(rounds=1, status="diverged")))
    for drawn in redman2025.FIGURES.values():
        with pytest.raises(NotMeasured, match="every lineage diverged"):
            drawn.table(of)


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_a_claim_agrees_in_all_seeds_and_disagrees_in_half_or_fewer():
    def judged(*held: bool) -> str:
        return claims.counted("it holds", held).verdict

    assert judged(True, True, True) == "agrees" and judged(True) == "agrees"
    assert judged(True, True, False) == "in part"
    assert judged(True, False) == judged(False) == "disagrees"
    assert judged() == "cannot be told"
    assert claims.counted("it holds", [True, False], "by 3").sentence == "it holds: disagrees, in 1 of 2 seeds (by 3)."
    assert claims.Claim("it holds", lacking="needs x").sentence == "it holds: cannot be told, needs x."


def test_a_figures_verdict_is_that_of_its_claims_if_the_main_one_can_be_told():
    yes, no, mixed = (claims.Claim("", held, 3) for held in (3, 0, 2))
    unknown = claims.Claim("", lacking="needs x")
    assert claims.verdict([yes, yes, unknown]) == "agrees"
    assert claims.verdict([unknown, yes]) == claims.verdict([]) == "cannot be told"
    assert claims.verdict([no, mixed]) == "disagrees"
    assert claims.verdict([no, yes]) == claims.verdict([yes, no]) == claims.verdict([mixed]) == "in part"
    told = claims.headline([no, yes, unknown])
    assert told == "in part (of 3 claims 1 agree, 1 disagree, 1 open; main claim: in 0 of 3 seeds)"


def test_courses():
    assert courses.from_then_on([2, 4, 5], 5) == 4 and courses.from_then_on([2, 3], 5) is None
    assert courses.rank_correlation([1.0, 2.0, 9.0]) == pytest.approx(1)
    assert courses.rank_correlation([3.0, 2.0, 1.0]) == pytest.approx(-1)
    assert np.isnan(courses.rank_correlation([2.0, 2.0]))


# --- Fig. 1 ----------------------------------------------------------------------------------------------------------


def masks_like(rows: list[dict], kinds: dict[tuple[float, str], np.ndarray]) -> list[dict]:
    return [r | mask(kinds[r[BLEND], r["method"]]) for r in of_lineages(rows) if (r[BLEND], r["method"]) in kinds]


def test_fig1_counts_neighbours_and_judges_either_way(courses_of, folder):
    rows = courses_of()
    folder(rows)
    out = folder(masks_like(rows, {(0.0, "imp"): SPOT, (0.0, "oneshot"): APART, (0.0, "random"): APART}), "masks")
    table = fig1.table(sliced.cut(out))
    assert table.frame("touching", method="imp")["value"].to_list() == pytest.approx([10 / 3, 10 / 3])
    assert table.frames["touching"]["round"].unique().to_list() == [3]
    assert table.pictures["imp"].shape == (6, 6, 3) and table.pictures["imp"][1, 1].tolist() == [1, 1, 1]
    assert verdicts(fig1.claims(table)) == ["agrees", "disagrees"]  # oneshot is no more compact than random
    assert "imp 3.33" in fig1.told(table)[0] and "2 seeds" in fig1.caption(table)
    folder(masks_like(rows, {(0.0, "imp"): APART, (0.0, "oneshot"): SPOT}), "masks")
    reverse = fig1.claims(fig1.table(sliced.cut(out)))
    assert claims.verdict(reverse) == "disagrees" and reverse[1].lacking == "needs masks of oneshot and random"
    assert "needs round 2" in fig1.claims(fig1.table(sliced.cut(out, round=1)))[0].lacking


def test_fig1_without_masks_or_with_flat_ones(courses_of, folder):
    rows = courses_of()
    out = folder(rows)
    with pytest.raises(NotMeasured, match="needs measure masks"):
        fig1.table(sliced.cut(out))
    folder([r | mask(SPOT.ravel()) for r in of_lineages(rows)], "masks")
    with pytest.raises(NotMeasured, match="are flat"):
        fig1.table(sliced.cut(out))


# --- Fig. 2 ----------------------------------------------------------------------------------------------------------


def test_local_measures_in_closed_form():
    pixel, flat = np.zeros((1, 8, 8)), np.ones((3, 8, 8))
    pixel[0, 2, 5] = -4
    wave = np.tile(np.cos(2 * np.pi * np.arange(8) / 8), (1, 8, 1))
    assert fig2._local(pixel)[:2] == pytest.approx((0, 1 / 64))
    assert fig2._local(flat)[:2] == pytest.approx(((63 / 12) ** 0.5, 1))
    assert fig2._local(wave)[1] == pytest.approx(2 / 3)
    assert fig2._local(flat)[2] == pytest.approx((63 / 12) ** 0.5)
    assert np.isnan(fig2._local(0 * flat)[:2]).all()


def components(rows: list[dict], ica: dict[float, np.ndarray], pca: np.ndarray) -> list[dict]:
    """Two components of each kind per lineage, at round 0."""
    first = [r for r in of_lineages(rows) if r["round"] == 0]
    numbered = [(kind, n) for kind in ("ica", "pca") for n in (0, 1)]
    return [r | image(ica[r[BLEND]] if k == "ica" else pca, k, n, 5.0) for r in first for k, n in numbered]


def test_fig2_judges_ica_against_pca_and_counts_equal_sets_once(courses_of, folder):
    rows = courses_of()
    folder([r | {"ica_steps": 500 if r[BLEND] else 20} for r in rows])
    spot, flat = SPOT[None].astype(float), np.ones((1, 4, 4))
    out = folder(components(rows, {0.0: spot, 1.0: flat}, flat), "images")
    table = fig2.table(sliced.cut(out))
    assert table.frames["components"].group_by("side").agg(pl.col("lineages").first())["lineages"].to_list() == [6, 6]
    assert len(table.frame("components", side="natural")) == 4  # two of each kind, of one set
    assert table.frame("components", side="natural", name="ica")["area"].to_list() == pytest.approx([0.25, 0.25])
    found = fig2.claims(table)
    assert verdicts(found) == ["agrees"] * 3 and found[0].count == "in 1 of 1 distinct set"
    assert any("did not converge on clone" in sentence for sentence in fig2.told(table))
    folder(components(rows, {0.0: flat, 1.0: spot}, spot), "images")
    assert claims.verdict(fig2.claims(fig2.table(sliced.cut(out)))) == "disagrees"


# --- Fig. 3 ----------------------------------------------------------------------------------------------------------


def widths(natural: float, clone: float, random: float = 8.0):
    def of(blend, method, seed, _):
        width = random if method == "random" else clone if blend else natural
        return {"rf_width_x_px_median": width + 0.1 * seed, "units_counted": 9 - seed}

    return of


def test_fig3_widths_of_both_sides(courses_of, folder):
    table = fig3.table(sliced.cut(folder(courses_of(widths(2.0, 5.0)))))
    bar = table.frame("widths", method="imp", side="clone").row(0, named=True)
    assert (bar["mean"], bar["low"], bar["high"], bar["seeds"]) == pytest.approx((5.05, 5.0, 5.1, 2))
    found = fig3.claims(table)
    assert verdicts(found) == ["agrees", "disagrees"] and claims.verdict(found) == "in part"
    assert "(mean difference -3 px" in found[0].sentence and "in 2 of 2 seeds" in found[0].sentence
    assert "8 to 9 units per lineage" in fig3.caption(table) and "65.7 % of the weights gone" in fig3.caption(table)
    assert {each.split(":")[0] for each in table.lacking} == {"samples", "masks"}


def test_fig3_disagrees_where_the_clone_is_as_narrow_and_is_open_without_one(courses_of, folder):
    same = fig3.claims(fig3.table(sliced.cut(folder(courses_of(widths(5.0, 5.0, random=5.0))))))
    assert verdicts(same) == ["disagrees", "agrees"]
    alone = fig3.claims(fig3.table(sliced.cut(folder(courses_of(widths(2.0, 5.0), blends=(0.0,))))))
    assert claims.verdict(alone) == "cannot be told" and "gaussian_blend 0 and 1" in alone[0].lacking


def test_fig3_counts_undefined_widths_and_says_what_it_needs(courses_of, folder):
    rows = courses_of(widths(2.0, 5.0))
    rows = [r | {"rf_width_x_px_median": float("nan")} if r["seed"] else r for r in rows]
    table = fig3.table(sliced.cut(folder(rows)))
    assert "6 lineages have no width" in fig3.caption(table) and fig3.claims(table)[0].count == "in 1 of 1 seed"
    with pytest.raises(NotMeasured, match="needs measure rf_width"):
        fig3.table(sliced.cut(folder(courses_of(lambda *_: {"clustering_mean": 2.0}))))


# --- Fig. 4 ----------------------------------------------------------------------------------------------------------


def moves(width: dict[str, float], kurtosis: dict[str, float]):
    """Natural widths and kurtoses move by these steps per round; the clone stays."""

    def of(blend, method, seed, n):
        step = (1 - blend) * n
        width_px = 8 + step * width[method] + 0.01 * seed
        columns = {f"rf_width_x_px_{how}": width_px for how in ("mean", "median")}
        return columns | {"kurtosis_per_class_mean": 3 + step * kurtosis[method]}

    return of


def steps(*each: float) -> dict[str, float]:
    return dict(zip(ORDER, each, strict=True))


def test_fig4_agrees_with_the_papers_courses_and_disagrees_with_their_reverse(courses_of, folder):
    like = moves(steps(-2.0, -1.0, 0.0), steps(1.0, 0.5, 0.1))
    table = fig4.table(sliced.cut(folder(courses_of(like))))
    line = table.frame("B", method="imp", side="natural").unique("round").sort("round")
    assert line["mean"].to_list() == pytest.approx([3, 4, 5, 6])
    assert line["sparsity"].to_list() == pytest.approx([0, 0.3, 0.51, 0.657])
    assert table.frame("A", method="imp", side="natural", round=2)["high"].to_list() == pytest.approx([4.01, 4.01])
    # Both leads begin at round 2, the first that can differ: kurtosis is not ahead.
    assert verdicts(fig4.claims(table)) == ["agrees"] * 6 + ["disagrees"]
    assert "in every seed at rounds 2-3" in fig4.claims(table)[2].sentence
    unlike = moves(steps(-1.0, -2.0, -3.0), steps(0.1, 0.5, 1.0))
    reverse = fig4.claims(fig4.table(sliced.cut(folder(courses_of(unlike)))))
    assert verdicts(reverse)[:3] == ["disagrees"] * 3 and verdicts(reverse)[4] == "disagrees"


def test_fig4_draws_what_there_is(courses_of, folder):
    rows = courses_of(lambda b, m, s, n: {"kurtosis_per_class_mean": float("nan") if n == 1 else 3.0 + n})
    table = fig4.table(sliced.cut(folder(rows)))
    assert set(table.frames) == {"B"} and all("needs measure rf_width" in each for each in table.lacking)
    assert claims.verdict(fig4.claims(table)) == "cannot be told"
    assert "12 points of B are undefined" in fig4.caption(table)
    with pytest.raises(NotMeasured, match="needs measure rf_width; needs measure kurtosis"):
        fig4.table(sliced.cut(folder(courses_of())))


# --- Fig. 5 ----------------------------------------------------------------------------------------------------------


def fates(rows: list[dict], score, half: float | None = 1.0) -> list[dict]:
    """Groups of fates 1 to 3 and survivors; `score(blend, seed, round, at)` with survivors at 4; half scales it."""
    found = []
    for r in (r for r in of_lineages(rows) if r["method"] == "imp"):
        for at in range(r["round"] + 1, 5):
            value = score(r[BLEND], r["seed"], r["round"], at)
            names = {"cavity": 1.0} | ({} if half is None else {"cavity_half": half})
            columns = {f"{name}_{how}": by * value for name, by in names.items() for how in ("mean", "median")}
            columns |= {f"{n}_scaled_{how}": 10 * by * value for n, by in names.items() for how in ("mean", "median")}
            found.append(r | {"layer": 1, "fate": at % 4, "weights": 10, "cavity_weights": 8, **columns})
    return found


def paper(blend: float, seed: int, n: int, at: int) -> float:
    """Positive just before removal, negative till then; the clone has a tenth of it."""
    return (0.1 if blend else 1.0) * (1.0 if at == n + 1 and at < 4 else -at)


def test_fig5_groups_the_scores_by_fate(courses_of, folder):
    rows = courses_of()
    folder(rows)
    table = fig5.table(sliced.cut(folder(fates(rows, paper), "fates")))
    line = table.frame("B", side="natural", statistic="mean").unique("at").sort("at")
    assert line["mean"].to_list() == [1, -2, -3, -4] and line["fate"].to_list() == [1, 2, 3, 0]
    assert scores.before(table.frames["C"], "mean") == [10.0] * 6  # 3 fates, 2 seeds
    assert all(value < 0 for value in scores.later(table.frames["C"], "mean"))
    assert scores.flips(table.frames["C"], "mean") == [True] * 4  # fates 2 and 3
    assert scores.orders(table.frames["B"]) == pytest.approx([-1, -1])
    assert scores.sizes(table.frames["B"], "mean") == pytest.approx({0: 7.5**0.5, 1: 7.5**0.5})
    assert "80 % of the weights are scored" in fig5.caption(table) and "fewer than 4 inputs" in fig5.caption(table)


def test_fig5_verdicts_when_the_sign_flips_at_removal(courses_of, folder):
    rows = courses_of()
    folder(rows)
    found = fig5.claims(fig5.table(sliced.cut(folder(fates(rows, paper), "fates"))))
    # At round 0 fate 2 is negative here: the pattern of Fig. 5B for two positive fates is not met, all else is.
    assert verdicts(found) == ["agrees", "agrees", "agrees", "disagrees", "agrees", "agrees", "agrees"]
    assert (
        "in 6 of 6 groups (every group in 2 of 2 seeds; medians positive in 6 of 6; on the clone means in 6 of 6)"
        in (found[0].sentence)
    )


def test_fig5_verdicts_when_scores_are_noise(courses_of, folder):
    rows = courses_of()
    out = folder(rows)

    def noise(blend, seed, n, at):  # always negative, as large on the clone, and twice as large from half the samples
        return -1.0 - 0.01 * at

    found = fig5.claims(fig5.table(sliced.cut(folder(fates(rows, noise, half=2.0), "fates"))))
    assert claims.verdict(found) == "in part"  # everything removed later is negative, as everything is
    assert verdicts(found) == ["disagrees", "disagrees", "agrees", "disagrees", "agrees", "disagrees", "disagrees"]
    assert "full / half 0.5" in found[-1].sentence
    folder(fates(rows, noise, half=None), "fates")
    table = fig5.table(sliced.cut(out))
    assert fig5.claims(table)[-1].lacking == "needs measure cavity with half: true"
    assert set(table.frames["C"]["statistic"]) == {"mean", "median"}


def test_fig5_leaves_out_groups_without_a_score_and_says_what_it_needs(courses_of, folder):
    rows = courses_of()
    out = folder(rows)
    with pytest.raises(NotMeasured, match="needs measure cavity"):
        fig5.table(sliced.cut(out))
    folder(fates(rows, lambda b, s, n, at: float("nan") if at == 1 else paper(b, s, n, at)), "fates")
    table = fig5.table(sliced.cut(out))
    assert scores.before(table.frames["C"], "mean") == [10.0] * 4 and fig5.claims(table)[0].of == 4


# --- Fig. S1 to S4 ---------------------------------------------------------------------------------------------------


def units(rows: list[dict], **columns) -> list[dict]:
    """Three units per lineage and round; columns are functions of (row, unit), or numbers."""
    found = []
    for r in of_lineages(rows):
        for unit in range(3):
            given = {name: value(r, unit) if callable(value) else value for name, value in columns.items()}
            found.append(r | {"layer": 1, "unit": unit} | given)
    return found


def correlation(rows: list[dict]) -> list[dict]:
    peak = np.zeros((7, 7))
    peak[3, 2:5] = (2, 9, 2)
    names = [("correlation_same", 3.0), ("unit_correlation", 1.0), ("unit_fit", 0.5)]
    return [r | image(peak, name, 0, value) for r in of_lineages(rows) for name, value in names]


@pytest.mark.parametrize(("imp", "verdict"), [(1.0, "agrees"), (9.0, "disagrees")])
def test_figs1_compares_the_errors_of_the_fit(courses_of, folder, imp, verdict):
    rows = courses_of()
    folder(rows)
    folder(
        units(rows, rf_fit_mse=lambda r, u: float("nan") if u == 2 else (imp if r["method"] == "imp" else 5.0) + u),
        "units",
    )
    folder(correlation(rows), "images")
    out = folder([r | mask(SPOT, unit=1) for r in of_lineages(rows)], "masks")
    table = figs1.table(sliced.cut(out))
    assert table.frame("fits", method="imp")["value"].to_list() == [imp + 0.5] * 2
    assert table.frame("mse", method="imp")["share"].to_list() == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert figs1.claims(table)[0].verdict == verdict and "2 units with a fit" in figs1.caption(table)
    assert set(table.pictures) == {
        "mask 0",
        "unit_correlation 0",
        "unit_fit 0",
        "correlation_same imp",
        "correlation_same random",
    }
    assert table.pictures["unit_correlation 0"][3, 3].tolist() == table.pictures["unit_correlation 0"][3, 2].tolist()


def test_figs1_with_only_one_of_its_measures(courses_of, folder):
    rows = courses_of()
    out = folder(rows)
    with pytest.raises(NotMeasured, match="needs measure rf_width; needs measure correlation"):
        figs1.table(sliced.cut(out))
    folder(correlation(rows), "images")
    table = figs1.table(sliced.cut(out))
    assert claims.verdict(figs1.claims(table)) == "cannot be told" and figs1.told(table) == []
    assert page.pixels(figs1.draw(table)).shape[2] == 3


@pytest.mark.parametrize(("high", "verdict"), [(0.4, "agrees"), (0.9, "disagrees")])
def test_figs2_reads_cosines_and_shows_the_mask_nearest_to_the_mean(courses_of, folder, high, verdict):
    rows = courses_of()
    folder(rows)
    # Medians 0.1 (skewed to small values) or 0.9 (to large ones); the mean is nearest to unit 1, then to unit 0.
    cosine = {0.4: (0.1, 0.1, 0.4), 0.9: (0.9, 0.9, 0.1)}[high]
    columns = {"cosine_ica": lambda r, u: cosine[u], "cosine_pca": lambda r, u: 0.2 if u else float("nan")}
    folder(units(rows, **columns, ica_component=1), "units")
    folder([r | mask(SPOT, unit=1) for r in of_lineages(rows)], "masks")
    out = folder(components(rows, {0.0: SPOT[None], 1.0: SPOT[None]}, APART[None]), "images")
    table = figs2.table(sliced.cut(out))
    assert claims.verdict(figs2.claims(table)) == verdict
    assert [name.split("\n")[0] for name in table.pictures][:2] == [
        "mask 0 seed 0, unit 1",
        "component 0 seed 0, unit 1",
    ]
    bins = table.frame("bins", method="imp", kind="cosine_ica")
    assert bins["share"].sum() == pytest.approx(1) and bins["share"].max() == pytest.approx(2 / 3)
    assert "imp's is larger in 0 of 2 seeds" in figs2.told(table)[0]


def test_figs3_reads_the_second_layer(courses_of, folder):
    rows = courses_of()
    out = folder(rows)
    with pytest.raises(NotMeasured, match="two hidden layers"):
        figs3.table(sliced.cut(out))
    course = [3.0, 5.0, 4.5, 4.0]
    second = units(rows, kurtosis_per_class=lambda r, u: course[r["round"]] if r["method"] == "imp" else 3.1, layer=2)
    first = units(rows, kurtosis_per_class=lambda r, u: 3.0 + r["round"] + u)
    folder(first + second, "units")
    table = figs3.table(sliced.cut(out))
    assert table.frame("kurtosis", method="imp", side="natural", seed=0)["value"].to_list() == course
    assert table.frame("first", method="imp", side="natural", seed=0)["value"].to_list() == [4, 5, 6, 7]
    assert verdicts(figs3.claims(table)) == ["agrees"] * 4 and "(at round 1 (1 to 1) against 3 (3 to 3))" in (
        figs3.claims(table)[1].sentence
    )
    flat = [
        r | {"kurtosis_per_class": 3.0 + 0.1 * (r["round"] if r["method"] == "random" else -r["round"])} for r in second
    ]
    folder(first + flat, "units")
    reverse = figs3.claims(figs3.table(sliced.cut(out)))
    assert verdicts(reverse)[2:] == ["disagrees", "disagrees"]


@pytest.mark.parametrize(("rho", "verdict"), [(0.2, "agrees"), (-0.8, "in part")])
def test_figs4_judges_both_rank_correlations(courses_of, folder, rho, verdict):
    rows = courses_of()
    out = folder(rows)
    with pytest.raises(NotMeasured, match="needs measure cavity"):
        figs4.table(sliced.cut(out))
    stored = {"layer": 1, "name": "weight_cavity", "x_edges": [-1.0, 0.0, 1.0], "y_edges": [-2.0, 0.0, 2.0, 4.0]}
    stored |= {"counts": [1, 2, 3, 4, 5, 6], "spearman": rho, "spearman_magnitude": 0.1}
    folder([r | stored for r in of_lineages(rows) if r["method"] == "imp"], "histograms")
    table = figs4.table(sliced.cut(out))
    assert sorted(set(table.frames["correlations"]["round"])) == [0, 2]
    assert table.frames["correlations"]["weights"].unique().to_list() == [21] and len(table.frames["counts"]) == 4
    assert claims.verdict(figs4.claims(table)) == verdict
    assert figs4.claims(table)[0].count == "in 4 of 4 seed-rounds"
    figure = figs4.draw(table)
    mesh = figure.axes[0].collections[0].get_array()
    assert mesh is not None and mesh.tolist() == [[1, 4], [2, 5], [3, 6]]  # row: y bin, column: x bin
    assert [words(axes) for axes in figure.axes[1:4:2]] == ["not stored"] * 2
    assert "is not stored (measure cavity with half: true)" in figs4.caption(table)


def words(axes) -> str:
    return " ".join(text.get_text() for text in axes.texts)


def test_figs4_shows_half_of_the_inputs_beside_all_and_judges_without_it(courses_of, folder):
    rows = courses_of()
    folder(rows)
    imp = [r for r in of_lineages(rows) if r["method"] == "imp"]
    stored = {"layer": 1, "x_edges": [-1.0, 0.0, 1.0], "y_edges": [-2.0, 0.0, 2.0], "counts": [1, 2, 3, 4]}
    stored |= {"spearman": 0.2, "spearman_magnitude": 0.1}
    half = {"y_edges": [-4.0, 0.0, 5.0], "counts": [9, 8, 7, 6], "spearman": -0.8, "spearman_magnitude": -0.9}
    both = [r | stored | {"name": "weight_cavity"} for r in imp]
    both += [r | stored | half | {"name": "weight_cavity_half"} for r in imp if r["round"] == 0]
    table = figs4.table(sliced.cut(folder(both, "histograms")))
    assert verdicts(figs4.claims(table)) == ["agrees", "agrees"]
    assert figs4.told(table) == [
        "Rank correlations, natural, half of the inputs: with |w| -0.9 (-0.9 to -0.9) at round 0, "
        "with w -0.8 (-0.8 to -0.8) at round 0.",
        "Rank correlations, clone: with |w| 0.1 (0.1 to 0.1) at round 0, with |w| 0.1 (0.1 to 0.1) at round 2, "
        "with w 0.2 (0.2 to 0.2) at round 0, with w 0.2 (0.2 to 0.2) at round 2.",
        "Rank correlations, clone, half: with |w| -0.9 (-0.9 to -0.9) at round 0, "
        "with w -0.8 (-0.8 to -0.8) at round 0.",
    ]
    axes = figs4.draw(table).axes[:8]  # colour bars come last
    assert [each.get_title(loc="left").split("\n")[:2] for each in axes[:3]] == [
        ["A  natural, round 0", "all inputs"],
        ["B  natural, round 0", "half of the inputs"],
        ["C  natural, round 2", "all inputs"],
    ]
    assert "w -0.80 (-0.80 to -0.80)" in axes[1].get_title(loc="left")
    assert [axes[place].get_ylim() for place in (0, 1, 2)] == [(-4, 5), (-4, 5), (-2, 2)]
    mesh = axes[5].collections[0].get_array()
    assert mesh is not None and mesh.tolist() == [[9, 7], [8, 6]]
    assert [words(axes[place]) for place in (3, 7)] == ["not stored"] * 2
    assert "the same weights scored from half" in figs4.caption(table)


# --- the whole page --------------------------------------------------------------------------------------------------


def everything(rows: list[dict], folder) -> None:
    """Rows of every measure, as a tiny sweep would leave them."""
    full = moves(steps(-2.0, -1.0, 0.0), steps(1.0, 0.5, 0.1))
    folder([r | full(r[BLEND], r["method"], r["seed"], r["round"]) | {"units_counted": 3} for r in rows])
    cosines = {"cosine_ica": lambda r, u: 0.1 * (u + 1), "cosine_pca": 0.2, "ica_component": 0}
    both = [units(rows, kurtosis_per_class=lambda r, u: 3.0 + r["round"], layer=layer) for layer in (1, 2)]
    first = [r | c for r, c in zip(both[0], units(rows, rf_fit_mse=1.0, **cosines), strict=True)]
    folder(first + both[1], "units")
    coloured = np.stack([SPOT, APART, ~SPOT])
    folder([r | mask(coloured, unit=1) for r in of_lineages(rows)], "masks")
    shown = components(rows, {0.0: SPOT[None], 1.0: APART[None]}, np.ones((1, 4, 4)))
    start = [r for r in of_lineages(rows) if r["round"] == 0]
    shown += [r | image(np.arange(48).reshape(3, 4, 4), "sample", n, 0.0) for r in start for n in range(2)]
    folder(shown + correlation(rows), "images")
    folder(fates(rows, paper), "fates")
    stored = {"layer": 1, "name": "weight_cavity", "x_edges": [-1.0, 0.0, 1.0], "y_edges": [-2.0, 0.0, 2.0]}
    stored |= {"counts": [1, 2, 3, 4], "spearman": 0.1, "spearman_magnitude": float("nan")}
    imp = [r for r in of_lineages(rows) if r["method"] == "imp"]
    folder([r | stored | {"name": name} for r in imp for name in figs4.NAMES.values()], "histograms")


def test_the_page_of_a_sweep_that_measured_everything(courses_of, folder, tmp_path, capsys):
    everything(courses_of(), folder)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    redman2025.main(tmp_path)
    said = capsys.readouterr().out
    whole = (tmp_path / "figures" / "redman2025.html").read_text()
    for name, drawn in redman2025.FIGURES.items():
        written = tmp_path / "figures" / f"redman2025_{name}"
        assert written.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert "The paper: " in written.with_suffix(".txt").read_text() and written.with_suffix(".csv").stat().st_size
        assert f'<section id="{name}">' in whole and f"{drawn.TITLE}: " in said
    assert whole.count("data:image/png;base64,") == 9 and "http" not in whole and "Not measured" not in whole
    assert "256:" not in whole and "16:6:4:10" in whole  # the net of this sweep beside the paper's
    assert (tmp_path / "figures" / "redman2025.png").read_bytes().startswith(b"\x89PNG")
    told = pl.read_csv(tmp_path / "figures" / "redman2025.csv")
    assert set(told["figure"]) == set(redman2025.FIGURES) and set(told["verdict"]) <= set(page.COLOURS)


def test_the_page_of_a_sweep_that_measured_nothing_of_it(courses_of, folder, capsys):
    out = folder(courses_of(lambda *_: {"accuracy": 0.5}))
    redman2025.main(out)
    whole = (out / "figures" / "redman2025.html").read_text()
    assert whole.count("Not measured: needs") >= 9 and "<img" not in whole
    needs = ("masks", "components", "rf_width", "kurtosis", "cavity", "correlation")
    assert all(f"needs measure {name}" in whole for name in needs)
    assert (out / "figures" / "redman2025_fig5.png").is_file()
    second = (out / "figures" / "redman2025.txt").read_text().splitlines()[1]  # what impray sweep prints
    assert second.startswith("Against Redman et al. (2025): cannot be told: Fig. 1, Fig. 2, ")
    told = pl.read_csv(out / "figures" / "redman2025.csv")
    assert told["verdict"].to_list() == ["cannot be told"] * 9


def test_pictures_have_one_width_and_texts_round_numbers(courses_of, folder):
    of = sliced.cut(folder(courses_of(widths(2.0, 5.0))))
    entries = [page.entry("fig3", fig3, of), page.entry("fig5", fig5, of)]
    shapes = {page.with_words(one).shape[1] for one in entries}
    assert shapes == {round(panels.WIDTH_IN * page.common.DPI)}
    assert panels.ranged([1.0, 2.0, None, float("nan")]) == "1.5 (1 to 2)" and panels.ranged([]) == "undefined"
