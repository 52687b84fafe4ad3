"""The crops of the photographs: what is in them, how they are made, and the laws of a pack."""

import socket

import numpy as np
import pytest
import torch

from impray.data import open_pack, photographs, sample
from impray.data.photographs import crops, photograph, split
from impray.spec.data import Photographs
from impray.spec.data.photographs import OTHERS, TEN
from impray.spec.errors import DataError

CPU = torch.device("cpu")
SMALL = {"shape": (8, 6), "crops": 40, "held_out": 10}


def open_(specs, seeds, batch=7, dtype=torch.float32, round=0):
    pack = open_pack(specs, seeds, batch=batch, dtype=dtype, device=CPU)
    pack.start(round)
    return pack


def train(spec):
    """All training samples of a spec, sorted by class, through the pack's own gather."""
    pack = open_([spec], [0])
    places = torch.arange(spec.classes * spec.crops)
    return pack.batch({"order": places[None, None]}, 0)


def test_every_photograph_is_in_the_installed_packages_and_needs_no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a photograph asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    photographs._read.cache_clear()
    for name in Photographs().names:
        pixels = photograph(name, colour=False, reduce=2)
        assert pixels.shape[0] == 1 and 0 <= pixels.min() < pixels.max() <= 1
    assert len(Photographs().names) == 10 and len(Photographs(colour=True).names) == 7
    assert all(photograph(name, colour=True, reduce=4).shape[0] == 3 for name in Photographs(colour=True).names)


def test_block_averages_are_means_of_whole_blocks():
    whole, reduced = photograph("coins", False, 1), photograph("coins", False, 4)
    assert reduced.shape == (1, 303 // 4, 384 // 4)
    assert reduced[0, 2, 5] == pytest.approx(whole[0, 8:12, 20:24].mean())


@pytest.mark.parametrize("sides", [(150, 225), (200, 160), (64, 200)], ids=str)
@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (8, 48)], ids=str)
def test_training_and_held_out_parts_are_disjoint_and_fit_a_crop(sides, shape):
    pixels = np.arange(sides[0] * sides[1], dtype=float).reshape(1, *sides)
    parts = split(pixels, shape, "any")
    assert not np.intersect1d(*parts).size
    assert sum(part.size for part in parts) == pixels.size
    assert all(part.shape[1] >= shape[0] and part.shape[2] >= shape[1] for part in parts)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("side", [16, 32, 64])
def test_crops_up_to_64_px_fit_all_photographs(colour, side):
    for name in Photographs(colour=colour).names:
        split(photograph(name, colour, 2), (side, side), name)


def test_a_photograph_too_small_for_the_crops_is_named():
    with pytest.raises(DataError, match="photograph coins is 75 x 96 px"):
        sample(Photographs(shape=(48, 48), reduce=4), 1)


def test_crops_are_windows_of_the_part_and_every_second_one_is_flipped():
    part = np.arange(2 * 20 * 30, dtype=float).reshape(2, 20, 30)
    plain, flipped = (crops(part, (4, 5), 10, flips, seed=3) for flips in (False, True))
    assert plain.shape == (10, 2, 4, 5)
    assert (np.diff(plain, axis=-1) == 1).all() and (np.diff(plain, axis=-2) == 30).all()
    assert (plain[0::2] == flipped[0::2]).all() and (plain[1::2] == flipped[1::2, ..., ::-1]).all()


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("center", ["class", "global"])
def test_training_inputs_are_centred_and_have_variance_1(colour, center):
    spec = Photographs(**SMALL, colour=colour, center=center)
    x, y = train(spec)
    assert x.shape[2] == spec.inputs and torch.bincount(y[0]).tolist() == [spec.crops] * spec.classes
    x = x[0].double().view(spec.classes, spec.crops, -1)
    assert x.var(correction=0).item() == pytest.approx(1, abs=1e-5)
    over = 1 if center == "class" else (0, 1)
    assert x.mean(dim=over).abs().max() < 1e-5  # float32
    assert center == "class" or x.mean(dim=1).abs().max() > 0.1


def test_held_out_crops_lose_the_training_mean_of_their_class():
    spec = Photographs(**SMALL)
    data = photographs._natural(spec)
    raw = photographs._raw_crops(spec, 10, True, 0, "held_out_crops")
    x, y = open_([spec], [0]).held_out(0)
    assert torch.equal(x, ((raw - data.removed) / data.scale).flatten(0, 1).flatten(1))
    assert y.tolist() == [label for label in range(10) for _ in range(10)]


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("center", ["class", "global"])
def test_a_pack_of_16_equals_16_packs_of_one(colour, center):
    specs = [
        Photographs(
            **SMALL,
            colour=colour,
            center=center,
            gaussian_blend=(0, 0.3, 1, 0, 0.6)[i % 5],
            clone=("channel", "joint")[i % 2],
        )
        for i in range(15)
    ] + [Photographs(**SMALL, colour=colour, center=center, draw=1)]
    seeds = [i // 3 for i in range(16)]
    pack = open_(specs, seeds, round=2)
    raw = pack.draw(2)
    x, y = pack.batch(raw, 1)
    assert x.shape == (16, 7, specs[0].inputs) and y.dtype == torch.int64
    for net, (spec, seed) in enumerate(zip(specs, seeds, strict=True)):
        alone = open_([spec], [seed], round=2)
        own_x, own_y = alone.batch(alone.draw(2), 1)
        assert torch.equal(x[net], own_x[0]) and torch.equal(y[net], own_y[0])
        assert torch.equal(pack.held_out(net)[0], alone.held_out(0)[0])


@pytest.mark.parametrize("center", ["class", "global"])
def test_a_blend_is_the_crops_at_0_and_the_clone_at_1_bit_for_bit(center):
    natural, half, clone = (train(Photographs(**SMALL, center=center, gaussian_blend=b))[0] for b in (0.0, 0.5, 1.0))
    data = photographs._natural(Photographs(**SMALL, center=center))
    cloned = photographs._clones(Photographs(**SMALL, center=center), False)[0]
    assert torch.equal(natural[0], data.train.flatten(0, 1).flatten(1))
    assert torch.equal(clone[0], cloned.flatten(0, 1).flatten(1))
    # In one pack with a net that has a clone, a net without keeps its numbers.
    pack = open_([Photographs(**SMALL, center=center, gaussian_blend=b) for b in (0.0, 0.5)], [0, 0])
    both, _ = pack.batch({"order": torch.arange(400)[None, None]}, 0)
    assert torch.equal(both[0], natural[0]) and torch.equal(both[1], half[0])
    mean = data.mean.expand_as(data.train).flatten(0, 1).flatten(1)
    expected = mean + 0.5**0.5 * (natural[0] - mean) + 0.5**0.5 * (clone[0] - mean)
    assert torch.allclose(half[0], expected, atol=1e-5)


def test_specs_that_differ_in_the_blend_share_one_table_and_nets_of_a_seed_their_order():
    specs = [Photographs(**SMALL, gaussian_blend=b) for b in (0.0, 0.5)]
    tables = [open_([spec], [0])._natural[0].table.data_ptr() for spec in specs]
    assert tables[0] == tables[1]
    pack = open_([specs[0]] * 3, [0, 0, 1])
    x, _ = pack.batch(pack.draw(1), 0)
    assert torch.equal(x[0], x[1]) and not torch.equal(x[0], x[2])


def test_the_data_set_is_a_function_of_the_spec_and_its_draw():
    spec = Photographs(**SMALL, gaussian_blend=0.5)
    first, _ = train(spec)
    for cached in (photographs._natural, photographs._clones, photographs._table):
        cached.cache_clear()
    assert torch.equal(train(spec)[0], first)
    assert not torch.equal(train(Photographs(**SMALL, gaussian_blend=0.5, draw=1))[0], first)


def test_a_stream_does_not_depend_on_how_it_is_asked_for():
    whole, parts = (open_([Photographs(**SMALL)] * 2, [0, 1], batch=2**13 - 1) for _ in range(2))
    assert whole.block == 2
    expected, found = whole.draw(5)["order"], [parts.draw(steps)["order"] for steps in (1, 3, 1)]
    assert torch.equal(torch.cat(found, dim=1), expected)
    assert 0 <= expected.min() and expected.max() < 400


def test_samples_are_fresh_crops_with_the_shape_of_the_input():
    spec = Photographs(**SMALL, colour=True, gaussian_blend=0.5)
    x, y = sample(spec, 5, seed=0)
    assert x.shape == (35, 3, 8, 6) and x.dtype == torch.float32 and torch.equal(y, y.sort().values)
    assert torch.equal(x, sample(spec, 5, seed=0)[0]) and not torch.equal(x, sample(spec, 5, seed=1)[0])


def test_a_set_of_pictures_has_a_class_each_and_all_of_them_fit():
    spec = Photographs(images=OTHERS, crops=4, held_out=4)
    x, y = sample(spec, 3, 0)
    assert spec.classes == 10 and x.shape == (30, 16, 16) and y.tolist() == [n for n in range(10) for _ in range(3)]
    with pytest.raises(ValueError, match="moon, page are grey"):
        Photographs(images=("china", "moon", "page"), colour=True)
    with pytest.raises(ValueError, match="once"):
        Photographs(images=("china", "china"))


def test_the_ten_named_are_the_ten_by_default():
    named, default = (Photographs(images=images, crops=8, held_out=4) for images in (TEN, None))
    assert torch.equal(sample(named, 4, 1)[0], sample(default, 4, 1)[0])
