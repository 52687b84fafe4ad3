"""Gradients by hand: a step done on paper, autograd, what does not fit."""

from __future__ import annotations

import pytest
import torch
from training.packs import ACTIVATIONS, FixedData, loss_of, problem, train

from impray.nets import mlp
from impray.spec.errors import ShapeError
from impray.spec.nets import Mlp
from impray.spec.training import Cosine, Sgd


def test_one_linear_layer_with_mse_makes_the_step_done_by_hand():
    arch = mlp.Architecture((2, 1), "linear", batch_norm=False, bias=True)
    params = {
        "weight1": torch.tensor([[[1.0, 2.0]]], dtype=torch.float64),
        "bias1": torch.tensor([[0.5]], dtype=torch.float64),
    }
    data = FixedData(torch.tensor([[[[1.0, 0.0], [3.0, -1.0]]]], dtype=torch.float64), torch.tensor([[[0, 1]]]))
    end = train(arch, [Sgd(batch=2, lr=0.1, loss="mse")], params, None, data, 1)
    # outputs 1.5, 1.5; errors 1.5, 0.5; dL/dw = 2/2 (1.5 (1, 0) + 0.5 (3, -1)) = (3, -0.5), dL/db = 2
    torch.testing.assert_close(end.params["weight1"], torch.tensor([[[0.7, 2.05]]], dtype=torch.float64))
    torch.testing.assert_close(end.params["bias1"], torch.tensor([[0.3]], dtype=torch.float64))
    assert end.stats == {}


@pytest.mark.some(60)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (7, 4), (1,)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "outputs"), [("cross_entropy", 3), ("mse", 3), ("mse", 1)])
def test_one_step_is_minus_lr_times_the_gradient_of_autograd(loss, outputs, activation, hidden, bias, batch_norm):
    net = Mlp(hidden=hidden, activation=activation, bias=bias, batch_norm=batch_norm)
    arch, params, _, data = problem(net, outputs=outputs, steps=1)
    lrs = [0.1, 0.3]
    end = train(arch, [Sgd(batch=6, lr=lr, loss=loss) for lr in lrs], params, None, data, 1)
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    outputs_ = mlp.preactivations(arch, leaves, data.x[:, 0])[-1]
    gradients = torch.autograd.grad(loss_of(loss, outputs_, data.y[:, 0]).sum(), list(leaves.values()))
    for (name, before), gradient in zip(params.items(), gradients, strict=True):
        step = torch.stack([lr * g for lr, g in zip(lrs, gradient, strict=True)])
        # 1e-10 where a hidden unit is dead in all samples: batch norm then divides by sqrt(eps) = 1e-5
        torch.testing.assert_close(before - end.params[name], step, rtol=1e-9, atol=1e-10 if batch_norm else 1e-14)


def test_evaluation_statistics_begin_with_the_first_batch_and_follow_by_a_hundredth():
    arch, params, _, data = problem(Mlp(hidden=(7,), batch_norm=True), steps=5)
    end = train(arch, [Sgd(batch=6)] * 2, params, None, data, 5, snapshots=range(5))
    stats = {}
    for step in range(5):
        x = data.x[:, step]
        h = torch.relu(mlp.preactivations(arch, end.snapshots[step], x)[0])
        for layer, inputs in ((1, x), (2, h)):
            new = {f"mean{layer}": inputs.mean(1), f"var{layer}": inputs.var(1, correction=0)}
            stats |= {k: 0.99 * stats[k] + 0.01 * v if step else v for k, v in new.items()}
    assert end.stats.keys() == stats.keys()
    for name, value in stats.items():
        torch.testing.assert_close(end.stats[name], value)


def test_what_does_not_fit_is_refused_with_both_shapes():
    arch, params, _, data = problem(Mlp(hidden=(7,)))
    with pytest.raises(ShapeError, match=r"\(2, 6, 5\).*\(2, 8, 5\)"):
        train(arch, [Sgd(batch=8)] * 2, params, None, data, 1)
    with pytest.raises(ShapeError, match="3 training specs for 2 nets"):
        train(arch, [Sgd(batch=6)] * 3, params, None, data, 1)
    with pytest.raises(ShapeError, match="share batch and loss"):
        train(arch, [Sgd(batch=6), Sgd(batch=6, loss="mse")], params, None, data, 1)
    with pytest.raises(ShapeError, match="share schedule and steps"):
        train(arch, [Sgd(batch=6), Sgd(batch=6, schedule=Cosine())], params, None, data, 1)
