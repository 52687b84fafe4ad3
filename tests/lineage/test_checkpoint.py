"""Checkpoints: what goes in comes out, bit for bit; what is damaged is named."""

import pytest
import torch

from impray.lineage.checkpoint import (
    Record,
    record_from_bytes,
    record_to_bytes,
    scores_from_bytes,
    scores_to_bytes,
    weights_from_bytes,
    weights_to_bytes,
)
from impray.spec.errors import LineageError


def params(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"weight1": (5, 7), "bias1": (5,), "weight2": (3, 5), "bias2": (3,)}
    return {name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_record_comes_back(dtype):
    end = params(0, dtype)
    masks = {name: end[name] > 0.3 for name in ("weight1", "bias1")}
    end = {name: value * masks.get(name, 1) for name, value in end.items()}
    stats = {"mean1": torch.randn(7, dtype=dtype, generator=torch.Generator().manual_seed(1))}
    back = record_from_bytes(record_to_bytes(Record(masks, end, stats)), "here")
    assert back.end is not None
    assert same(back.masks, masks) and same(back.end, end) and same(back.stats, stats)


def test_a_record_without_training_has_only_its_mask():
    masks = {"weight1": torch.zeros(5, 7, dtype=torch.bool)}
    back = record_from_bytes(record_to_bytes(Record(masks)), "here")
    assert same(back.masks, masks) and back.end is None


@pytest.mark.parametrize("stats", [{}, {"mean1": torch.ones(7)}])
def test_a_part_of_a_trunk_comes_back(stats):
    weights, statistics, seconds = weights_from_bytes(weights_to_bytes(params(0, torch.float32), stats, 1.5), "here")
    assert seconds == 1.5
    assert same(weights, params(0, torch.float32)) and same(statistics, stats)


def test_a_record_is_no_part_of_a_trunk_and_the_other_way_round():
    with pytest.raises(LineageError):
        weights_from_bytes(record_to_bytes(Record({"weight1": torch.ones(2, 2, dtype=torch.bool)})), "here")
    with pytest.raises(LineageError):
        record_from_bytes(weights_to_bytes(params(0, torch.float32)), "here")


@pytest.mark.parametrize("damaged", [b"", b"not a checkpoint", b"\xff" * 100])
def test_damaged_bytes_are_named(damaged):
    with pytest.raises(LineageError, match="checkpoint of x"):
        record_from_bytes(damaged, "checkpoint of x")
    with pytest.raises(LineageError, match="trunk y"):
        weights_from_bytes(damaged, "trunk y")


def test_a_truncated_record_is_named():
    whole = record_to_bytes(Record({"weight1": torch.ones(5, 7, dtype=torch.bool)}, params(0, torch.float32)))
    with pytest.raises(LineageError):
        record_from_bytes(whole[:-9], "here")


def test_infinite_weights_are_not_finite():
    end = params(0, torch.float32)
    assert Record({}, end).finite
    end["bias2"][1] = float("inf")
    assert not Record({}, end).finite


def test_scores_come_back_for_kept_weights_only():
    masks = {1: params(0, torch.float32)["weight1"] > 0.3}
    scores = {
        1: {"cavity": torch.randn(5, 7, generator=torch.Generator().manual_seed(2))},
        2: {"cavity": torch.ones(3, 5)},
    }
    content = scores_to_bytes(scores, masks)
    back = scores_from_bytes(content, masks, "here")["cavity"]
    assert torch.equal(back[1][masks[1]], scores[1]["cavity"][masks[1]])
    assert back[1][~masks[1]].isnan().all()
    assert torch.equal(back[2], scores[2]["cavity"])  # a layer that is not pruned: all of them
    with pytest.raises(LineageError, match=r"here: \d+ numbers for a mask that keeps \d+ weights"):
        scores_from_bytes(content, {1: ~masks[1]}, "here")
