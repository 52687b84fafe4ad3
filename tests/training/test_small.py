"""Small networks, whose gradients are one kernel's: as torch's operations have them, and as if alone."""

from __future__ import annotations

import hashlib

import pytest
import torch
from conftest import heavier
from narrow_registers import digest_on_haswell
from training.packs import ACTIVATIONS, OPTIMIZERS, FixedData, StreamedData, problem, same, train, unlike_alone

from impray.kernels.compiled import lacking, wide_registers
from impray.spec.nets import Mlp
from impray.spec.training import Adam, Cosine, Sgd
from impray.training import held, small
from impray.training.engine import Groups
from impray.training.mlp import MlpEngine

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))

SHAPES = [  # hidden, inputs, outputs, batch: blocks of four and of lanes that fit and that do not
    ((), 5, 3, 16),
    ((), 40, 1, 100),
    ((1,), 40, 1, 1000),
    ((7,), 33, 3, 40),
    ((32,), 144, 2, 64),
    ((40,), 520, 3, 16),  # inputs in several tiles
    ((40,), 520, 3, 48),
    ((9, 7), 33, 1, 35),
    ((9, 7), 33, 1, 70),
    ((4, 5, 1), 16, 4, 2100),  # sums over samples of more than one portion
]


SOON = [shape for shape in SHAPES if shape[-1] >= 32]


def named(shape):
    hidden, inputs, outputs, batch = shape
    return f"{':'.join(map(str, (inputs, *hidden, outputs)))} {batch}"


def both(monkeypatch, net, shape, spec, density, steps=6, nets=3, real=False):
    """The same nets trained by the kernel, by torch's operations, and by these in float64."""
    _, inputs, outputs, batch = shape
    arch, params, masks, data = problem(net, inputs, outputs, nets, batch, steps, torch.float32, density)
    if real:
        data.y = torch.randn(nets, steps, batch, outputs, generator=torch.Generator().manual_seed(5))
    loss = "mse" if real or outputs == 1 else spec.loss
    spec = spec.model_copy(update={"batch": batch, "steps": steps, "loss": loss})
    own, masked = ({name: value[0] for name, value in given.items()} for given in (params, masks))
    assert small.form_of(arch, own, masked, batch) == (small.KEPT if density < 0.5 else small.WHOLE)
    kernel = train(arch, [spec] * nets, params, masks, data, steps, snapshots=(0, steps))
    monkeypatch.setattr(small, "form_of", lambda *given: None)
    plain = train(arch, [spec] * nets, params, masks, data.again(), steps)
    wide = {name: value.double() for name, value in params.items()}
    y = data.y.double() if real else data.y
    exact = train(arch, [spec] * nets, wide, masks, FixedData(data.x.double(), y), steps)
    return params, masks, kernel, plain, exact


def as_near(kernel, plain, exact):
    """Not further from float64 than torch's float32, but for chance: 4 times its largest error, or 2 roundings of numbers near 1."""
    for name, value in exact.params.items():
        error = (plain.params[name] - value).abs().max()
        assert (kernel.params[name] - value).abs().max() <= 4 * error + 2 * 2.0**-23, name


# Each activation has kernels of its own, for batches from 16, 32 and 64 samples on and for kept weights. They take seconds to compile:
# `make test` has those of relu from 32 on.
CROSSED = [
    pytest.param(
        shape,
        name,
        density,
        marks=() if name == "relu" and shape in SOON else pytest.mark.slow,
        id=f"{named(shape)}-{name}-{density}",
    )
    for shape in SHAPES
    for name in ACTIVATIONS
    for density in (0.2, 0.9)
]


@pytest.mark.parametrize(("shape", "activation", "density"), CROSSED)
def test_every_shape_and_activation(shape, activation, density, monkeypatch):
    _, masks, kernel, plain, exact = both(
        monkeypatch, Mlp(hidden=shape[0], activation=activation), shape, OPTIMIZERS["sgd"], density
    )
    as_near(kernel, plain, exact)
    for name, mask in masks.items():
        assert not kernel.params[name][~mask].any()


@pytest.mark.parametrize("density", [0.2, 0.9])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_update_rule(optimizer, density, monkeypatch):
    spec = OPTIMIZERS[optimizer].model_copy(update={"schedule": Cosine(final=0.1)})
    _, _, kernel, plain, exact = both(monkeypatch, Mlp(hidden=(9, 7)), SHAPES[3], spec, density)
    as_near(kernel, plain, exact)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
def test_squares_of_labels_and_of_real_targets(outputs, real, monkeypatch):
    spec = OPTIMIZERS["momentum"].model_copy(update={"loss": "mse"})
    as_near(*both(monkeypatch, Mlp(hidden=(7,)), ((7,), 33, outputs, 40), spec, 0.9, real=real)[2:])


@pytest.mark.parametrize("readout", ["mean", "signed"])
@pytest.mark.parametrize("density", [0.2, 0.9])
@pytest.mark.parametrize("hidden", [(1,), (6,)])
def test_fixed_readouts_stay(hidden, density, readout, monkeypatch):
    net = Mlp(hidden=hidden, bias=False, outputs=1, readout=readout)
    params, masks, kernel, plain, exact = both(monkeypatch, net, (hidden, 40, 1, 100), OPTIMIZERS["adam"], density)
    as_near(kernel, plain, exact)
    assert torch.equal(kernel.params["weight2"], params["weight2"] * masks["weight2"])


@pytest.mark.parametrize("shape", heavier(SHAPES[5:7], SOON), ids=named)
def test_parameters_at_the_start_are_those_given(shape, monkeypatch):
    for density in (0.2, 0.9):
        params, masks, kernel, _, _ = both(monkeypatch, Mlp(hidden=(9, 7)), shape, OPTIMIZERS["sgd"], density)
        monkeypatch.undo()
        assert same(kernel.snapshots[0], {name: value * masks.get(name, 1) for name, value in params.items()})


def sixteen(shape):
    """Nets of all densities and both forms beside one another."""
    hidden, inputs, outputs, batch = shape
    arch, params, masks, data = problem(Mlp(hidden=hidden), inputs, outputs, 16, batch, 3, torch.float32, 1.0)
    draw = torch.Generator().manual_seed(3)
    densities = torch.tensor([1.0, 0.9, 1.0, 0.5, 0.1, 1.0, 0.7, 0.0] * 2).view(-1, 1, 1)
    for name in (name for name in params if name.startswith("weight")):
        masks[name] = torch.rand(params[name].shape, generator=draw) < densities
    return arch, params, masks, data


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("streams", [torch.tensor([0, 1, 2, 0] * 4), None], ids=["shared", "own"])
@pytest.mark.parametrize("shape", heavier(SHAPES[:-1], SOON), ids=named)
def test_nets_that_share_streams_equal_nets_alone(shape, streams):
    arch, params, masks, data = sixteen(shape)
    x = data.x if streams is None else data.x[:3]
    shared = StreamedData(x, data.y, streams)
    spec = Sgd(lr=0.05, batch=shape[-1], steps=3, loss="mse" if shape[2] == 1 else "cross_entropy")
    assert Groups(small.Perceptrons(), arch, [spec] * 16, params, masks, 0, 3).share(streams)
    assert unlike_alone(arch, [spec] * 16, params, masks, shared, 3) == []


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("momentum", [0.0, 0.9], ids=["moved in the kernel", "moved by the optimizer"])
@pytest.mark.parametrize("units", [(), (1,), (2,), (3, 2), (5,), (33,)], ids=str)
@pytest.mark.parametrize("gang", [1, 7, 66, 10**6])
def test_how_many_nets_are_one_product_does_not_show(gang, units, momentum, monkeypatch):
    """Rows of a product are of several nets then, and nets of a stream do not fill whole gangs."""
    arch, params, masks, data = problem(Mlp(hidden=units), 40, 2, 16, 64, 3, torch.float32, 0.9)
    shared = StreamedData(data.x[:3], data.y, torch.tensor([0, 1, 1, 0, 2, 0, 0, 0] * 2))
    specs = [Sgd(lr=lr, momentum=momentum, batch=64, steps=3) for lr in (0.05, 0.02) * 8]
    monkeypatch.setattr(small, "GANG_UNITS", gang)
    assert unlike_alone(arch, specs, params, masks, shared, 3) == []


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("optimizer", ["decay", "adamw"])
@pytest.mark.parametrize("shape", heavier(SHAPES[:-1], SOON), ids=named)
def test_a_pack_of_16_equals_16_packs_of_one(shape, optimizer, shared):
    _, _, outputs, batch = shape
    arch, params, masks, data = sixteen(shape)
    if shared:
        data = FixedData(data.x[:1].expand_as(data.x), data.y[:1].expand_as(data.y))
    loss = "mse" if outputs == 1 else "cross_entropy"
    more = {"batch": batch, "steps": 3, "loss": loss}
    specs = [OPTIMIZERS[optimizer].model_copy(update={**more, "lr": lr}) for lr in (0.05, 0.02) * 8]
    assert unlike_alone(arch, specs, params, masks, data, 3) == []


def test_how_inputs_lie_in_memory_does_not_show():
    arch, params, masks, data = problem(Mlp(hidden=(7,)), 33, 3, 3, 40, 3, torch.float32, 0.9)
    spec = Sgd(batch=40, steps=3)
    rows = train(arch, [spec] * 3, params, masks, data, 3)
    columns = FixedData(data.x.mT.contiguous().mT, data.y)
    assert same(rows.params, train(arch, [spec] * 3, params, masks, columns, 3).params)


@pytest.mark.parametrize("density", [0.2, 0.9])
def test_batches_may_come_in_one_memory_that_is_filled_anew(density):
    """Also when it is put aside for a while, is let go, or is laid otherwise than kernels read it."""
    arch, params, masks, data = problem(Mlp(hidden=(7,)), 33, 3, 3, 40, 8, torch.float32, density)
    specs, x = [Sgd(batch=40, steps=8)] * 3, data.x.unbind(1)
    found = []
    for places in ("n" * 8, "aaaaaaaa", "aaabbabb", "aacacaca", "ccccaaca"):
        pack = Groups(small.Perceptrons(), arch, specs, params, masks, 0, 8)
        assert pack.share(None)
        rooms = {place: torch.empty_like(x[0]) for place in "ac"} | {"b": torch.empty_like(x[0].mT.contiguous()).mT}
        for step, place in enumerate(places[:8]):
            batch = rooms[place].copy_(x[step]) if place in rooms else x[step].clone()
            pack.step(batch, data.y[:, step])
            if place == "b":
                del batch
                rooms["b"] = rooms["b"].clone()
        found.append(pack.params())
    assert all(same(found[0], other) for other in found[1:])


@pytest.mark.parametrize("activation", heavier(ACTIVATIONS, ("relu",)))
def test_a_net_that_diverges_shows_it_and_does_not_touch_its_neighbours(activation):
    net = Mlp(hidden=(7,), activation=activation)
    arch, params, masks, data = problem(net, 33, 3, 3, 40, 3, torch.float32, 0.9)
    healthy = train(arch, [Sgd(batch=40)] * 3, params, masks, data, 3)
    params["weight1"][1] = torch.nan
    ill = train(arch, [Sgd(batch=40)] * 3, params, masks, data.again(), 3)
    assert ill.params["weight2"][1].isnan().any() and ill.params["weight1"][1].isnan().any()
    for name, value in healthy.params.items():
        assert torch.equal(value[[0, 2]], ill.params[name][[0, 2]])


DIGESTED = [
    (shape, *how)
    for shape in SHAPES
    for how in (("relu", 0.3), ("relu", 0.9), ("tanh", 0.9), ("erf", 0.3), ("sigmoid", 0.9))
]
OF_RELU = [kind for kind in DIGESTED if kind[1] == "relu" and kind[0] in SOON]


def digest(kinds=DIGESTED):
    """Of what nets of many kinds are after some steps."""
    found = hashlib.sha256()
    for (hidden, inputs, outputs, batch), activation, density in kinds:
        net = Mlp(hidden=hidden, activation=activation)
        arch, params, masks, data = problem(net, inputs, outputs, 5, batch, 3, torch.float32, density)
        shared = FixedData(data.x[:1].expand_as(data.x), data.y)
        spec = Sgd(batch=batch, lr=0.05, loss="mse" if outputs == 1 else "cross_entropy")
        for some in (data, shared):
            for value in train(arch, [spec] * 5, params, masks, some, 3).params.values():
                found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()


@pytest.mark.slow  # compiles all of it twice
def test_registers_of_any_width_give_the_same_bits():
    assert digest_on_haswell("training.test_small") == digest()


@pytest.mark.slow  # compiles all of it twice
def test_smaller_blocks_give_the_same_bits(monkeypatch):
    """As are taken where registers are narrow."""
    whole = digest()
    monkeypatch.setattr(small, "wide_registers", lambda: not wide_registers())
    assert digest() == whole


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    "kinds", [pytest.param(OF_RELU, id="few"), pytest.param(DIGESTED, marks=pytest.mark.slow, id="all")]
)
def test_parameters_that_the_kernel_moves_have_the_bits_of_those_that_are_moved_after_it(kinds, monkeypatch):
    whole = digest(kinds)
    monkeypatch.setattr("impray.training.updates.sgd._Plain.plain", False)
    assert digest(kinds) == whole


def test_which_nets_are_small_follows_from_their_own_shape_mask_and_batch():
    arch, params, masks, _ = problem(Mlp(hidden=(32,)), 144, 2, 1, 64, 1, torch.float32, 0.3)
    own, masked = ({name: value[0] for name, value in given.items()} for given in (params, masks))
    of = small.Perceptrons.form_of
    assert of(arch, own, masked, Sgd(batch=64)) == small.KEPT
    assert of(arch, own, {}, Sgd(batch=64)) == small.WHOLE
    assert of(arch, own, masked, Sgd(batch=8)) == (False, False)
    double = {name: value.double() for name, value in own.items()}
    assert of(arch, double, masked, Sgd(batch=64)) == (False, False)
    for net, inputs in (
        (Mlp(hidden=(32,), batch_norm=True), 144),
        (Mlp(hidden=(256,)), 257),
        (Mlp(hidden=(128, 129)), 12),
    ):
        arch, params, _, _ = problem(net, inputs, 2, 1, 64, 1, torch.float32)
        own = {name: value[0] for name, value in params.items()}
        assert of(arch, own, {}, Sgd(batch=64)) == MlpEngine.form_of(arch, own, {}, Sgd(batch=64))


def test_what_is_held_is_counted():
    arch, params, masks, _ = problem(Mlp(hidden=(32,)), 144, 2, 1, 64, 1, torch.float32, 0.3)
    kept = int(masks["weight1"].sum())
    least = held(arch, Adam(batch=64, steps=1), params, masks, 0, 1)
    # Of a kept weight: itself, m, v, gradient, step and mask (as of weight2), its place (8 bytes), where its samples begin (4, twice);
    # samples of inputs (two ways), activations, derivatives and turned activations. Little else: begins of units, numbers of layers.
    count = 4 * (6 * (kept + 64 + 34) + 64 * (2 * 144 + 2 * 34 + 32)) + 16 * kept
    assert count <= least <= count + 5_000
