"""Planted ReLU networks: the law of their weights, streams, the authors' numbers, and what a pack gives."""

import numpy as np
import pytest
import torch

from impray.data import open_pack
from impray.data import planted as module
from impray.data.planted import held_out_set, training_set, true_weights
from impray.data.recent import Recent
from impray.spec.data import Planted

CPU = torch.device("cpu")


def planted(**more):
    return Planted.model_validate({"samples": 60, "inputs_count": 7, "units": 4, "nonzero": 6, "held_out": 30, **more})


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    for name in ("_INPUTS", "_TARGETS"):
        monkeypatch.setattr(module, name, Recent(2**24))


def pack_of(specs, seeds, batch=5, dtype=torch.float64):
    return open_pack(specs, seeds, batch=batch, dtype=dtype, device=CPU)


def by_hand(data, weights, x):
    """Unit by unit, in words of the formula."""
    for of_layer in weights:
        x = np.stack([np.maximum(sum(w * x[:, i] for i, w in enumerate(row)), 0) for row in of_layer], axis=1)
    signs = [-1 if data.readout == "signed" and unit % 2 else 1 for unit in range(data.units)]
    return sum(sign * x[:, unit] for unit, sign in enumerate(signs))


@pytest.mark.parametrize("stream", ["impray", "authors"])
def test_the_weights_are_gaussian_at_places_chosen_evenly(stream):
    data = planted(stream=stream)
    drawn = np.array([true_weights(data, seed)[0] for seed in range(1000)])
    assert drawn.shape == (1000, 4, 7) and ((drawn != 0).sum(axis=(1, 2)) == 6).all()
    # 5 standard errors of a share of 6/28 in 1,000; of the mean and the variance of 6,000 values
    np.testing.assert_allclose((drawn != 0).mean(axis=0), 6 / 28, atol=5 * np.sqrt(6 * 22 / 28**2 / 1000))
    values = drawn[drawn != 0]
    assert abs(values.mean()) < 5 / np.sqrt(6000) and abs(values.var() - 1) < 5 * np.sqrt(2 / 6000)


@pytest.mark.parametrize("readout", ["sum", "signed"])
@pytest.mark.parametrize("layers", [2, 3])
def test_targets_are_those_of_the_network(layers, readout):
    data = planted(layers=layers, readout=readout, nonzero=9)
    weights = true_weights(data, 3)
    assert [np.count_nonzero(of_layer) for of_layer in weights] == ([9] if layers == 2 else [5, 4])
    assert [of_layer.shape for of_layer in weights] == [(4, 7), (4, 4)][: layers - 1]
    for x, y in (training_set(data, 3), held_out_set(data, 3)):
        # Sums of 7 and 4 products of numbers below 10: 1e-13 is 100 roundings
        np.testing.assert_allclose(y, by_hand(data, weights, x), rtol=0, atol=1e-13)
    assert readout == "signed" or training_set(data, 3)[1].min() >= 0


def test_inputs_are_standard_gaussian_and_held_out_ones_are_others():
    x, _ = training_set(planted(samples=4000), 1)
    aside, _ = held_out_set(planted(held_out=4000), 1)
    for rows in (x, aside):
        np.testing.assert_allclose(rows.T @ rows / 4000, np.eye(7), atol=5 * np.sqrt(2 / 4000))
    assert not np.isin(aside[:100], x).any()


def test_streams_are_apart():
    base = planted(noise_scale=0.5)
    x, y = training_set(base, 2)
    for change in ({"nonzero": 3}, {"readout": "signed"}, {"layers": 3}, {"units": 5}, {"noise_scale": 1.0}):
        np.testing.assert_array_equal(training_set(planted(**{"noise_scale": 0.5, **change}), 2)[0], x)
    for change in ({"samples": 20}, {"noise_scale": 1.0}, {"readout": "signed"}, {"held_out": 3}):
        np.testing.assert_array_equal(true_weights(planted(**change), 2)[0], true_weights(base, 2)[0])
    np.testing.assert_array_equal(training_set(planted(samples=20), 2)[0], x[:20])
    clean = training_set(planted(), 2)[1]
    twice = training_set(planted(noise_scale=1.0), 2)[1]
    np.testing.assert_allclose(twice - clean, 2 * (y - clean), rtol=0, atol=1e-14)
    fewer, more = true_weights(planted(nonzero=3), 2)[0], true_weights(base, 2)[0]
    assert np.array_equal(more[fewer != 0], fewer[fewer != 0])  # supports are nested
    np.testing.assert_array_equal(held_out_set(base, 2)[1], held_out_set(planted(), 2)[1])  # no noise there
    assert not np.array_equal(training_set(base, 3)[0], x)


def test_the_authors_stream_has_their_numbers():
    """Their order of draws: places, values, then with another seed the inputs; a matrix [input, unit]; rounded to float32."""
    data = planted(stream="authors")
    x, y = training_set(data, 4)
    np.random.seed(5)  # noqa: NPY002  theirs is the global generator
    places = np.random.choice(28, 6, replace=False)  # noqa: NPY002
    values = np.random.normal(size=6)  # noqa: NPY002
    np.random.seed(6)  # noqa: NPY002
    inputs = np.float32(np.random.normal(size=(60, 7)))  # noqa: NPY002
    np.testing.assert_array_equal(x, inputs)
    (truth,) = true_weights(data, 4)
    assert {(int(p) % 4, int(p) // 4): np.float32(v) for p, v in zip(places, values, strict=True)} == {
        (unit, i): truth[unit, i] for unit, i in np.argwhere(truth)
    }
    np.testing.assert_array_equal(y, np.float32(y))
    # y is rounded to 24 bits
    np.testing.assert_allclose(y, by_hand(data, [truth], x), rtol=2**-24, atol=1e-13)
    aside = held_out_set(data, 4)[0]
    np.testing.assert_array_equal(aside, np.float32(held_out_set(planted(), 4)[0]))


def test_the_authors_numbers_at_their_size():
    """Seed 0, (m, s) = (10, 5), as their code prints them: five weights, and the largest target."""
    data = planted(samples=50_000, inputs_count=100, units=10, nonzero=5, stream="authors")
    _, y = training_set(data, 0)
    assert y.max() == pytest.approx(9.9959, abs=5e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("more", [{}, {"layers": 3, "readout": "signed"}, {"stream": "authors"}])
def test_16_nets_at_once_are_16_times_one_bit_for_bit(more, dtype, monkeypatch):
    specs = [planted(nonzero=4 + seed % 3, samples=5000, **more) for seed in range(16)]
    seeds = [seed // 2 for seed in range(16)]
    together = pack_of(specs, seeds, dtype=dtype)
    together.start(1)
    x, y = together.batch(together.draw(3), 2)
    found = [(*together.whole(net), *together.held_out(net), *together.truth(net).values()) for net in range(16)]
    for net in reversed(range(16)):
        for name in ("_INPUTS", "_TARGETS"):
            monkeypatch.setattr(module, name, Recent(0))
        alone = pack_of(specs[net : net + 1], [seeds[net]], dtype=dtype)
        alone.start(1)
        own = (*alone.whole(0), *alone.held_out(0), *alone.truth(0).values())
        assert all(torch.equal(a, b) and a.dtype == dtype for a, b in zip(own, found[net], strict=True))
        batch = alone.batch(alone.draw(3), 2)
        assert torch.equal(batch[0][0], x[net]) and torch.equal(batch[1][0], y[net])


def test_batches_are_rows_of_the_whole_set_and_nets_of_a_seed_share_their_inputs():
    specs = [planted(), planted(nonzero=3), planted(noise_scale=0.5), planted(samples=50)]
    pack = pack_of(specs, [1, 1, 1, 2], batch=9)
    pack.start(0)
    raw = pack.draw(2)
    x, y = pack.batch(raw, 1)
    for net, order in enumerate((0, 0, 0, 1)):
        inputs, targets = pack.whole(net)
        places = raw["order"][order, 1]
        assert torch.equal(inputs[places], x[net]) and torch.equal(targets[places], y[net])
    inputs, targets = pack._tables
    assert len(inputs.rows) == 60 + 50 and len(targets.rows) == 3 * 60 + 50


def test_what_is_kept_stays_within_its_bytes(monkeypatch):
    monkeypatch.setattr(module, "_INPUTS", recent := Recent(3 * 8 * 60 * 7))
    first = training_set(planted(), 0)[0]
    assert training_set(planted(nonzero=2), 0)[0] is first
    for seed in range(1, 9):
        training_set(planted(), seed)
    assert recent._bytes <= 3 * 8 * 60 * 7 and training_set(planted(), 0)[0] is not first


def test_the_whole_set_is_the_same_before_and_after_batches_are_drawn_and_may_be_overwritten():
    pack = pack_of([planted(), planted(nonzero=3), planted(samples=50)], [1, 1, 2], dtype=torch.float32)
    before = [pack.whole(net) for net in range(3)]
    pack.start(0)
    for net in range(3):
        for again in range(2):
            after = pack.whole(net)
            assert all(torch.equal(a, b) for a, b in zip(before[net], after, strict=True)), again
            for part in after:
                part.zero_()
