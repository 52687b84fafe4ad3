"""Measures of localization on rings and tori: sinusoids, the flow beside the training, masks shifted to the middle."""

import json
import math

import numpy as np
import polars as pl
import pytest
import torch
from conftest import rows_of, tiny_pack, tiny_sweep

from impray.journey import run_pack
from impray.measures.clustering import clustering
from impray.measures.ipr import ipr
from impray.measures.on_image import centred
from impray.spec.axes import check
from impray.theory import localization

NEURON = {
    "hidden": [1],
    "activation": "relu",
    "bias": False,
    "outputs": 1,
    "readout": "mean",
    "init": {"scale": 0.03},
}


def neuron_pack(data, measures, rounds=0, **train):
    return tiny_pack(
        measures=measures,
        methods=["imp"],
        seeds=4,
        rounds=rounds,
        **{
            "trial.data": {"held_out": 20, **data},
            "trial.net": NEURON,
            "trial.train": {"steps": 300, "batch": 4000, "lr": 0.05, "loss": "mse", **train},
            "trial.prune": {"rewind_step": 0, "fraction": 0.3},
        },
    )


def run(pack, folder):
    (folder / "provenance.json").write_text(json.dumps({"axes": pack.axes}))
    assert list(run_pack(pack, folder))
    return rows_of(folder, "units")


def test_gaussian_inputs_follow_the_flow_and_pruned_rounds_have_no_theory(tmp_path):
    """Eq. 5 is exact for Gaussian inputs: what is left is the noise of batches, about lr steps / sqrt(batch) of the drift."""
    data = {"kind": "nlgp", "shape": [12], "gain": 0.01, "xi": [0.3, 1.5]}
    units = run(neuron_pack(data, ["flow", "ipr", "sinusoid"], rounds=1), tmp_path)
    dense = units.filter(pl.col("round") == 0)
    assert (dense["flow_distance"] < 0.2).all()
    pruned = units.filter(pl.col("round") == 1)
    assert pruned["flow_distance"].is_nan().all() and pruned["peak_flow"].is_null().all()
    assert pruned["sinusoid_distance"].is_finite().all()


@pytest.mark.slow
def test_the_flow_knows_spins_from_gaussian_inputs(tmp_path):
    """On spins the weights localise, by eq. 5 and by training; without the amplifier's curvature eq. 5 ends in a wave, 1.5 / N."""
    ising = {"kind": "ising", "shape": [24], "coupling": [0.3, 0.7], "draw": 0}
    (tmp_path / "a").mkdir()
    units = run(neuron_pack(ising, ["flow", "ipr"], steps=2000, batch=1000), tmp_path / "a")
    assert (units["ipr"] > 0.5).all() and (units["ipr_flow"] > 4 * 1.5 / 24).all()
    apart = (units["peak"] - units["peak_flow"]).to_numpy() % 24
    assert (np.minimum(apart, 24 - apart) <= 1).mean() >= 0.75
    assert (units["peak_agrees"] == (units["peak"] == units["peak_flow"]).cast(pl.Float64)).all()


def test_sinusoid_of_trained_weights_is_that_of_the_theory_module(tmp_path):
    data = {"kind": "elliptical", "shape": [4, 6], "radius": "shell"}
    pack = neuron_pack(data, ["sinusoid", {"course": {"record_every": 30, "weights_every": 1}}], steps=30, batch=50)
    units = run(pack, tmp_path)
    weights = rows_of(tmp_path, "steps").filter(pl.col("step") == 30).sort("lineage", "round")
    found = localization.sinusoid(np.array(weights["weights"].to_list()), (4, 6))
    units = units.sort("lineage", "round")
    assert np.allclose(found.relative_distance, units["sinusoid_distance"].to_numpy(), atol=1e-12)
    assert found.frequency[:, 0].tolist() == units["sinusoid_row_cycles"].to_list()
    assert found.frequency[:, 1].tolist() == units["sinusoid_col_cycles"].to_list()


@pytest.mark.parametrize("shape", [(6, 6), (5, 8), (2, 7, 6)])
def test_a_field_across_the_edge_is_shifted_to_the_middle(shape):
    """A block of 2 x 3 anywhere on the torus becomes the same block: its clustering does not depend on where it was."""
    rows, cols = shape[-2:]
    block = torch.zeros(shape, dtype=torch.bool)
    block[..., :2, :3] = True
    masks = torch.stack([block.roll((r, c), (-2, -1)).flatten() for r in range(rows) for c in range(cols)])
    moved = centred(masks, shape)
    # A mean between two places may be rounded to either.
    assert all(torch.equal(one.sum(), moved[0].sum()) for one in moved)
    values = clustering(moved, shape)
    assert torch.allclose(values, values[0].expand_as(values))
    assert clustering(masks, shape).unique().numel() > 1  # without the shift it did
    assert torch.equal(centred(block.flatten()[None].double(), shape), centred(block.flatten()[None], shape).double())


def test_the_ipr_of_a_mask_is_one_over_its_inputs(tmp_path):
    pack = tiny_pack(measures=["fan_in", {"ipr": {"at": ["mask", "end"]}}])
    units = run(pack, tmp_path).filter(pl.col("layer") == 1)
    for row in units.iter_rows(named=True):
        if row["fan_in"]:
            assert row["ipr_mask"] == pytest.approx(1 / row["fan_in"])
        else:
            assert math.isnan(row["ipr_mask"])
    assert ipr(torch.ones(1, 7)).item() == pytest.approx(1 / 7)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"measures": ["flow"]}, "single neuron"),
        ({"measures": ["flow"], "trial.data": {"kind": "photographs"}}, "nlgp, kur, ising or elliptical"),
        ({"measures": ["flow"], "trial.net": NEURON, "trial.prune.rewind_step": 3}, "prune.rewind_step: 0"),
        (
            {"measures": ["flow"], "trial.net": NEURON, "trial.data": {"kind": "kur", "k": 2}},
            "finite variance",
        ),
        (
            {
                "measures": [{"flow": {"form": "taylor"}}],
                "trial.net": NEURON,
                "trial.data": {"kind": "kur", "k": 4},
            },
            "no Taylor form",
        ),
        (
            {"measures": ["sinusoid"], "trial.data": {"kind": "photographs", "colour": True}},
            "ring or in one colour",
        ),
    ],
)
def test_theories_say_what_they_are_not_about(changes, wanted):
    mse = {"trial.train": {"steps": 20, "batch": 8, "loss": "mse"}} if "trial.net" in changes else {}
    sweep = tiny_sweep(**{**changes, **mse, "search": {}, "seeds": 1, "methods": ["imp"]})
    assert any(wanted in problem.right for problem in check(sweep)), [p.right for p in check(sweep)]
