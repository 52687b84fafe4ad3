"""Layers that hold their kept weights alone: trained as dense ones are, and as if alone."""

from __future__ import annotations

import pytest
import torch
from training.packs import ACTIVATIONS, OPTIMIZERS, FixedData, problem, same, train, unlike_alone

from impray.kernels.compiled import lacking
from impray.kernels.patterns import AT_ONCE
from impray.spec.nets import Mlp
from impray.spec.training import Adam, Cosine, Sgd
from impray.training import held, weights
from impray.training.engine import Groups
from impray.training.mlp import MlpEngine
from impray.training.updates import optimizer_of

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))

NET = Mlp(hidden=(150, 120))


def both(monkeypatch, net, spec, steps=6, batch=40, nets=3, density=0.3):
    """The same nets trained with sparse layers, with dense ones, and with dense ones in float64."""
    arch, params, masks, data = problem(net, 200, 10, nets, batch, steps, torch.float32, density)
    spec = spec.model_copy(update={"batch": batch, "steps": steps})
    sparse = train(arch, [spec] * nets, params, masks, data, steps, snapshots=(0, steps))
    monkeypatch.setattr(weights, "SPARSE_BELOW", 0.0)
    dense = train(arch, [spec] * nets, params, masks, data.again(), steps)
    wide = {name: value.double() for name, value in params.items()}
    exact = train(arch, [spec] * nets, wide, masks, FixedData(data.x.double(), data.y), steps)
    return params, masks, sparse, dense, exact


@pytest.mark.some(3)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_update_rule_acts_on_kept_weights_as_on_masked_ones(optimizer, monkeypatch):
    spec = OPTIMIZERS[optimizer].model_copy(update={"schedule": Cosine(final=0.1)})
    params, masks, sparse, dense, exact = both(monkeypatch, NET, spec)
    for name, value in exact.params.items():
        # Not further from float64 than dense layers are, but for chance. (Adam with an eps at which its first steps are not lr sign(g),
        # which tells rounding of either sign apart.)
        error = (dense.params[name] - value).abs().max()
        assert (sparse.params[name] - value).abs().max() <= 4 * error + 1e-7, name
        if name in masks:
            assert not sparse.params[name][~masks[name]].any()


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_with_and_without_batch_norm(activation, batch_norm, monkeypatch):
    net = Mlp(hidden=(150, 120), activation=activation, batch_norm=batch_norm)
    _, _, sparse, dense, exact = both(monkeypatch, net, OPTIMIZERS["sgd"])
    for kind in ("params", "stats"):
        for name, value in getattr(exact, kind).items():
            error = (getattr(dense, kind)[name] - value).abs().max()
            assert (getattr(sparse, kind)[name] - value).abs().max() <= 4 * error + 2e-7, name


@pytest.mark.parametrize("batch", [40, AT_ONCE + 1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_slopes_are_of_the_weights_before_the_update(optimizer, batch):
    draw = torch.Generator().manual_seed(0)
    shapes = (2, 150, 200), (2, 200, batch), (2, 150, batch)
    value, h, delta = (torch.randn(*shape, generator=draw) for shape in shapes)
    mask = (torch.rand(2, 150, 200, generator=draw) < 0.3).float()
    specs = [OPTIMIZERS[optimizer].model_copy(update={"batch": batch, "steps": 4})] * 2
    found = []
    for in_one in (True, False):
        rule = optimizer_of(specs[0])(specs, None, value.new_empty(0))
        layer = weights.Sparse(value.clone(), mask, rule, batch)
        for _ in range(3):  # a step shows what the one before left behind
            z, d = torch.empty(2, 150, batch), torch.empty(2, 200, batch)
            rule.advance()
            layer.forward(h, None, z)
            if not in_one:
                layer.backward(delta, d)
            layer.move(delta, d if in_one else None)
            found.append((z, d, layer.value()))
    assert all(
        torch.equal(a, b) for one, two in zip(found[:3], found[3:], strict=True) for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("apart", [40, 48])
@pytest.mark.parametrize("nets", [1, 3])
@pytest.mark.parametrize("memory", ["samples first", "inputs first", "one batch", "one batch, inputs first", "spread"])
def test_a_batch_is_laid_out_as_kernels_read_it_however_it_lies(memory, nets, apart):
    draw = torch.Generator().manual_seed(0)
    one = memory.startswith("one batch")
    h = torch.randn(1 if one else nets, 70, 40, generator=draw)
    given = {
        "samples first": lambda: h.mT.contiguous().mT,
        "spread": lambda: h.repeat_interleave(2, -1)[..., ::2],
        "one batch": lambda: h.mT.contiguous().mT.expand(nets, -1, -1),
        "one batch, inputs first": lambda: h.expand(nets, -1, -1),
        "inputs first": lambda: h,
    }[memory]()
    numbers, between = weights.Laid(h, nets, 40, 70, apart)(given)
    for net in range(nets):
        rows = numbers[net * between :][: 69 * apart + 40]
        found = torch.stack([torch.from_numpy(rows[place * apart :][:40]) for place in range(70)])
        assert torch.equal(found, given[net])


def test_parameters_at_the_start_are_those_given():
    arch, params, masks, data = problem(NET, 200, 10, 2, 40, 4, torch.float32, 0.3)
    end = train(arch, [Sgd(batch=40, steps=4)] * 2, params, masks, data, 4, snapshots=(0,))
    assert same(end.snapshots[0], {name: value * masks.get(name, 1) for name, value in params.items()})


@pytest.mark.some(12)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_pack_of_mixed_densities_equals_nets_alone(optimizer, batch_norm, shared):
    arch, params, masks, data = problem(
        Mlp(hidden=(150, 120), batch_norm=batch_norm), 200, 10, 6, 40, 3, torch.float32, 1.0
    )
    draw = torch.Generator().manual_seed(3)
    densities = torch.tensor([1.0, 0.44, 0.46, 0.2, 0.01, 0.0]).view(-1, 1, 1)
    for name in ("weight1", "weight2", "weight3"):
        masks[name] = torch.rand(params[name].shape, generator=draw) < densities
    masks["weight2"][3] = True  # sparse and dense layers in one net
    if shared:
        data = FixedData(data.x[:1].expand_as(data.x), data.y)
    specs = [OPTIMIZERS[optimizer].model_copy(update={"batch": 40, "steps": 3, "lr": lr}) for lr in (0.05, 0.02) * 3]
    assert unlike_alone(arch, specs, params, masks, data, 3) == []


def test_which_layers_are_sparse_follows_from_the_nets_own_mask_sizes_and_batch():
    arch, params, masks, _ = problem(NET, 200, 10, 1, 40, 1, torch.float32, 0.3)
    own, masked = ({name: value[0] for name, value in given.items()} for given in (params, masks))
    # 200 x 150 and 150 x 120 are large enough, 120 x 10 is not.
    assert MlpEngine.form_of(arch, own, masked, Sgd(batch=40)) == (True, True, False)
    assert MlpEngine.form_of(arch, own, masked, Sgd(batch=4)) == (False, False, False)
    assert MlpEngine.form_of(arch, own, {}, Sgd(batch=40)) == (False, False, False)
    double = {name: value.double() for name, value in own.items()}
    assert MlpEngine.form_of(arch, double, masked, Sgd(batch=40)) == (False, False, False)
    masked["weight1"] = torch.ones_like(masked["weight1"])
    assert MlpEngine.form_of(arch, own, masked, Sgd(batch=40)) == (False, True, False)


def test_a_fixed_readout_stays_dense():
    net = Mlp(hidden=(20000,), bias=False, outputs=1, readout="sum")
    arch, params, _, _ = problem(net, 3, 1, 1, 40, 1, torch.float32)
    own = {name: value[0] for name, value in params.items()}
    none = {name: torch.zeros_like(value) for name, value in own.items()}
    assert MlpEngine.form_of(arch, own, none, Sgd(batch=40)) == (True, False)


def test_an_engine_that_tells_no_forms_is_given_all_nets_at_once():
    arch, params, masks, data = problem(NET, 200, 10, 3, 40, 1, torch.float32, 0.3)
    given = []

    def make(network, specs, *others):
        given.append(len(specs))
        return MlpEngine(network, specs, *others)

    Groups(make, arch, [Sgd(batch=40, steps=1)] * 3, params, masks, 0, 1)
    assert given == [3]


def test_a_sparse_net_holds_less_than_a_dense_one():
    arch, params, masks, _ = problem(Mlp(hidden=(300,)), 784, 10, 1, 40, 1, torch.float32, 0.1)
    spec = Adam(batch=40, steps=1)
    sparse = held(arch, spec, params, masks, 0, 1)
    dense = held(arch, spec, params, {}, 0, 1)
    kept = int(masks["weight1"].sum())
    # Of a kept weight: itself, m, v, gradient; its input, unit and place in the other order (2 bytes each), and where it is in the matrix.
    assert 30 * kept <= sparse - (dense - 4 * 4 * 784 * 300) <= 30 * kept + 400_000
