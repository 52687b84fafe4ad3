"""Update rules: whole rounds against torch.optim, under masks, schedules and batch norm; their state."""

from __future__ import annotations

import pytest
import torch
from training.packs import loss_of, problem, same, torchs, train

from impray.nets import mlp
from impray.spec.nets import Mlp
from impray.spec.training import Adam, AdamW, Constant, Cosine, Sgd, Step
from impray.training.updates import OPTIMIZERS, alike

STEPS = 60
SGD = [Sgd(batch=6, lr=0.05 * (i + 1), momentum=0.9 * (i % 2), weight_decay=0.1 * (i // 2)) for i in range(4)]
NESTEROV = [Sgd(batch=6, lr=0.05, momentum=m, nesterov=True, weight_decay=d) for m in (0.5, 0.9) for d in (0.0, 0.1)]
ADAM = [Adam(batch=6, lr=0.01 * (i + 1), beta1=0.5 + 0.4 * (i % 2), weight_decay=0.1 * (i // 2)) for i in range(4)]
ADAMW = [AdamW(batch=6, lr=0.01, beta2=b, eps=e, weight_decay=d) for b, e, d in ((0.999, 1e-8, 0.1), (0.9, 1e-3, 0.0))]
FORMS = {"sgd": SGD, "nesterov": NESTEROV, "adam": ADAM, "adamw": ADAMW, "of all sgd": [*SGD[:2], *NESTEROV[1:3]]}
SCHEDULES = [Constant(), Cosine(final=0.1, warm_up=7), Step(every=11, factor=0.5)]


def reference(arch, spec, params, masks, x, labels, begin=0):
    """torch.optim and LambdaLR on one net, pruned weights set to zero again after every update."""
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    weights = [value for name, value in leaves.items() if name.startswith("weight")]
    optimizer = torchs(spec, weights, [value for name, value in leaves.items() if not name.startswith("weight")])
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: spec.schedule.rate(begin + t, spec.steps))
    for step in range(-1, x.shape[1]):
        if step >= 0:
            optimizer.zero_grad()
            loss_of(spec.loss, mlp.preactivations(arch, leaves, x[:, step])[-1], labels[:, step]).sum().backward()
            optimizer.step()
            rates.step()
        for name, mask in masks.items():
            leaves[name].data[~mask] = 0
    return leaves


@pytest.mark.some(6)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.kind)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("specs", FORMS.values(), ids=FORMS)
def test_a_round_equals_torchs_optimizer_with_pruned_weights_set_to_zero_again(specs, batch_norm, schedule):
    """Every form of a rule in one pack: without and with momentum, decay or both, other betas and eps."""
    loss = "mse" if batch_norm else "cross_entropy"
    specs = [spec.model_copy(update={"loss": loss, "steps": STEPS, "schedule": schedule}) for spec in specs]
    net = Mlp(hidden=(7, 4), activation="tanh", batch_norm=batch_norm)
    arch, params, masks, data = problem(net, nets=len(specs), steps=STEPS, density=0.5)
    end = train(arch, specs, params, masks, data, STEPS)
    for net, spec in enumerate(specs):
        one = slice(net, net + 1)
        own, kept = ({name: value[one] for name, value in given.items()} for given in (params, masks))
        for name, value in reference(arch, spec, own, kept, data.x[one], data.y[one]).items():
            # Rounding is 1e-16 per operation; at lr 0.2 with momentum 0.9 the dynamics make 2e-8 of it in 60 updates.
            torch.testing.assert_close(end.params[name][one], value.detach(), rtol=1e-6, atol=1e-6)
            if name in masks:
                assert end.params[name][one][~kept[name]].eq(0).all()


@pytest.mark.parametrize("spec", [SGD[3], NESTEROV[3], ADAM[3], ADAMW[0]], ids=lambda spec: spec.optimizer)
def test_dense_is_a_mask_of_ones(spec):
    arch, params, _, data = problem(Mlp(hidden=(7,)), steps=5)
    ones = {name: torch.ones_like(value, dtype=torch.bool) for name, value in params.items() if "weight" in name}
    dense, masked = (train(arch, [spec] * 2, params, masks, data.again(), 5) for masks in (None, ones))
    assert same(dense.params, masked.params)


@pytest.mark.parametrize("spec", [SGD[3], NESTEROV[3], ADAM[3], ADAMW[0]], ids=lambda spec: spec.optimizer)
def test_the_state_begins_anew_in_every_round(spec):
    """Two rounds of 4 are 4 updates, and 4 from there with an optimizer made anew; 8 in one go are something else."""
    arch, params, masks, data = problem(Mlp(hidden=(7,)), steps=8)
    first = train(arch, [spec] * 2, params, masks, data, 4)
    second = train(arch, [spec] * 2, first.params, masks, data, 4)
    whole = train(arch, [spec] * 2, params, masks, data.again(), 8)
    assert not same(second.params, whole.params)
    for net in range(2):
        one = slice(net, net + 1)
        own, kept = ({name: value[one] for name, value in given.items()} for given in (first.params, masks))
        for name, value in reference(arch, spec, own, kept, data.x[one, 4:], data.y[one, 4:]).items():
            torch.testing.assert_close(second.params[name][one], value.detach(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("specs", FORMS.values(), ids=FORMS)
def test_finished_gradients_move_a_parameter_as_parts_of_them_do(specs):
    """What an engine by autograd calls, against what the engine by hand does; on a kernel [net, channel, row, col]."""
    generator = torch.Generator().manual_seed(3)
    for chosen in alike(specs):
        some = [specs[net] for net in chosen]
        start = torch.randn(len(some), 3, 2, 2, generator=generator, dtype=torch.float64)
        make = OPTIMIZERS[type(some[0])]
        whole, parts = (make(some, None, start) for _ in range(2))
        a, b = (one.parameter(start.clone(), None, decays=True) for one in (whole, parts))
        for _ in range(3):
            gradient = torch.randn(start.shape, generator=generator, dtype=torch.float64)
            whole.advance()
            parts.advance()
            a.apply(gradient)
            b.ready()
            for part in (0.25 * gradient, 0.75 * gradient):
                b.sink.add_(part * parts.factor().view(-1, 1, 1, 1))
            b.moved()
        torch.testing.assert_close(a.value, b.value, rtol=1e-12, atol=1e-13)
        assert not torch.equal(a.value, start)


def test_adams_first_update_is_lr_whatever_the_gradients_size():
    """m / (1 - beta1) = g and v / (1 - beta2) = g^2, so the step is lr sign(g) where |g| is far above eps."""
    value = torch.zeros(1, 5, dtype=torch.float64)
    optimizer = OPTIMIZERS[Adam]([Adam(lr=0.01, eps=1e-30)], None, value)
    parameter = optimizer.parameter(value, None, decays=True)
    optimizer.advance()
    parameter.apply(torch.tensor([[-1e6, -1e-6, 0.0, 1e-6, 1e6]], dtype=torch.float64))
    torch.testing.assert_close(parameter.value, torch.tensor([[0.01, 0.01, 0.0, -0.01, -0.01]], dtype=torch.float64))
