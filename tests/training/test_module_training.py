"""Laws of training modules: the mlp written as one, torch.optim net by net, masks, neighbours, noise."""

import warnings

import pytest
import torch
from nets import factories
from torch import nn
from training.packs import FixedData

from impray.nets import mlp
from impray.nets.factory import sizes
from impray.nets.module import architecture
from impray.spec.nets import Mlp, Module
from impray.spec.training import Adam, AdamW, Sgd
from impray.training import TRAINERS, Task

torch.set_num_threads(1)

SHAPE, INPUTS, STEPS, BATCH = (5, 5), 25, 30, 6
OPTIMIZERS = {
    "sgd": [Sgd(lr=lr, batch=BATCH) for lr in (0.2, 0.1, 0.05)],
    "momentum": [Sgd(lr=0.1, momentum=m, weight_decay=0.01, batch=BATCH) for m in (0.9, 0.5, 0.3)],
    "nesterov": [Sgd(lr=0.05, momentum=0.9, nesterov=True, batch=BATCH)] * 3,
    "adam": [Adam(lr=lr, weight_decay=0.1, batch=BATCH) for lr in (0.01, 0.02, 0.03)],
    "adamw": [AdamW(lr=0.01, weight_decay=0.1, batch=BATCH)] * 3,
    "mse": [Sgd(lr=0.1, loss="mse", batch=BATCH)] * 3,
    "mixed": [Sgd(lr=0.1, batch=BATCH), Sgd(lr=0.1, momentum=0.9, batch=BATCH), Sgd(lr=0.1, batch=BATCH)],
}


def batches(nets, dtype):
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(nets, STEPS, BATCH, INPUTS, generator=generator, dtype=torch.float64).to(dtype)
    return FixedData(x, torch.randint(0, 3, (nets, STEPS, BATCH), generator=generator), block=4)


def network(name, outputs=3, **arguments):
    factory = f"nets.factories:{name}"
    spec = Module(factory=factory, arguments=arguments, sizes=sizes(factory, arguments, SHAPE, outputs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return spec, architecture(spec, SHAPE, outputs)


def problem(name, nets, dtype=torch.float64, **arguments):
    """(network, parameters, masks of every layer, batches)"""
    spec, net = network(name, **arguments)
    params = net.initial([spec] * nets, range(nets), dtype, "cpu")
    generator = torch.Generator().manual_seed(3)
    masks = {layer.weight: torch.rand(params[layer.weight].shape, generator=generator) < 0.6 for layer in net.layers}
    return net, params, masks, batches(nets, dtype)


def trained(net, specs, params, masks, data, **more):
    return TRAINERS[type(specs[0])](Task(net, specs, params, masks, data, data.x.shape[1], **more))


def some(tensors, nets):
    return {name: value[nets].clone() for name, value in tensors.items()}


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw", "mse"])
def test_an_mlp_written_as_a_module_is_trained_as_an_mlp_is(name):
    outputs = 1 if name == "mse" else 3
    net, params, masks, data = problem("mlp", 3, outputs=outputs)
    arch = mlp.architecture(Mlp(hidden=(7,)), SHAPE, outputs)
    names = {"1.weight": "weight1", "1.bias": "bias1", "3.weight": "weight2", "3.bias": "bias2"}
    as_mlp = [{names[key]: value for key, value in tensors.items()} for tensors in (params, masks)]
    found = trained(net, OPTIMIZERS[name], params, masks, data)
    expected = trained(arch, OPTIMIZERS[name], *as_mlp, data.of([0, 1, 2]))
    for key, other in names.items():
        assert torch.allclose(found.params[key], expected.params[other], rtol=0, atol=1e-10)
        assert not torch.allclose(found.params[key], params[key], atol=1e-3)


def alone(module, spec, params, masks, stats, x, y):
    """One net by torch.optim, the slow way; decay on tensors of two or more dimensions."""
    module = module.double().train()
    module.load_state_dict({**params, **stats})
    named = dict(module.named_parameters())
    groups = [
        {"params": [p for p in named.values() if (p.dim() > 1) is decays], "weight_decay": spec.weight_decay * decays}
        for decays in (True, False)
    ]
    if isinstance(spec, Sgd):
        optimizer = torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=spec.nesterov)
    else:
        kind = torch.optim.AdamW if isinstance(spec, AdamW) else torch.optim.Adam
        optimizer = kind(groups, lr=spec.lr, betas=(spec.beta1, spec.beta2), eps=spec.eps)

    def masked():
        with torch.no_grad():
            for key, mask in masks.items():
                named[key].mul_(mask)

    masked()
    for inputs, labels in zip(x, y, strict=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(inputs.view(-1, 1, *SHAPE)), labels).backward()
        optimizer.step()
        masked()
    return module.state_dict()


@pytest.mark.some(6)
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "mse"])
@pytest.mark.parametrize("kind", ["cnn", "branching"])
def test_a_pack_is_trained_as_torch_trains_each_net(name, kind):
    # A bias before batch norm has a gradient of rounding errors alone, which Adam would blow up to steps of lr: no norm there.
    arguments = {"norm": not name.startswith("adam")} if kind == "cnn" else {}
    net, params, masks, data = problem(kind, 3, **arguments)
    found = trained(net, OPTIMIZERS[name], params, masks, data)
    for at, spec in enumerate(OPTIMIZERS[name]):
        begun = {key: value[at] for key, value in net.begun(data.x, 3).items()}
        own = [{key: value[at] for key, value in tensors.items()} for tensors in (params, masks)]
        module = getattr(factories, kind)((1, *SHAPE), 3, **arguments)
        expected = alone(module, spec, *own, begun, data.x[at], data.y[at])
        assert expected.keys() == found.params.keys() | found.stats.keys()
        for key, value in {**found.params, **found.stats}.items():
            assert torch.allclose(value[at], expected[key].to(value.dtype), rtol=0, atol=1e-10), key


def test_pruned_kernels_stay_exactly_zero():
    net, params, masks, data = problem("cnn", 3, torch.float32)
    for name in ("momentum", "adamw"):
        found = trained(net, OPTIMIZERS[name], params, masks, data.of([0, 1, 2]), snapshots=(0, 7))
        for weights in (found.params, *found.snapshots.values()):
            for layer in net.layers:
                assert not weights[layer.weight][~masks[layer.weight]].any()


@pytest.mark.parametrize("kind", ["cnn", "branching"])
def test_a_net_that_diverges_does_not_disturb_the_others(kind):
    net, params, masks, data = problem(kind, 3, torch.float32)
    specs = [Sgd(lr=0.1, batch=BATCH)] * 3
    wild = [specs[0], Sgd(lr=1e30, batch=BATCH), specs[2]]
    calm, found = (trained(net, each, params, masks, data.of([0, 1, 2])) for each in (specs, wild))
    assert not torch.isfinite(found.params[net.layers[-1].weight][1]).all()
    for key, value in found.params.items():
        assert torch.equal(value[[0, 2]], calm.params[key][[0, 2]]), key


@pytest.mark.some(4)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("nets", [1, 2, 7, 16])
@pytest.mark.parametrize("optimizer", ["sgd", "mixed", "adam"])
def test_a_net_is_trained_to_the_same_numbers_in_every_pack_where_that_is_promised(nets, optimizer):
    net, params, masks, data = problem("deep", nets, torch.float32)
    assert net.exact
    specs = [OPTIMIZERS[optimizer][at % 3] for at in range(nets)]
    found = trained(net, specs, params, masks, data.of(list(range(nets))))
    for at in {0, nets // 2, nets - 1}:
        own = trained(net, [specs[at]], some(params, [at]), some(masks, [at]), data.of([at]))
        assert all(torch.equal(value[0], found.params[key][at]) for key, value in own.params.items())


def test_dropout_draws_from_the_stream_of_its_net_whatever_stands_beside_it():
    net, params, masks, data = problem("cnn", 3, torch.float32, dropout=0.5)
    assert not net.packed and net.exact
    same = {key: value[:1].expand(3, *value.shape[1:]).clone() for key, value in params.items()}
    specs, data = [Sgd(lr=0.1, batch=BATCH)] * 3, data.of([0, 0, 0])
    torch.manual_seed(1)
    before = torch.get_rng_state()
    found = trained(net, specs, same, None, data, noise=[5, 6, 5])
    assert torch.equal(torch.get_rng_state(), before)
    head = found.params["head.weight"]
    assert torch.equal(head[0], head[2]) and not torch.equal(head[0], head[1])
    own = trained(net, specs[:1], some(same, [1]), None, data.of([1]), noise=[6])
    for key, value in {**own.params, **own.stats}.items():
        assert torch.equal(value[0], {**found.params, **found.stats}[key][1])


def test_constant_buffers_and_frozen_layers_stay():
    net, params, masks, data = problem("frozen", 2, torch.float32)
    found = trained(net, [Sgd(lr=0.1, batch=BATCH)] * 2, params, None, data)
    assert {key for key, value in found.params.items() if torch.equal(value, params[key])} == {
        "features.weight",
        "gain",
    }
    assert found.stats == {}
