"""pilanci2025: rows with known answers, which folder shows which figure, and what the heads say would count against us."""

from itertools import product

import numpy as np
import pytest
import torch
from analysis.pilanci_rows import METHODS, begins, fused, of_theirs, of_unfused, recovered, verdicts, writer
from analysis.stored import drawn
from pilanci import classes, cost, digits, image, planted, theirs, unfused
from pilanci2025 import PAPER
from polars import col

from impray.figures import images
from impray.figures.panels import table
from impray.measures.state import image as measured_image
from impray.spec.trial import Trial


@pytest.fixture
def put(tmp_path):
    return writer(tmp_path)


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


def of_classes(put, accuracy, losses=("mse",), by_loss=0.0):
    """Five initialisations; `accuracy(method, sums)`, iht with cross-entropy `by_loss` more, with 0.001 a seed."""
    trials = []
    for loss, sums in product(losses, ("exact", "sketch")):
        plan = {"data": {"kind": "digits"}, "net": {"hidden": [50], "bias": False}, "train": {"loss": loss}}
        prune = {"layers": "all", "scope": "global", "iht": {"accumulate": sums}}
        axes = {"train.loss": loss, "prune.iht.accumulate": sums}
        trials.append((Trial.model_validate(plan | {"prune": prune}), axes))

    def numbers(one, method, seed, round):
        sums = one.prune.iht.accumulate
        level = 0.96 if round == 0 else accuracy(method, sums)
        level += (by_loss + 0.001 * seed) * (method == "iht" and one.train.loss == "cross_entropy")
        found = {"accuracy": level + 0.002 * seed * (METHODS.index(method) + (sums == "sketch"))}
        return found | ({"optimizer_bytes": {"exact": 30_000, "sketch": 80_000}[sums]} if method == "iht" else {})

    axes = {"train.loss": "str", "prune.iht.accumulate": "str"}
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


def test_ten_classes_are_judged_by_loss_and_iht_between_losses(put):
    """iht: above imp with cross-entropy, by 0.05, and below it with squared error, by 0.1."""
    of = of_classes(put, lambda method, sums: ACCURACY[method], ("mse", "cross_entropy"), by_loss=0.15)
    found = table(classes.FIGURE, of)
    told = {finding.says: finding.verdict for finding in found.findings}
    assert len(told) == 3 * 2 * 2 + 2
    of_imp = {says.partition("(")[2]: verdict for says, verdict in told.items() if says.startswith("imp is")}
    assert of_imp == {
        f"{loss}, s = {s})": verdict
        for loss, verdict in (("squared error", "holds"), ("cross-entropy", "contradicted")) for s in (200, 500)
    }  # fmt: skip
    assert begins(told, "iht is more accurate with cross-entropy") == ["holds"] * 2
    for _, rows in found.panels:
        assert list(dict.fromkeys(rows["facet"])) == ["squared error", "cross-entropy"]
        assert set(rows["seeds"]) == {5}


@pytest.mark.slow
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
