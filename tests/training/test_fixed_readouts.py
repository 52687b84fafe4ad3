"""Fixed readouts: y = sum_k a_k f(z_k), a = 1 / units (mean), 1 (sum), or +1 and -1 in turn (signed)."""

import math

import pytest
import torch
from training.packs import ACTIVATIONS, loss_of, problem, same, train

from impray.data import open_pack
from impray.nets import mlp
from impray.spec.data import Planted
from impray.spec.nets import Mlp
from impray.spec.training import Adam, Cosine, Sgd

READOUTS = {
    "mean": lambda units: [1 / units] * units,
    "sum": lambda units: [1.0] * units,
    "signed": lambda units: [(-1.0) ** unit for unit in range(units)],
}


@pytest.mark.parametrize("hidden", [(1,), (4,), (6, 3), (5, 4, 3)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("readout", READOUTS)
def test_a_fixed_readout_stays_and_the_rest_follows_its_gradient(readout, activation, hidden):
    """Autograd on y = sum_k a_k f(z_k), with the last layer held."""
    net = Mlp(hidden=hidden, activation=activation, outputs=1, readout=readout)
    arch, _, _, data = problem(net, outputs=1, steps=1)
    params = mlp.initial(net, arch, [0, 1], torch.float64, "cpu")
    signs = torch.tensor(READOUTS[readout](hidden[-1]), dtype=torch.float64)
    assert torch.equal(params[f"weight{arch.depth}"], signs.expand(2, 1, -1))
    end = train(arch, [Sgd(batch=6, lr=0.1, loss="mse")] * 2, params, None, data, 1)
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    h = data.x[:, 0]
    for layer in range(1, arch.depth):
        h = mlp.activation(activation, h @ leaves[f"weight{layer}"].mT + leaves[f"bias{layer}"][:, None])
    loss_of("mse", (h * signs).sum(2, keepdim=True), data.y[:, 0]).sum().backward()
    for name, before in params.items():
        fixed = int(name[-1]) == arch.depth
        gradient = torch.zeros_like(before) if fixed else leaves[name].grad
        # Sums of 6 x 6 products, of size 10 at most, in float64
        torch.testing.assert_close(before - end.params[name], 0.1 * gradient, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("spec", [Sgd(batch=6, loss="mse", weight_decay=0.5), Adam(batch=6, loss="mse")])
@pytest.mark.parametrize("readout", READOUTS)
def test_a_fixed_readout_does_not_decay_and_no_optimizer_moves_it(spec, readout):
    net = Mlp(hidden=(4,), outputs=1, readout=readout)
    arch, _, _, data = problem(net, outputs=1, steps=3)
    params = mlp.initial(net, arch, [0, 1], torch.float64, "cpu")
    end = train(arch, [spec] * 2, params, None, data, 3)
    assert torch.equal(end.params["weight2"], params["weight2"])
    assert not torch.equal(end.params["weight1"], params["weight1"])


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("hidden", [(1,), (7,), (6, 5, 3)])
@pytest.mark.parametrize("readout", ["sum", "signed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_16_nets_at_once_are_16_times_one_bit_for_bit(readout, hidden, dtype):
    net = Mlp(hidden=hidden, bias=False, outputs=1, readout=readout)
    arch, params, masks, data = problem(net, inputs=33, outputs=1, nets=16, batch=50, dtype=dtype, density=0.6)
    del masks[f"weight{arch.depth}"]
    together = train(arch, [Adam(batch=50, loss="mse")] * 16, params, masks, data.again(), 4).params
    for place in range(16):
        own = slice(place, place + 1)
        cut, of_masks = ({k: v[own].clone() for k, v in all_.items()} for all_ in (params, masks))
        alone = train(arch, [Adam(batch=50, loss="mse")], cut, of_masks, data.of([place]), 4).params
        assert same(alone, {name: value[own] for name, value in together.items()})


@pytest.mark.some(2)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("readout", ["sum", "signed"])
def test_a_fused_net_that_starts_near_the_planted_one_comes_to_it(readout, layers):
    """Whose names and shapes are the net's own: 1,500 updates of Adam, at rates that fall to 0, end at more than 60 dB on new inputs."""
    planted = Planted(samples=2000, inputs_count=8, units=4, nonzero=16, readout=readout, layers=layers)
    training = Adam(batch=400, loss="mse", lr=0.01, steps=1500, schedule=Cosine(), dtype="float64")
    arch = mlp.architecture(Mlp(hidden=(4,) * (layers - 1), bias=False, outputs=1, readout=readout), 8, 1)
    data = open_pack([planted] * 3, (0, 1, 2), batch=400, dtype=torch.float64, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    start = {name: torch.stack([data.truth(net)[name] for net in range(3)]) for name in data.truth(0)}
    start = {name: v + 0.1 * torch.randn(v.shape, generator=generator, dtype=v.dtype) for name, v in start.items()}
    start[f"weight{layers}"] = mlp.fixed_readout(readout, 4).expand(3, 1, 4).clone()
    data.start(0)
    end = train(arch, [training] * 3, start, None, data, training.steps)
    for net in range(3):
        x, y = data.held_out(net)
        outputs = mlp.preactivations(arch, {k: v[net : net + 1] for k, v in end.params.items()}, x[None])[-1][0]
        error = (outputs - y).square().mean()
        assert 20 * math.log10(y.abs().max()) - 10 * math.log10(error) > 60
