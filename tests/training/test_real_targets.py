"""Training by updates on linear data converges to least squares, whatever the network that can represent it; neighbours do not show."""

import pytest
import torch
from data.linear_data import linear
from torch import nn
from training.packs import same, train

from impray.data import open_pack
from impray.nets import network_of
from impray.nets.factory import sizes
from impray.spec.nets import LinearNet, Mlp, Module
from impray.spec.training import Adam, Sgd

CPU = torch.device("cpu")
DATA = linear(samples=60, features=6, nonzero=2)  # noiseless: every batch has its minimum at the least squares of all


def scalar(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A factory: one layer without bias, as `kind: linear`."""
    return nn.Linear(shape[0], outputs, bias=False)


NETS = {
    "linear": LinearNet(),
    "linear, away from 0": LinearNet(init={"scale": 1.0}),
    "mlp without hidden units": Mlp(hidden=(), bias=True),
    "deep linear": Mlp(hidden=(8,), activation="linear", bias=False),
    "module": Module(
        factory="training.test_real_targets:scalar",
        sizes=sizes("training.test_real_targets:scalar", {}, (6,), 1),
    ),
}
TRAININGS = {
    "sgd": Sgd(loss="mse", lr=0.05, batch=32, steps=1000, dtype="float64"),
    "adam": Adam(loss="mse", lr=0.02, batch=32, steps=1500, dtype="float64"),
}


def trained(net, training, seeds, steps=None, masks=None):
    network = network_of(net, (6,), 1)
    data = open_pack([DATA] * len(seeds), seeds, batch=training.batch, dtype=torch.float64, device=CPU)
    data.start(0)
    start = network.initial([net] * len(seeds), seeds, torch.float64, CPU)
    end = train(network, [training] * len(seeds), start, masks, data, steps or training.steps)
    return network, data, end.params


@pytest.mark.some(4)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS.keys())
@pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())
def test_updates_converge_to_least_squares(net, training):
    network, data, params = trained(net, training, (0, 1))
    for place in (0, 1):
        phi, targets = data.whole(place)
        best = torch.linalg.lstsq(phi, targets).solution
        outputs = network.preactivations({k: v[place : place + 1] for k, v in params.items()}, phi[None])[-1][0]
        # 1,000 updates, each of which takes 2 lr lambda_min ~ .05 off the slowest direction, leave e^-50 of where it began
        torch.testing.assert_close(outputs, phi @ best, rtol=0, atol=1e-6)


def test_a_pruned_linear_model_converges_to_least_squares_on_what_is_left():
    """Without a feature that the truth does not have, that is still the truth."""
    truth = open_pack([DATA], [5], batch=1, dtype=torch.float64, device=CPU).truth(0)["weight1"]
    masks = {"weight1": torch.ones(1, 1, 6, dtype=torch.bool)}
    masks["weight1"][0, 0, int((truth[0] == 0).nonzero()[0])] = False
    _, _, params = trained(LinearNet(), TRAININGS["sgd"], (5,), masks=masks)
    assert params["weight1"][0][~masks["weight1"][0]].eq(0).all()
    torch.testing.assert_close(params["weight1"][0], truth, rtol=0, atol=1e-6)


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())
def test_16_nets_at_once_are_16_times_one_bit_for_bit(net):
    training = TRAININGS["sgd"]
    network, _, together = trained(net, training, range(16), steps=40)
    if not network.exact:
        return
    for place in (0, 7, 15):
        _, _, alone = trained(net, training, [place], steps=40)
        assert same({name: value[place : place + 1] for name, value in together.items()}, alone)


def test_weights_start_as_their_scale_says_and_at_0_by_default():
    network = network_of(LinearNet(), (4000,), 1)
    assert type(network).__name__ == "LinearArchitecture" and network.layers[0].bias is None
    specs = [LinearNet(), LinearNet(init={"scale": 2.0}), LinearNet(init={"scale": 1.0})]
    weight = network.initial(specs, [3, 3, 3], torch.float64, CPU)["weight1"]
    assert weight.shape == (3, 1, 4000) and weight[0].eq(0).all()
    assert torch.equal(weight[1], 2 * weight[2])
    assert abs(float(weight[2].std()) - 1) < 5 / (2 * 4000) ** 0.5
    alone = network.initial(specs[1:2], [3], torch.float64, CPU)["weight1"]
    assert torch.equal(alone[0], weight[1])
