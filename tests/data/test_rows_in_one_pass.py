"""Photographs and packs of finite sets: one pass gives the bits of torch's passes, each stream once, [input, sample] in memory."""

from itertools import product

import pytest
import torch

from impray.data import open_pack
from impray.kernels.compiled import lacking
from impray.nets.layout import LINE_BYTES
from impray.spec.data import Digits, ImageCoordinates, Linear, Photographs, Planted

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
CPU = torch.device("cpu")
BLENDS = (0.0, 0.1, 1.0)
SETS = {
    "digits": [Digits(task="all"), Digits(task="all", draw=1)],
    "planted": [
        Planted(units=3, nonzero=5, samples=90, inputs_count=37),
        Planted(units=3, nonzero=9, samples=90, inputs_count=37),
    ],
    "linear": [Linear(samples=50, features=33, nonzero=4, noise_scale=1.0), Linear(samples=50, features=33, nonzero=4)],
    "coordinates": [ImageCoordinates(side=12, features=20), ImageCoordinates(side=12, features=20, draw=1)],
    "few inputs": [Linear(samples=50, features=7, nonzero=4, noise_scale=1.0)],
}


def opened(specs, seeds, batch, dtype=torch.float32):
    pack = open_pack(specs, seeds, batch=batch, dtype=dtype, device=CPU)
    pack.start(3)
    return pack


def same_bits(x, other):
    return x.shape == other.shape and torch.equal(
        x.contiguous().view(torch.int32), other.contiguous().view(torch.int32)
    )


def photographs(shape, colour, center):
    """Every blend and clone, of three methods each, for three seeds."""
    specs = [
        Photographs(shape=shape, crops=12, held_out=2, colour=colour, center=center, gaussian_blend=b, clone=clone)
        for b, clone, _ in product(BLENDS, ("channel", "joint"), range(3))
    ]
    return specs * 3, [seed for seed in range(3) for _ in specs]


@pytest.mark.some(10)
@pytest.mark.parametrize("center", ["class", "global"])
@pytest.mark.parametrize(("shape", "colour"), [((16, 16), False), ((5, 7), True), ((4, 4), False)], ids=str)
@pytest.mark.parametrize("batch", [3, 16, 33, 64])
def test_photographs_have_the_bits_of_torchs_passes(batch, shape, colour, center):
    specs, seeds = photographs(shape, colour, center)
    pack, by_torch = (opened(specs, seeds, batch) for _ in range(2))
    assert pack._one_pass is not None
    by_torch._one_pass = None
    raw = pack.draw(3)
    for step in (0, 2):
        (x, labels), (right, right_labels) = pack.batch(raw, step), by_torch.batch(raw, step)
        assert same_bits(x, right) and torch.equal(labels, right_labels)
    for net in range(0, len(specs), 7):
        alone = opened(specs[net : net + 1], seeds[net : net + 1], batch)
        own, own_labels = alone.batch(alone.draw(3), 2)
        assert same_bits(own[0], x[net]) and torch.equal(own_labels[0], labels[net])


@pytest.mark.parametrize("batch", [3, 16, 50])
@pytest.mark.parametrize("name", SETS)
def test_rows_of_finite_sets_have_the_bits_of_torchs_passes(name, batch):
    specs = [spec for spec in SETS[name] for _ in range(3)] * 2
    seeds = [net // 6 for net in range(len(specs))] if len(SETS[name]) > 1 else [0, 0, 0, 1, 1, 1]
    pack, by_torch = (opened(specs, seeds, batch) for _ in range(2))
    inputs, _ = pack._tables
    assert (inputs._one_pass is None) == (specs[0].inputs < 16)
    for table in by_torch._tables:
        table._one_pass = None
    raw = pack.draw(2)
    (x, targets), (right, right_targets) = pack.batch(raw, 1), by_torch.batch(raw, 1)
    assert same_bits(x, right) and torch.equal(targets, right_targets)
    for net, (spec, seed) in enumerate(zip(specs, seeds, strict=True)):
        alone = opened([spec], [seed], batch)
        own, own_targets = alone.batch(alone.draw(2), 1)
        assert same_bits(own[0], x[net]) and torch.equal(own_targets[0], targets[net])


def test_nets_of_one_stream_share_one_batch_that_begins_on_a_cache_line():
    specs, seeds = photographs((5, 7), False, "class")
    pack = opened(specs, seeds, 33)
    # Of a seed: the crops themselves for both kinds of clone, and two blends with either.
    assert len(pack._recipes) == 3 * (1 + 2 * 2)
    x, _ = pack.batch(pack.draw(1), 0)
    assert all(of_net.T.is_contiguous() and of_net.data_ptr() % LINE_BYTES == 0 for of_net in x)
    for spec in (specs[3], Digits(), Planted(units=3, nonzero=5, samples=90)):
        one = opened([spec] * 4, [1] * 4, 33)
        x, targets = one.batch(one.draw(1), 0)
        assert x.stride(0) == targets.stride(0) == 0 and x[0].T.is_contiguous()


def test_other_numbers_than_float32_are_made_by_torch():
    specs, seeds = photographs((5, 7), False, "global")
    single, double = (opened(specs, seeds, 9, dtype) for dtype in (torch.float32, torch.float64))
    assert double._one_pass is None
    x, right = single.batch(single.draw(1), 0)[0], double.batch(double.draw(1), 0)[0]
    # Five roundings of numbers no larger than the sum of the parts' sizes, which are below 40 here.
    assert right.dtype == torch.float64 and (x - right).abs().max() < 5 * 40 * 2.0**-24


def test_the_whole_set_may_be_written_to_and_lies_row_by_row():
    spec = Photographs(shape=(5, 7), crops=12, held_out=2, gaussian_blend=0.1)
    pack = opened([spec], [0], 8)
    x, _ = pack.whole(0)
    again = x.clone()
    x.zero_()
    assert x.is_contiguous() and torch.equal(pack.whole(0)[0], again)
