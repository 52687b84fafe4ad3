"""The cavity rule on data sets that repeat, and where nothing has a score."""

import numpy as np
import polars as pl
import pytest
import torch
from conftest import rounds_of, rows_of, run, tiny_pack

from impray.lineage.checkpoint import record_from_bytes
from impray.lineage.training import PackTraining
from impray.masks.cavity import rule_scores
from impray.measures.cavity import cavity_scores
from impray.measures.forward import LEAST, frequent_classes
from impray.results.paths import Paths
from impray.spec.counts import counts
from impray.spec.prune import CavityRule


def pack_on_file(folder, of_each_class, **changes):
    """A pack on a data set that has so many different inputs of each class, and 30 held out of each."""
    random = np.random.default_rng(0)
    for name, sizes in (("train", of_each_class), ("held_out", [30] * len(of_each_class))):
        labels = np.repeat(np.arange(len(sizes)), sizes)
        np.savez(folder / f"{name}.npz", inputs=random.laplace(size=(len(labels), 12)), labels=labels)
    files = {"path": str(folder / "train.npz"), "held_out_path": str(folder / "held_out.npz")}
    data = {"kind": "arrays", **files, "shape": [3, 4], "class_count": len(of_each_class)}
    return tiny_pack(methods=["cavity"], seeds=1, measures=["fan_in", "kurtosis"], **{"trial.data": data}, **changes)


def scores_and_sample(pack, folder, samples):
    records, (lineage,) = rounds_of(pack, folder)._records, pack.lineages
    past = records._past(lineage, 1)
    sample = frequent_classes(*past.sample(samples), fresh=past.fresh)
    scores = rule_scores(CavityRule(), past.network, past.start(), past.everything, ["weight1"], sample)["weight1"]
    return scores, past.start()["weight1"], *past.sample(samples)


@pytest.mark.parametrize(("rare", "counted"), [(3, False), (LEAST - 1, False), (40, True)])
def test_a_class_of_few_images_does_not_count_however_often_they_are_drawn(tmp_path, monkeypatch, rare, counted):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    pack = pack_on_file(tmp_path, [40, rare], **{"trial.prune": {"cavity": {"samples": 800}}})
    scores, weight, inputs, labels = scores_and_sample(pack, tmp_path, 800)
    rarer = labels == 1
    assert rarer.sum() > LEAST and len(inputs[rarer].unique(dim=0)) <= rare
    # Repeated draws count as often as they come, in the classes that count.
    expected = cavity_scores(weight, inputs, labels) if counted else cavity_scores(weight, inputs[~rarer])
    torch.testing.assert_close(
        scores, expected, rtol=1e-5, atol=1e-7
    )  # summed in another order where indices are sliced
    assert not torch.allclose(scores, cavity_scores(weight, inputs), rtol=1e-2)


def test_stimuli_are_drawn_afresh_and_all_classes_count(tmp_path, monkeypatch):
    """Spins of few inputs have few states: draws that are alike are samples all the same, of training and held out."""
    pack = tiny_pack(methods=["cavity"], seeds=1)
    generator = torch.Generator().manual_seed(0)
    few = torch.randn(4, 36, generator=generator)[torch.randint(4, (50,), generator=generator)]
    inputs, labels = torch.cat([few, torch.randn(50, 36, generator=generator)]), torch.arange(100) // 50
    monkeypatch.setattr(PackTraining, "sample", lambda *_: (inputs, labels))
    scores, weight, *_ = scores_and_sample(pack, tmp_path, 100)
    assert torch.equal(scores, cavity_scores(weight, inputs, labels))
    _, first = next(iter(rounds_of(pack, tmp_path)))
    assert first is not None and first.state is not None and first.state.fresh(0)


def test_where_no_weight_has_a_score_the_earlier_ones_go_first(tmp_path):
    """A unit's last weight has no score. Once no unit has two, the rule goes by position, and nobody fails."""
    small = {"kind": "nlgp", "shape": [4, 4], "xi": [1, 2], "held_out": 30}
    changes = {"trial.data": small, "trial.net": {"hidden": [16]}, "trial.prune": {"fraction": 0.5}, "rounds": 8}
    pack = tiny_pack(methods=["cavity", "imp"], seeds=1, measures=["fan_in"], **changes)
    run(pack, tmp_path / "pack")
    cavity, imp = pack.lineages
    masks = [
        record_from_bytes(Paths(tmp_path / "pack").lineage(cavity.id, round).read(), "test").masks["weight1"]
        for round in range(1, 9)
    ]
    assert [int(mask.sum()) for mask in masks] == counts(256, 0.5, 8)[1:]
    alone = [number for number, mask in enumerate(masks) if mask.sum(1).max() <= 1]
    assert alone and int(masks[alone[0]].sum()) > 1, "rounds are left in which nothing has a score"
    for number in alone[:-1]:
        places = masks[number].flatten().nonzero()[:, 0]
        following = masks[number + 1].flatten().nonzero()[:, 0]
        assert torch.equal(following, places[len(places) - len(following) :])
    run(pack.model_copy(update={"lineages": (imp,)}), tmp_path / "alone")
    beside = rows_of(tmp_path / "pack", "rounds").filter(pl.col("lineage") == imp.id)
    assert beside.equals(rows_of(tmp_path / "alone", "rounds"), null_equal=True)


@pytest.mark.parametrize("within", ["layer", "unit"])
def test_samples_that_are_all_the_same_give_no_scores_and_no_error(within):
    pack = tiny_pack(methods=["cavity"], seeds=1)
    network = PackTraining(pack, torch.device("cpu")).network
    weights = {"weight1": torch.randn(5, 36), "bias1": torch.zeros(5)}
    masks = {name: torch.ones_like(value, dtype=torch.bool) for name, value in weights.items()}
    sample = torch.ones(20, 36), torch.zeros(20, dtype=torch.int64)
    rule = CavityRule(within=within)
    scores = rule_scores(rule, network, weights, masks, ["weight1", "bias1"], sample)
    assert set(scores) == {"weight1", "bias1"} and all(values.isnan().all() for values in scores.values())
