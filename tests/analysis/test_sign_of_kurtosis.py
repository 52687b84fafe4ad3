"""The sign of excess kurtosis: exact values, seeds that decide, and verdicts that follow planted numbers in every branch."""

import json
import math

import numpy as np
import polars as pl
import pytest
import sign_of_kurtosis as sign
from matplotlib.figure import Figure
from sign_of_kurtosis import ELLIPTICAL, IMAGES, IN_PART, LESS, NEGATIVE, NO, OPEN, POSITIVE, YES, Findings

from impray.results import tables
from impray.results.paths import Paths
from impray.spec.data import Elliptical, Kur, Nlgp, Photographs
from impray.spec.errors import DataError

SHAPE = {"shape": (6, 6), "covariance": "matched"}
GAUSSIAN = Nlgp(gain=0.01, **SHAPE)
BINARY = Nlgp(gain=100, **SHAPE)
STIMULI = {
    "binary": BINARY,
    "nlgp": Nlgp(gain=1, **SHAPE),
    "gaussian": GAUSSIAN,
    "kur": Kur(k=5, **SHAPE),
    "infinite": Kur(k=3, **SHAPE),
    "shell": Elliptical(radius="shell", **SHAPE),
    "t": Elliptical(degrees_of_freedom=6, **SHAPE),
    "natural": Photographs(shape=(6, 6)),
    "clone": Photographs(shape=(6, 6), gaussian_blend=1),
}
NEGATIVES, POSITIVES, ELLIPTICALS = ("binary", "nlgp"), ("kur", "infinite"), ("shell", "t")
FLAT = dict.fromkeys(STIMULI, 2.0)
KURTOSIS = {"kur": 4.0, "infinite": 8.0, "t": 9.0, "binary": 2.5, "nlgp": 2.8}


def raised(*names: str, to: float = 3.0) -> dict[str, float]:
    return FLAT | dict.fromkeys(names, to)


@pytest.fixture
def planted(lineage_row, lazy):
    """The tidy table of imp's clustering per stimulus (random 1, oneshot between), seeds apart by 0.01."""

    def build(imp=FLAT, seeds=10, random=1.0, without=(), flip=(), **others):
        rows = []
        for name, value in imp.items():
            for method, clustering in {"imp": value, "oneshot": (value + 1) / 2, "random": random}.items():
                for seed in range(seeds):
                    shift = 0.01 * seed - (2.0 if (name, seed) in flip and method == "imp" else 0.0)
                    row = lineage_row(0.0, method, seed, 8 - clustering + shift, round=8, trial=name)
                    row |= {"lineage": f"{name}-{method}-{seed}", "clustering_mean": clustering + shift}
                    row |= {"ipr_mean": 0.1 * clustering, "ipr_mask_mean": 0.05}
                    row |= {"kurtosis_per_class_mean": KURTOSIS.get(name, 3.0) + 0.001 * seed}
                    rows.append(row | {"input_kurtosis": 2.5 if name == "natural" else 3.5} | others)
        return sign.table(lazy(rows).drop(without), {name: STIMULI[name] for name in imp}, ["data"])

    return build


# --- stimuli ---


def test_stimuli_have_their_exact_excess_kurtosis(planted):
    found = planted()
    excess = dict(found.select("x", "excess").unique().iter_rows())
    assert excess["NLGP(100)"] == pytest.approx(-2, abs=0.03) and abs(excess["NLGP(0.01)"]) < 0.001
    assert excess["Kur(3)"] == math.inf and excess["Kur(5)"] > 0
    assert excess["t(6)"] == pytest.approx(3) and excess["shell"] == pytest.approx(3 * 36 / 38 - 3)
    assert excess["photographs"] == pytest.approx(-0.5) and excess["photographs, clone"] == pytest.approx(0.5)
    assert found["matched"].all()


def test_sides_leave_out_the_gaussian(planted):
    found = planted()
    assert [name for name, _ in sign.stimuli_of(found, NEGATIVE)] == ["NLGP(100)", "NLGP(1)"]
    assert [name for name, _ in sign.stimuli_of(found, POSITIVE)] == ["Kur(5)", "Kur(3)"]
    assert [name for name, _ in sign.stimuli_of(found, ELLIPTICAL)] == ["shell", "t(6)"]
    assert [name for name, _ in sign.stimuli_of(found, IMAGES)] == ["photographs"]


def test_different_stimuli_never_share_a_name_or_a_covariance(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", 0, 2.0, trial=name, lineage=name) for name in ("a", "b")]
    found = sign.table(lazy(rows), {"a": GAUSSIAN, "b": GAUSSIAN.model_copy(update={"xi": (1.0, 3.0)})}, ["data"])
    assert found["x"].n_unique() == 2 and not found["matched"].any()
    assert "covariances of the stimuli differ" in sign.text(found)


def test_a_trial_that_is_described_nowhere(lineage_row, lazy):
    with pytest.raises(DataError, match="1 trials are described nowhere"):
        sign.table(lazy([lineage_row(0.0, "imp", 0, 2.0)]), {}, ["data"])


# --- seeds ---


@pytest.mark.parametrize(("seeds", "enough"), [(5, 5), (9, 9), (10, 9), (11, 10), (20, 18)])
def test_nine_in_ten_seeds_decide(seeds, enough):
    assert sign.needed(seeds) == enough


def test_a_sign_by_chance():
    assert sign.by_chance(10) == pytest.approx(11 / 1024)
    assert sign.by_chance(5) == pytest.approx(1 / 32)


@pytest.mark.parametrize(("others", "word"), [(0, YES), (1, YES), (2, NO)])
def test_one_seed_of_ten_may_disagree(planted, others, word):
    flip = {(name, seed) for name in NEGATIVES for seed in range(others)}
    found = planted(raised(*NEGATIVES), flip=flip)
    assert sign.findings(found).sides[NEGATIVE] == word


def test_differences_are_paired_by_seed(planted):
    found = planted(raised("kur", to=2.5))
    change = sign.changes(found, sign.CLUSTERING, "imp", POSITIVE)[0]
    assert (change.name, change.seeds, change.more, change.less) == ("Kur(5)", 10, 10, 0)
    assert change.mean == pytest.approx(0.5) and change.sem == pytest.approx(0, abs=1e-9)
    width = sign.changes(found, sign.WIDTH, "imp", POSITIVE)[0]
    assert (width.more, width.less) == (10, 0) and width.mean == pytest.approx(-0.5)  # narrower is more local


# --- verdicts ---


@pytest.mark.parametrize(
    ("imp", "sides", "answer"),
    [
        (raised(*NEGATIVES), (YES, NO, NO), "Negative: only negative"),
        (raised(*POSITIVES), (NO, YES, NO), "Positive: only positive"),
        (raised(*NEGATIVES, *POSITIVES), (YES, YES, NO), "Both signs"),
        (raised(*NEGATIVES, POSITIVES[0]), (YES, IN_PART, NO), "Negative at every stimulus, positive at some"),
        (FLAT, (NO, NO, NO), "Neither"),
        (
            raised("binary"),
            (IN_PART, NO, NO),
            "Negative: only negative excess kurtosis, and not at every stimulus, makes",
        ),
        (raised(*NEGATIVES) | raised("kur", to=1.5) | {"binary": 3.0, "nlgp": 3.0}, (YES, LESS, NO), "Negative: only"),
        (raised("t"), (NO, NO, IN_PART), "Neither"),
    ],
)
def test_the_answer_follows_the_numbers(planted, imp, sides, answer):
    found = sign.findings(planted(imp))
    assert tuple(found.sides[side] for side in (NEGATIVE, POSITIVE, ELLIPTICAL)) == sides
    assert found.answer.startswith(answer) and found.on_gaussian == "more"


@pytest.mark.parametrize(
    ("negative", "positive", "elliptical", "on_gaussian", "said"),
    [
        (YES, NO, NO, "unclear", "elliptical inputs: holds: negative excess kurtosis makes imp more local, and nothing"),
        (YES, LESS, LESS, "less", ": holds:"),
        (YES, NO, NO, "more", ": in part: negative excess kurtosis makes imp more local, but Gaussian inputs give local"),
        (YES, YES, NO, "unclear", "but so does positive (yes)."),
        (YES, NO, IN_PART, "unclear", "but so do elliptical inputs (in part)."),
        (YES, YES, YES, "more", "so does positive (yes), and so do elliptical inputs (yes), and Gaussian inputs"),
        (IN_PART, NO, NO, "unclear", ": in part: negative excess kurtosis makes imp more local at some stimuli only, and"),
        (IN_PART, NO, NO, "more", "at some stimuli only, but Gaussian"),
        (YES, OPEN, NO, "unclear", ": as far as tested: negative"),
        (YES, NO, OPEN, "open", "not known: elliptical inputs, imp against random on Gaussian inputs."),
        (NO, YES, NO, "more", "not here: with negative excess kurtosis imp is no more local"),
        (LESS, YES, NO, "more", "not here: with negative excess kurtosis imp is less local"),
        (OPEN, YES, NO, "more", "cannot be told."),
    ],
)  # fmt: skip
def test_what_becomes_of_lufkin(negative, positive, elliptical, on_gaussian, said):
    sides = {NEGATIVE: negative, POSITIVE: positive, ELLIPTICAL: elliptical, IMAGES: OPEN}
    assert said in sign.lufkin(Findings(sides, on_gaussian))


@pytest.mark.parametrize(
    ("negative", "positive", "images", "said"),
    [
        (NO, YES, YES, ": holds: with positive excess kurtosis (kur) imp is more local, on photographs imp is more"),
        (YES, YES, YES, "more local than on their clone; but so it is with negative."),
        (NO, YES, OPEN, ": as far as tested: with positive excess kurtosis (kur) imp is more local, photographs cannot"),
        (NO, YES, NO, ": in part: with positive"),
        (NO, IN_PART, YES, ": in part: with positive excess kurtosis (kur) imp is at some stimuli only more local"),
        (YES, NO, YES, ": in part: on photographs imp is more local than on their clone, but positive excess kurtosis "
                       "alone (kur) makes it no more local, so a positive sign is not why."),
        (YES, LESS, IN_PART, "alone (kur) makes it less local"),
        (YES, NO, NO, ": not here: positive excess kurtosis (kur) makes imp no more local, and on photographs imp is not"),
        (YES, LESS, OPEN, ": not here: positive excess kurtosis (kur) makes imp less local, and photographs cannot be told"),
        (YES, OPEN, YES, ": cannot be told of kur; on photographs imp is more local than on their clone."),
    ],
)  # fmt: skip
def test_what_becomes_of_redman(negative, positive, images, said):
    sides = {NEGATIVE: negative, POSITIVE: positive, ELLIPTICAL: NO, IMAGES: images}
    assert said in sign.redman(Findings(sides, "more"))


@pytest.mark.parametrize(
    ("negative", "positive", "on_gaussian", "said"),
    [
        (YES, LESS, "more", "needs no non-Gaussianity; its sign modulates it"),
        (YES, NO, "more", "its sign modulates it"),
        (YES, IN_PART, "more", "either sign adds to it"),
        (YES, OPEN, "more", "; negative excess kurtosis modulates it"),
        (OPEN, LESS, "more", "; positive excess kurtosis modulates it"),
        (YES, NO, "unclear", "not clearly more local than random masks: locality needs non-Gaussian inputs"),
        (YES, NO, "open", "cannot be told"),
    ],
)
def test_whether_gaussian_inputs_are_enough(negative, positive, on_gaussian, said):
    sides = {NEGATIVE: negative, POSITIVE: positive, ELLIPTICAL: NO, IMAGES: NO}
    assert said in Findings(sides, on_gaussian).modulation


def test_without_any_effect_nothing_is_modulated(planted):
    told = sign.text(planted())
    assert "locality needs no non-Gaussianity (clustering above random's in 10 of 10 seeds, +1)." in told
    assert "modulates" not in told and "Lufkin et al. (2024)" in told and "not here" in told


def test_no_local_fields_at_all(planted):
    found = planted(dict.fromkeys(STIMULI, 1.0))
    assert sign.findings(found).on_gaussian == "unclear"
    told = sign.text(found)
    assert "Neither" in told and "not clearly more local than random" in told


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"seeds": 4}, "too few seeds: 4, 5 are needed"),
        ({"imp": {name: value for name, value in FLAT.items() if name != "gaussian"}}, "no Gaussian stimulus"),
        ({"without": ("clustering_mean",)}, "clustering was not measured"),
        ({"round": 0}, "no seed in common with the Gaussian stimulus at a round with masks"),
    ],
)
def test_what_cannot_be_told_says_why(planted, changed, why):
    found = planted(**changed)
    assert sign.findings(found).sides[NEGATIVE] == OPEN
    told = sign.text(found)
    assert "Unanswered: negative excess kurtosis (nlgp, kur) and positive" in told and why in told
    assert "none for elliptical inputs: cannot be told." in told
    assert isinstance(sign.draw(found), Figure)


def test_comparisons_are_counted_against_chance(planted):
    told = sign.text(planted(raised("binary", "t")))
    assert "7 stimuli are compared with their Gaussian one, by 10 seeds at most" in told
    assert "in 1.1 % of comparisons: 0.075 `more`" in told and "of 7, 2 are one or the other" in told


def test_oneshot_is_judged_beside_imp(planted):
    told = sign.text(planted(raised(*NEGATIVES)))
    assert (
        "oneshot is more clustered (clustering) than on the Gaussian: negative yes; positive no; elliptical no" in told
    )
    assert "imp is narrower (rf_width_px) than on the Gaussian: negative yes; positive no" in told


# --- proxy and correlations ---


@pytest.mark.parametrize(
    ("imp", "said"),
    [
        (raised(*NEGATIVES), "not a good one. Where it is above the Gaussian's, imp is more local at 0 of 3 stimuli"),
        (raised("kur", "infinite", "t"), "good. Where it is above the Gaussian's, imp is more local at 3 of 3 stimuli."),
        (raised("kur", "infinite"), "in part. Where it is above the Gaussian's, imp is more local at 2 of 3 stimuli (not at t(6))."),
        (raised("kur", "infinite", "t", "binary"), "in part."),
    ],
)  # fmt: skip
def test_preactivation_kurtosis_as_a_proxy(planted, imp, said):
    assert f"between stimuli: {said}" in sign.proxy(planted(imp))


def test_a_proxy_that_was_not_measured(planted):
    assert "cannot be told" in sign.proxy(planted(without=("kurtosis_per_class_mean",)))


def test_rank_correlation_takes_infinity_for_the_largest():
    assert sign.spearman(np.array([-2.0, 0.0, 3.0, np.inf]), np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert math.isnan(sign.spearman(np.array([1.0, 2.0]), np.array([1.0, 1.0])))


def test_rank_correlation_over_stimuli(planted):
    falling = FLAT | {"binary": 5.0, "nlgp": 4.0, "gaussian": 3.0, "kur": 2.0, "infinite": 1.5}
    found = planted(falling)
    of_means, each, count = sign.ranked(found, (sign.POINTWISE,), None, sign.CLUSTERING, "imp")  # type: ignore[misc]
    assert of_means == pytest.approx(-1) and each == pytest.approx([-1.0] * 10) and count == 5
    assert (
        "nlgp and kur, imp: excess kurtosis with rf_width_px +1.00 over 5 stimuli, of this sign in 10 of 10"
        in sign.text(found)
    )


# --- photographs, figure, files ---


def test_the_photographs_own_kurtosis_is_told(planted):
    told = sign.text(planted(raised("natural")))
    assert "own excess kurtosis, all classes together, is not positive (-0.5, their clone's 0.5)" in told
    assert "on photographs imp is more local than on their clone" in told


def test_draws_infinity_beyond_a_broken_end(planted):
    figure = sign.draw(planted())
    labels = [tick.get_text() for tick in figure.axes[12].get_xticklabels()]
    assert labels[-1] == "inf" and labels[0] == "-2"
    assert sign.infinity([-2.0, 12.0, math.inf]) == 36


def test_stimuli_are_compared_at_the_round_that_most_have_reached(lineage_row, lazy):
    rows = [
        lineage_row(0.0, "imp", seed, 2.0, trial=name, lineage=f"{name}-{seed}", round=n, clustering_mean=2.0)
        for name, last in (("binary", 3), ("gaussian", 3), ("kur", 1))
        for seed in range(5)
        for n in range(last + 1)
    ]
    found = sign.table(lazy(rows), {name: STIMULI[name] for name in ("binary", "gaussian", "kur")}, ["data"])
    assert set(found.filter(pl.col("status") == "done")["round"]) == {3}
    assert "5 of 15 lineages are short of this round (at Kur(5)); not in the means." in sign.text(found)


def test_diverged_lineages_are_counted(planted, lineage_row, lazy):
    rows = [
        lineage_row(0.0, "imp", seed, 2.0, trial=name, lineage=f"{name}-{seed}", clustering_mean=2.0)
        for name in ("gaussian", "infinite")
        for seed in range(6)
    ]
    rows[-1] |= {"status": "diverged", "clustering_mean": math.nan, "round": 1}
    found = sign.table(lazy(rows), {name: STIMULI[name] for name in ("gaussian", "infinite")}, ["data"])
    assert "1 of 12 lineages diverged (1 of imp at Kur(3)); not in the means." in sign.text(found)
    assert sign.changes(found, sign.CLUSTERING, "imp", POSITIVE)[0].seeds == 5


def test_files_of_a_folder(folder, lineage_row, capsys):
    names = ("binary", "gaussian")
    said = {name: json.dumps({"data": STIMULI[name].model_dump(mode="json")}) for name in names}
    data = {name: json.dumps(STIMULI[name].model_dump(mode="json")) for name in names}
    rows = [
        lineage_row(0.0, "imp", seed, 2.0, trial=name, lineage=f"{name}-{seed}", data=data[name], clustering_mean=value)
        for name, value in zip(names, (3.0, 2.0), strict=True)
        for seed in range(5)
    ]
    rows = [{key: value for key, value in row.items() if key != "data.gaussian_blend"} for row in rows]
    axes = {"data": "json"}
    out = folder(rows, axes=axes)
    trials = [{"trial": name, "data": data[name], "description": said[name], "status": "done"} for name in names]
    tables.write(Paths(out), "trials", "rows", trials, axes)
    sign.main(out)
    assert (out / "figures" / "sign_of_kurtosis.png").read_bytes().startswith(b"\x89PNG")
    assert "Negative excess kurtosis (nlgp, kur): yes" in (out / "figures" / "sign_of_kurtosis.txt").read_text()
    assert {"excess", "family", "sem"} <= set(pl.read_csv(out / "figures" / "sign_of_kurtosis.csv").columns)
