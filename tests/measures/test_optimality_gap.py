"""Laws of optimality_gap: what fixed gates leave to be gained, of networks trained and solved."""

import math

import numpy as np
import pytest
import torch

from impray.data import open_pack
from impray.measures import readings_of
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture, fixed_readout
from impray.spec import measure as spec
from impray.spec.data import Digits, Planted

CPU = torch.device("cpu")
NOISY = Planted(samples=400, inputs_count=6, units=4, nonzero=10, noise_scale=0.3, held_out=10)


def state_of(weights, data=NOISY, readout="sum", seconds=None, masks=None, seeds=None):
    """Nets with such first weights [net, unit, input], and second ones [net, 1, unit] unless they are fixed."""
    nets, units = weights.shape[:2]
    fixed = fixed_readout(readout, units).expand(nets, 1, -1) if seconds is None else seconds
    params = {"weight1": weights.clone(), "weight2": fixed.clone().to(weights.dtype)}
    masks = masks or {"weight1": torch.ones(weights.shape, dtype=torch.bool)}
    pack = open_pack([data] * nets, seeds or range(nets), batch=1, dtype=weights.dtype, device=CPU)
    arch = Architecture((data.inputs, units, 1), "relu", False, False, readout)
    return RoundState(0, arch, masks, params, params, None, pack.held_out, "mse", [], whole=pack.whole)


def read(state):
    lineage = readings_of(spec.OptimalityGap(), state).lineage
    return lineage["optimality_gap"], lineage["optimality_gap_db"]


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def by_lstsq(x, y, weights, readout, kept):
    """The share and dB, from the network's own outputs and A as a matrix."""
    active = (x @ weights.T > 0)[:, :, None] * x[:, None] * readout[:, None]
    a = active[:, kept & weights.any(axis=1)[:, None]]
    residual = y - np.maximum(x @ weights.T, 0) @ readout
    rest = residual - a @ np.linalg.lstsq(a, residual, rcond=1e-10)[0]
    share = 1 - rest @ rest / (residual @ residual)
    return pytest.approx(share, rel=1e-10), pytest.approx(-10 * math.log10(1 - share), rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("data", [Digits(task="even_odd"), NOISY], ids=["labels", "real"])
def test_a_net_does_not_depend_on_its_neighbours(data, dtype):
    weights = drawn(8, 5, data.inputs, dtype=dtype)
    weights[drawn(*weights.shape, seed=1) < 0.5] = 0
    together = read(state_of(weights, data))
    assert len(set(together[0])) == 8
    for net in range(8):
        assert read(state_of(weights[net : net + 1], data, seeds=[net])) == ([together[0][net]], [together[1][net]])


@pytest.mark.parametrize("readout", ["sum", "signed", "mean", "trained"])
def test_it_is_what_lstsq_gains(readout):
    weights, seconds = drawn(1, 4, 6), drawn(1, 1, 4, seed=5) if readout == "trained" else None
    masks = {"weight1": drawn(1, 4, 6, seed=2) < 0.3}
    if seconds is not None:
        masks["weight2"] = torch.tensor([[[True, True, False, True]]])
        seconds = seconds * masks["weight2"]
    state = state_of(weights * masks["weight1"], readout=readout, seconds=seconds, masks=masks)
    x, y = (part.numpy() for part in state.whole(0))
    second = state.end["weight2"][0, 0].numpy()
    kept = masks["weight1"][0].numpy() & (second != 0)[:, None]
    expected = by_lstsq(x, y[:, 0], state.end["weight1"][0].numpy(), second, kept)
    (share,), (gained,) = read(state)
    assert (share, gained) == expected and 0.05 < share < 1


def test_the_numbering_of_units_and_inputs_and_the_scale_of_the_targets_do_not_matter():
    weights = drawn(1, 4, 6)
    plain = state_of(weights)
    turned = state_of(weights[:, [2, 0, 3, 1]][:, :, [5, 3, 1, 0, 2, 4]])
    turned.whole = lambda net: (plain.whole(net)[0][:, [5, 3, 1, 0, 2, 4]], plain.whole(net)[1])
    scaled = state_of(8 * weights)
    scaled.whole = lambda net: (plain.whole(net)[0], 8 * plain.whole(net)[1])
    for other in (turned, scaled):
        assert np.ravel(read(other)) == pytest.approx(np.ravel(read(plain)), rel=1e-10)


def test_it_falls_as_training_goes_on():
    """Gradient descent on noisy targets, all weights kept: most of the loss is left to be gained, then all but nothing.

    A minimum can lie where a gate changes for some sample, and then its gap is not 0: some samples of 400 are some thousandths of the loss.
    """
    x, y = (torch.from_numpy(part) for part in state_of(drawn(1, 4, 6)).training_set(0))
    weights, gaps = 0.1 * drawn(4, 6), {}
    for step in range(2001):
        if step in (5, 50, 2000):
            gaps[step] = read(state_of(weights[None]))[0][0]
        hidden = torch.relu(x @ weights.T)
        weights = weights - 0.1 * ((hidden.sum(dim=1) - y)[:, None] * (hidden > 0)).T @ x / len(y)
    assert gaps[5] > 0.5 and gaps[5] > gaps[50] > gaps[2000] and gaps[2000] < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_planted_network_itself_is_converged(dtype):
    data = NOISY.model_copy(update={"noise_scale": 0.0})
    pack = open_pack([data] * 3, range(3), batch=1, dtype=dtype, device=CPU)
    truth = torch.stack([pack.truth(net)["weight1"] for net in range(3)])
    assert read(state_of(truth, data)) == ([0.0] * 3, [0.0] * 3)
    off = read(state_of(truth * (1 + 1e-3), data))  # the same gates: 60 dB are to be gained, and all the rest
    assert min(off[0]) > 0.999 and min(off[1]) > (60 if dtype == torch.float32 else 200)


def test_a_network_without_weights_has_nothing_to_gain():
    masks = {"weight1": torch.zeros(1, 4, 6, dtype=torch.bool)}
    for state in (state_of(torch.zeros(1, 4, 6)), state_of(drawn(1, 4, 6), masks=masks)):
        assert read(state) == ([0.0], [0.0])
