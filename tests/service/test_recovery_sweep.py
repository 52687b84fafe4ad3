"""Sweeps of fused ReLU networks through the service: packed or not, from files that are missing or change, and what they need."""

import copy

import numpy as np
import polars as pl
import pytest
import yaml
from conftest import assert_same_tables, rows_of, sweep_into
from data import dataset_files
from skimage.io import imsave

from impray.results import ledger
from impray.service.doctor.needs import needs
from impray.spec.axes import check
from impray.spec.errors import DataError, SweepError
from impray.spec.load import read
from impray.spec.sweep import Sweep

DATA = {
    "planted": {"kind": "planted", "samples": 80, "inputs_count": 6, "units": 3, "nonzero": 5, "held_out": 40},
    "digits": {"kind": "digits", "task": "three_eight"},
    "image_coordinates": {"kind": "image_coordinates", "side": 8, "features": 6},
}
AXES = {
    "planted": {"data.nonzero": [3, 5]},
    "digits": {"net.init.scale": [0.5, 1.0]},
    "image_coordinates": {"data.sigma": [1.0, 4.0]},
}
MORE = {"digits": ["accuracy", "training_accuracy"], "image_coordinates": ["reconstruction"]}


def fused(kind, packed=True, seeds=2, rounds=1, **data):
    axes = AXES[kind]
    measures = ["psnr", "gates", "units_alive", "loss", "optimality_gap", "linear_omp"]
    return Sweep.model_validate(
        copy.deepcopy(
            {
                "question": "how well is it recovered?",
                "trial": {
                    "data": {**DATA[kind], **data},
                    "net": {"kind": "mlp", "hidden": [3], "bias": False, "outputs": 1, "readout": "signed"},
                    "train": {"optimizer": "adam", "steps": 5, "batch": 10, "loss": "mse", "dtype": "float64"},
                    "prune": {"fraction": 0.3},
                },
                "methods": ["imp", "random"],
                "seeds": seeds,
                "rounds": rounds,
                "measures": [*measures, *MORE.get(kind, [])],
                "search": {"space": axes, "pack": list(axes) if packed else []},
            }
        )
    )


@pytest.mark.some(1)
@pytest.mark.parametrize("kind", DATA)
def test_packed_or_not_the_tables_are_the_same(kind, tmp_path):
    assert check(fused(kind)) == []
    sweep_into(tmp_path / "packed", fused(kind))
    sweep_into(tmp_path / "alone", fused(kind, packed=False))
    of_measures = ("images",) if kind == "image_coordinates" else ()
    assert_same_tables(tmp_path / "packed", tmp_path / "alone", ("rounds", "fates", "trials", *of_measures))
    rows = rows_of(tmp_path / "packed", "rounds")
    assert rows.height == 2 * 2 * 2 * 2 and rows["psnr"].is_finite().all() and rows["psnr_train"].is_finite().all()


def test_what_is_no_picture_is_told_before_anything_runs(tmp_path):
    with pytest.raises(DataError, match="nowhere.png"):
        sweep_into(tmp_path / "s", fused("image_coordinates", image=str(tmp_path / "nowhere.png")))
    assert not (tmp_path / "s" / "sweep.yaml").exists()


def test_a_picture_that_changed_is_refused_before_rows_mix(tmp_path):
    path = tmp_path / "grey.png"

    def paint(seed):
        pixels = np.random.default_rng(seed).integers(256, size=(8, 8), dtype=np.uint8)
        imsave(path, pixels, check_contrast=False)

    paint(0)
    sweep_into(tmp_path / "s", fused("image_coordinates", image=str(path)))
    paint(1)
    with pytest.raises(SweepError, match="trial.data.image"):
        sweep_into(tmp_path / "s", fused("image_coordinates", image=str(path), rounds=2))


def test_the_needs_grow_by_the_training_sets(tmp_path):
    """A row of 6 inputs and a target, 8 bytes each, for each of 2 x 2 x 2 lineages; of a seed at least once in what is prepared."""
    few, many = (needs(fused("planted", samples=n), ledger.read(tmp_path)) for n in (1_000, 101_000))
    assert many.device - few.device == 8 * 100_000 * (6 + 1) * 8
    assert many.actor - few.actor > many.device - few.device


def test_two_classes_of_idx_files_go_through_imp_and_iht(tmp_path):
    """Ten classes in the files, two are kept; a row of pixels tells them apart, so few weights do."""
    training, aside = dataset_files.idx(tmp_path / "files", (200, 90), (5, 4), classes=10, marked=True)
    document = fused("digits", rounds=2).model_dump(mode="json") | {"methods": ["imp", "iht"], "rows_at": [1, 2]}
    document["trial"]["data"] = {"kind": "idx", "path": str(tmp_path / "files"), "shape": [5, 4], "keep_classes": 2}
    document["trial"]["train"] |= {"lr": 0.05, "steps": 80}
    document["trial"]["prune"] = {"keep": [12, 6]}
    document["measures"] = ["psnr", "accuracy", "training_accuracy", "units_alive", "solver"]
    document["search"] = {}
    sweep = read(yaml.safe_dump(document), "x.yaml", ())
    assert check(sweep) == [] and sweep.trial.data.classes == 2
    sweep_into(tmp_path / "s", sweep)
    rows = rows_of(tmp_path / "s", "rounds").filter(pl.col("round") > 0)

    assert rows.height == 2 * 2 * 2 and set(rows["status"]) == {"done"}
    assert (
        rows.group_by("method", "round")
        .agg((pl.col("density") * 3 * 20).round().unique())
        .sort("method", "round")["density"]
        .to_list()
        == [[12], [6]] * 2
    )
    for column, labels in (("accuracy", aside[1]), ("accuracy_train", training[1])):
        right = rows[column] * int((labels < 2).sum())  # of the images that are kept
        assert np.allclose(right, right.round(), atol=1e-6) and rows[column].min() > 0.9
    assert rows.filter(pl.col("method") == "iht")["optimizer_bytes"].min() > 0
