"""pilanci2025: rows with known answers, which folder shows which figure, and what the heads say would count against us."""

import json
from itertools import product

import numpy as np
import pytest
import torch
from analysis.stored import drawn
from pilanci import classes, cost, digits, image, planted, theirs, those, unfused
from pilanci2025 import PAPER
from polars import col

from impray.figures import images, results
from impray.figures.panels import table
from impray.measures.state import image as measured_image
from impray.results import quantities as q
from impray.results import tables
from impray.results.paths import Paths
from impray.spec.base import canonical
from impray.spec.trial import Trial

SEEDS = 5
METHODS = ("imp", "oneshot", "random", "iht", "pursuit")
# PSNR of each method, dB; pursuit's is beyond what counts.
LEVELS = {"imp": 40.0, "oneshot": 25.0, "random": 10.0, "iht": 30.0, "pursuit": 300.0}


def fused(data, readout="sum", steps=100, **net):
    plan = {"net": {"hidden": [3], "bias": False, "outputs": 1, "readout": readout, **net}, "data": data}
    return Trial.model_validate(plan | {"train": {"loss": "mse", "steps": steps}, "prune": {"fraction": 0.2}})


@pytest.fixture
def put(tmp_path):
    """A folder of (trial, values of axes); `numbers(trial, method, seed, round)` are columns of a row, rounds have `densities`.

    `images(trial, method, seed, round)`: rows of that table.
    """

    def write(trials, axes, numbers, densities, seeds=SEEDS, images=None):
        Paths(tmp_path).provenance.path.write_text(json.dumps({"axes": axes}))
        found = {"rounds": [], "trials": []} | ({} if images is None else {"images": []})
        for number, (one, values) in enumerate(trials):
            found["trials"].append(
                {"trial": one.id, "number": number, "description": json.dumps(canonical(one)), **values}
            )
            for method, seed, (round, left) in product(METHODS, range(seeds), densities(one).items()):
                row = {"lineage": f"{one.id}-{method}-{seed}", "trunk": f"{one.id}-{seed}", "trial": one.id}
                row |= {"method": method, "seed": seed, "round": round, "status": "done", "density": left}
                found["rounds"].append(row | values | numbers(one, method, seed, round))
                keys = {name: row[name] for name in ("lineage", "trial", "method", "seed", "round")}
                for of_round in () if images is None else images(one, method, seed, round):
                    found["images"].append(keys | of_round)
        for name, rows in found.items():
            tables.write(Paths(tmp_path), name, "rows", rows, axes)
        return results(tmp_path)

    return write


def recovered(put, levels=LEVELS, at_few_steps=LEVELS, train_above=0.0, line=None):
    """m = 3 or 6 units, s = 2 or 4 of 10 inputs' weights, 50 or 100 steps.

    A seed moves PSNR by 0.1 dB, of imp and pursuit by 0.2: gaps vary. `line`: PSNR of linear OMP, in training 1 dB more.
    """
    sizes = product((3, 6), (2, 4), (50, 100))
    trials = [
        (fused({"kind": "planted", "units": m, "nonzero": s, "inputs_count": 10, "samples": 40}, steps=steps, hidden=[m]),
         {"net.hidden": m, "data.nonzero": s, "train.steps": steps})
        for m, s, steps in sizes
    ]  # fmt: skip

    def numbers(one, method, seed, round):
        psnr = (levels if one.train.length == 100 else at_few_steps)[method] + 0.1 * seed * (
            1 + (method in ("imp", "pursuit"))
        )
        solved = method in ("iht", "pursuit")
        share = {"pursuit": 1.0, "imp": 0.8}.get(method, 0.5) - 0.01 * seed * (method == "iht")
        own = {"support_recall": share, "psnr_train": psnr + train_above * (1 + 0.1 * seed), "units_alive": 2}
        facts = (
            {"optimizer_bytes": 1000 * one.data.nonzero, "converged": float(seed > 0)}
            if solved
            else {"optimizer_bytes": 9000}
        )
        beside = {} if line is None else {"psnr_linear": line + 0.1 * seed, "psnr_train_linear": line + 1.0 + 0.1 * seed}
        return {"psnr": psnr} | own | facts | beside

    axes = {"net.hidden": "int", "data.nonzero": "int", "train.steps": "int"}
    return put(trials, axes, numbers, lambda one: {7: one.data.nonzero / (10 * one.net.hidden[0])})


def verdicts(figure, of):
    return {finding.says: finding.verdict for finding in table(figure.FIGURE, of).findings}


def begins(told, words):
    return [verdict for says, verdict in told.items() if says.startswith(words)]


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


def test_linear_omp_stands_beside_the_methods_once_and_in_no_claim(put):
    of = recovered(put)
    plain, told = table(planted.FIGURE, of).panels, verdicts(planted, of)
    with_line = recovered(put, line=20.0)
    more = table(planted.FIGURE, with_line).panels
    assert verdicts(planted, with_line) == told
    training, held_out, recall, both = (rows for _, rows in more[:4])
    for rows, mean in ((training, 21.2), (held_out, 20.2)):
        line = rows.filter(col("facet") == those.LINE)
        assert line["mean"].to_numpy() == pytest.approx(mean) and set(line["seeds"]) == {SEEDS}
        assert set(line.select("x", "m").unique().iter_rows()) == set(product(("2", "4"), (3, 6)))
    assert those.LINE not in set(recall["facet"])
    line = both.filter(col("method") == those.LINE)
    assert {(data, round(mean, 9)) for data, mean in line.select("data", "mean").iter_rows()} == {
        ("held out", 20.2), ("training", 21.2),
    }  # fmt: skip
    for (_, rows), (_, beside) in zip(plain, more, strict=True):
        rest = beside.filter(col("method" if "method" in beside.columns else "facet") != those.LINE)
        assert rest.height == rows.height


def of_unfused(put, fused_above=5.0, dense_above=-10.0, line=None):
    """m = 3 or 6 units, s = 2 or 4 of the first layer's weights; rows of the dense network and of s weights."""
    trials = [
        (fused({"kind": "planted", "units": m, "nonzero": s, "inputs_count": 10, "samples": 40}, readout, hidden=[m]),
         {"net.readout": readout, "net.hidden": m, "data.nonzero": s})
        for readout, m, s in product(("sum", "trained"), (3, 6), (2, 4))
    ]  # fmt: skip

    def numbers(one, method, seed, round):
        psnr = LEVELS[method] + fused_above * (one.net.readout == "sum") + 0.1 * seed * (1 + METHODS.index(method))
        psnr += (dense_above + 0.1 * seed) * (round == 0)
        beside = {} if line is None else {"psnr_linear": line + one.data.nonzero}
        return {"psnr": psnr + 0.03 * seed * (one.net.readout == "sum"), "support_recall": 0.5} | beside

    axes = {"net.readout": "str", "net.hidden": "int", "data.nonzero": "int"}
    return put(trials, axes, numbers, lambda one: {0: 1.0, 7: one.data.nonzero / (10 * one.net.hidden[0])})


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


TASKS = ("even_odd", "three_eight")


def of_digits(put, accuracy):
    """Four splits; `accuracy(method, readout)`, and a split's own part."""
    trials = [
        (fused({"kind": "digits", "task": task, "draw": draw}, readout),
         {"data.task": task, "net.readout": readout, "data.draw": draw})
        for task, readout, draw in product(TASKS, ("sum", "signed"), range(4))
    ]  # fmt: skip

    def numbers(one, method, seed, round):
        share = 0.5 if round == 0 else accuracy(method, one.net.readout) * (1 + 0.01 * one.data.draw)
        return {"accuracy": share, "accuracy_train": share, "units_alive": 3}

    axes = {"data.task": "str", "net.readout": "str", "data.draw": "int"}
    return put(trials, axes, numbers, lambda one: {0: 1.0, 2: 100 / 192, 5: 20 / 192}, seeds=1)


ACCURACY = {"imp": 0.9, "oneshot": 0.7, "random": 0.6, "iht": 0.8, "pursuit": 0.85}


def test_digits_are_judged_over_splits(put):
    of = of_digits(put, lambda method, readout: ACCURACY[method] - 0.1 * (readout == "sum"))
    found = table(digits.FIGURE, of)
    assert {finding.verdict for finding in found.findings} == {"holds"} and {f.of for f in found.findings} == {4}
    assert len(found.findings) == 2 * 4 + 1
    _, rows = found.panels[0]
    assert set(rows["x"]) == {"20", "100"} and set(rows["seeds"]) == {4}
    # the dense networks of round 0 are a line of their own, and in no claim
    assert set(rows["method"]) == {*METHODS, "dense"}
    assert set(rows.filter(col("method") == "dense")["mean"]) == {0.5}


def test_digits_would_say_so_if_iht_were_best(put):
    told = verdicts(digits, of_digits(put, lambda method, readout: 0.95 if method == "iht" else 0.8))
    assert begins(told, "even or odd: imp") == ["contradicted"] * 2
    assert begins(told, "even or odd: iht is more accurate with a signed") != ["holds"]


def test_memory_is_told_of_imp_and_the_solvers_and_convergence_of_solvers_alone(put):
    panels = table(cost.FIGURE, recovered(put)).panels
    memory = {(row["method"], row["mean"]) for row in panels[0][1].iter_rows(named=True)}
    assert memory == {("imp", 0.009), *((solver, s / 1000) for solver in ("iht", "pursuit") for s in (2, 4))}
    (_, converged), (_, slope) = panels[1:]
    assert set(converged["method"]) == {"iht", "pursuit"} and set(converged["mean"]) == {0.8}
    # 1,000 bytes a weight of the solvers; imp holds as much at every s
    assert set(slope.select("method", "x").iter_rows()) == set(product(("iht", "pursuit"), ("3", "6")))
    assert slope["mean"].to_numpy() == pytest.approx(1.0)


def of_theirs(put, above=0.0):
    """m = 3 or 6 units, s = 2 or 4 of both layers' weights; one more training adds `above` dB, and 0.01 dB a seed."""
    trials = []
    for m, s in product((3, 6), (2, 4)):
        data = {"kind": "planted", "units": m, "nonzero": s, "inputs_count": 10, "samples": 40, "stream": "authors"}
        plan = {
            "data": data,
            "net": {"hidden": [m], "bias": False, "outputs": 1},
            "train": {"loss": "mse", "steps": 15},
        }
        one = Trial.model_validate(plan | {"prune": {"fraction": 0.1, "layers": "all", "scope": "global"}})
        trials.append((one, {"net.hidden": m, "data.nonzero": s}))

    def numbers(one, method, seed, round):
        return {"psnr_train_pruned": 12.0, "psnr_train": 12.0 + above + 0.01 * seed, "support_recall": 0.0}

    axes = {"net.hidden": "int", "data.nonzero": "int"}
    return put(trials, axes, numbers, lambda one: {9: one.data.nonzero / (11 * one.net.hidden[0])})


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
OF_IMAGE = {"imp": 17.0, "oneshot": 14.0, "random": 10.0, "iht": 19.0, "pursuit": 18.0}


def of_image(put, levels=OF_IMAGE, train_above=0.5):
    """An image of 4 x 4 pixels by 2 units of 10 features; pixels are the seed, in each method's place, and PSNR rises with the seed."""
    trials = [
        (fused({"kind": "image_coordinates", "side": 4, "features": 10}, readout, hidden=[2]), {"net.readout": readout})
        for readout in ("sum", "signed")
    ]

    def numbers(one, method, seed, round):
        more = {1: 2.0 if method == "pursuit" else 5.0, 3: 0.0}[round]
        psnr = levels[method] + more + 0.1 * seed * (1 + METHODS.index(method))
        return {"psnr": psnr, "psnr_train": psnr + train_above * (1 + 0.1 * seed)}

    def images(one, method, seed, round):
        shown = measured_image(torch.full((4, 4), METHODS.index(method) / 10 + seed), "reconstruction", 0, 20.0 + round)
        return [measured_image(torch.full((4, 4), 0.5), "original", 0), shown]

    return put(trials, {"net.readout": "str"}, numbers, lambda one: {1: 8 / 20, 3: 4 / 20}, images=images)


def test_an_image_is_judged_at_each_s(put):
    told = verdicts(image, of_image(put))
    assert begins(told, "iht has a higher held-out PSNR than imp") == ["holds"] * 2
    assert begins(told, "iht has a higher held-out PSNR than pursuit (s = 8)") == ["holds"]
    assert begins(told, "iht has a higher held-out PSNR than pursuit (s = 4)") == []
    assert set(told.values()) == {"holds"} and len(told) == 2 * 5 + 1


def test_an_image_would_say_so_if_imp_were_best_or_training_told_nothing(put):
    told = verdicts(image, of_image(put, OF_IMAGE | {"imp": 22.0, "oneshot": 25.0}, train_above=4.0))
    assert begins(told, "iht has a higher held-out PSNR than imp") == ["contradicted"] * 2
    assert begins(told, "imp has a higher held-out PSNR than oneshot") == ["contradicted"] * 2
    assert begins(told, "iht is as good on held-out pixels") == ["contradicted"] * 2


def test_pictures_are_those_of_the_lowest_seed_at_the_smallest_and_largest_s_beside_the_original(put):
    made = table(image.FIGURE, of_image(put))
    pictures = [(panel, rows) for panel, rows in made.panels if panel.mark is images]
    assert [panel.label for panel, _ in pictures] == [
        f"s = {s}\nreadout {words}" for words in ("+1", "±1") for s in (4, 8)
    ]
    for panel, rows in pictures:
        assert rows["who"].to_list().count("original") == 1 and set(rows["who"]) == {"original", *METHODS}
        for who, values in rows.select("who", "values").iter_rows():
            expected = 0.5 if who == "original" else np.float32(METHODS.index(who) / 10)
            np.testing.assert_array_equal(np.frombuffer(values, "<f4"), expected)
        words = set(rows.filter(col("who") != "original")["said"])
        assert words == {"23.0 dB" if "s = 4" in panel.label else "21.0 dB"}


@pytest.mark.parametrize("left", [["imp"], ["iht"]])
@pytest.mark.parametrize(
    ("figure", "make"),
    [(image, of_image), (classes, lambda put: of_classes(put, lambda method, sums: ACCURACY[method]))],
    ids=["image", "classes"],
)
def test_a_sweep_that_still_runs_shows_the_methods_it_has(put, left, figure, make):
    found = table(figure.FIGURE, make(put).where(col("method").is_in(left)))
    assert set(found.panels[0][1]["method"]) - {"dense"} == set(left)
    assert "not measured" in {finding.verdict for finding in found.findings}


def of_classes(put, accuracy):
    """Five initialisations; `accuracy(method, sums)`."""
    trials = []
    for sums in ("exact", "sketch"):
        plan = {"data": {"kind": "digits"}, "net": {"hidden": [50], "bias": False}, "train": {"loss": "mse"}}
        prune = {"layers": "all", "scope": "global", "iht": {"accumulate": sums}}
        trials.append((Trial.model_validate(plan | {"prune": prune}), {"prune.iht.accumulate": sums}))

    def numbers(one, method, seed, round):
        sums = one.prune.iht.accumulate
        level = 0.96 if round == 0 else accuracy(method, sums)
        found = {"accuracy": level + 0.002 * seed * (METHODS.index(method) + (sums == "sketch"))}
        return found | ({"optimizer_bytes": {"exact": 30_000, "sketch": 80_000}[sums]} if method == "iht" else {})

    axes = {"prune.iht.accumulate": "str"}
    return put(trials, axes, numbers, lambda one: {0: 1.0, 2: 500 / 3700, 5: 200 / 3700})


def test_ten_classes_compare_imp_and_iht_by_exact_sums_and_the_two_sums(put):
    of = of_classes(put, lambda method, sums: 0.5 if sums == "sketch" and method == "iht" else ACCURACY[method])
    found = table(classes.FIGURE, of)
    assert {f.verdict for f in found.findings} == {"holds"} and len(found.findings) == 3 * 2
    (_, rows), (_, memory) = found.panels
    assert set(rows.select("method", "sums").unique().iter_rows()) == {
        *((name, "") for name in METHODS), ("iht", "count sketch"), ("dense", ""),
    }  # fmt: skip
    assert set(rows["x"]) == {"200", "500"} and set(rows["seeds"]) == {5}
    assert set(memory.select("method", "sums", "mean").unique().iter_rows()) == {
        ("iht", "", 0.03), ("iht", "count sketch", 0.08),
    }  # fmt: skip


def test_ten_classes_would_say_so_if_the_sketch_and_iht_were_best(put):
    told = verdicts(
        classes, of_classes(put, lambda method, sums: 0.95 + 0.02 * (sums == "sketch") if method == "iht" else 0.3)
    )
    assert begins(told, "imp is more accurate") == ["contradicted"] * 2
    assert begins(told, "iht is more accurate with exact sums") == ["contradicted"] * 2


@pytest.mark.parametrize(
    ("make", "figures"),
    [
        (recovered, [planted, cost]),
        (lambda put: of_digits(put, lambda method, readout: ACCURACY[method]), [digits]),
        (lambda put: of_classes(put, lambda method, sums: ACCURACY[method]), [classes]),
        (of_image, [image]),
        (of_theirs, [theirs]),
        (of_unfused, [planted, unfused]),
    ],
)
def test_a_folder_shows_its_own_figures_and_no_other(put, make, figures):
    assert drawn(PAPER, make(put)) == [module.FIGURE.name for module in figures]
