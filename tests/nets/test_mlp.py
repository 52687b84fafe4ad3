"""Laws of the packed multilayer perceptrons: closed forms, initial statistics, no neighbours."""

from __future__ import annotations

import math

import pytest
import torch

from impray.nets import NETS, layout, linear, mlp, module
from impray.spec.nets import Init, LinearNet, Mlp, Module

torch.set_num_threads(1)

ACTIVATIONS = ["relu", "sigmoid", "erf", "tanh", "linear"]
KINDS = ["glorot_normal", "glorot_uniform", "fan_in_normal", "fan_in_uniform", "normal", "uniform"]


def drawn(net, inputs=5, outputs=3, seeds=(0, 1, 2, 3), dtype=torch.float64):
    arch = mlp.architecture(net, inputs, outputs)
    return arch, mlp.initial(net, arch, seeds, dtype, "cpu")


def moved(params, seed=0):
    """All parameters away from their special starting values."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value + 0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.dtype)
        for name, value in params.items()
    }


def test_every_kind_of_net_has_its_module():
    assert NETS == {Mlp: mlp.architecture, Module: module.architecture, LinearNet: linear.architecture}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_parameters_have_the_promised_names_and_shapes(batch_norm, bias):
    arch, params = drawn(Mlp(hidden=(7, 4), batch_norm=batch_norm, bias=bias), seeds=range(2), dtype=torch.float32)
    assert arch.depth == 3
    expected = {"weight1": (2, 7, 5), "weight2": (2, 4, 7), "weight3": (2, 3, 4)}
    if bias:
        expected |= {"bias1": (2, 7), "bias2": (2, 4), "bias3": (2, 3)}
    if batch_norm:
        expected |= {
            f"{name}{layer}": (2, size) for name in ("gamma", "beta") for layer, size in ((1, 5), (2, 7), (3, 4))
        }
    assert {name: tuple(value.shape) for name, value in params.items()} == expected
    assert all(value.dtype == torch.float32 for value in params.values())


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_have_the_mean_deviation_and_kurtosis_of_their_kind_within_4_standard_errors(kind):
    net = Mlp(hidden=(64,), batch_norm=True, init=Init(kind=kind, scale=(0.5, 2.0)))
    arch, params = drawn(net, inputs=96, outputs=32, seeds=range(8))
    for layer, (fan_in, fan_out, scale) in enumerate([(96, 64, 0.5), (64, 32, 2.0)], start=1):
        std = {"glorot": math.sqrt(2 / (fan_in + fan_out)), "fan": 1 / math.sqrt(fan_in)}.get(kind.split("_")[0], 1.0)
        w = params[f"weight{layer}"].flatten() / (std * scale)
        kurtosis, sixth, eighth = (1.8, 27 / 7, 9.0) if kind.endswith("uniform") else (3.0, 15.0, 105.0)
        assert abs(w.mean()) < 4 / math.sqrt(len(w))
        assert abs(w.square().mean() - 1) < 4 * math.sqrt((kurtosis - 1) / len(w))
        assert abs((w**4).mean() - kurtosis) < 4 * math.sqrt((eighth - kurtosis**2) / len(w))
        if kind.endswith("uniform"):
            assert w.abs().max() <= math.sqrt(3)
        assert params[f"bias{layer}"].eq(0).all() and params[f"beta{layer}"].eq(0).all()
        assert params[f"gamma{layer}"].eq(1).all()


def test_a_net_is_drawn_from_its_own_seed_only():
    _, pack = drawn(Mlp(hidden=(7,)), seeds=[5, 3, 9])
    _, alone = drawn(Mlp(hidden=(7,)), seeds=[3])
    assert all(torch.equal(pack[name][1:2], alone[name]) for name in pack)
    assert not torch.equal(pack["weight1"][0], pack["weight1"][1])


def test_scales_may_differ_between_nets_and_change_nothing_else():
    nets = [Mlp(hidden=(7,), init=Init(scale=scale)) for scale in (1.0, 0.5)]
    arch = mlp.architecture(nets[0], 5, 3)
    weight = mlp.initial(nets, arch, [3, 3], torch.float64, "cpu")["weight1"]
    assert torch.equal(weight[0] * 0.5, weight[1])
    with pytest.raises(ValueError, match="2 nets for 3 seeds"):
        mlp.initial(nets, arch, [1, 2, 3], torch.float64, "cpu")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", lambda x: max(x, 0.0)),
        ("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
        ("erf", math.erf),
        ("tanh", math.tanh),
        ("linear", lambda x: x),
    ],
)
def test_activations_against_the_standard_library(name, expected):
    x = torch.linspace(-30, 30, 121, dtype=torch.float64)
    truth = torch.tensor([expected(v) for v in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(mlp.activation(name, x), truth, rtol=1e-14, atol=1e-16)
    assert mlp.activation(name, x.float() * 10).isfinite().all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (7,), (6, 1)])
def test_preactivations_equal_plain_torch_layers(activation, hidden):
    net = Mlp(hidden=hidden, activation=activation)
    arch, params = drawn(net)
    params = moved(params)
    x = torch.randn(4, 9, 5, dtype=torch.float64)
    layers = mlp.preactivations(arch, params, x)
    assert [tuple(z.shape) for z in layers] == [(4, 9, size) for size in arch.sizes[1:]]
    for i in range(4):
        h = x[i]
        for layer, z in enumerate(layers, start=1):
            expected = torch.nn.functional.linear(h, params[f"weight{layer}"][i], params[f"bias{layer}"][i])
            torch.testing.assert_close(z[i], expected)
            h = mlp.activation(activation, expected)


def test_batch_norm_equals_torchs_on_batch_and_on_given_statistics():
    arch, params = drawn(Mlp(hidden=(7,), batch_norm=True))
    params = moved(params)
    x = 3 + 2 * torch.randn(4, 9, 5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    stats = {
        name: torch.rand(4, size, generator=generator, dtype=torch.float64) + 0.5
        for name, size in (("mean1", 5), ("var1", 5), ("mean2", 7), ("var2", 7))
    }
    for given in (None, stats):
        hidden, outputs = mlp.preactivations(arch, params, x, given)
        for i in range(4):
            for layer, (h, z) in enumerate(((x[i], hidden[i]), (torch.relu(hidden[i]), outputs[i])), start=1):
                mean, var = (given[f"mean{layer}"][i], given[f"var{layer}"][i]) if given else (None, None)
                normal = torch.nn.functional.batch_norm(
                    h,
                    mean,
                    var,
                    params[f"gamma{layer}"][i],
                    params[f"beta{layer}"][i],
                    training=given is None,
                    eps=1e-10,
                )
                expected = torch.nn.functional.linear(normal, params[f"weight{layer}"][i], params[f"bias{layer}"][i])
                torch.testing.assert_close(z, expected)


@pytest.mark.some(60)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (7,), (1,), (5, 1)])
@pytest.mark.parametrize(("inputs", "outputs", "samples"), [(5, 3, 5), (33, 1, 64), (33, 2, 1), (144, 10, 17)])
def test_a_pack_of_16_equals_16_packs_of_one(dtype, activation, hidden, inputs, outputs, samples):
    for batch_norm in (False, True):
        net = Mlp(hidden=hidden, activation=activation, batch_norm=batch_norm)
        arch, params = drawn(net, inputs, outputs, range(16), dtype)
        params = moved(params)
        x = torch.randn(16, samples, inputs, dtype=dtype, generator=torch.Generator().manual_seed(2))
        together = mlp.preactivations(arch, params, x)
        for i in range(16):
            own = {name: value[i : i + 1].clone() for name, value in params.items()}
            alone = mlp.preactivations(arch, own, x[i : i + 1].clone())
            assert all(torch.equal(a[0], b[i]) for a, b in zip(alone, together, strict=True))


def test_padding_changes_no_function_and_only_one_unit_layers():
    arch, params = drawn(Mlp(hidden=(1, 4), batch_norm=True), outputs=1)
    wide, wide_arch = mlp.padded(params, arch)
    assert wide_arch.sizes == (5, 2, 4, 2)
    assert wide["weight2"].shape == (4, 4, 2) and wide["weight2"][..., 1].eq(0).all()
    assert wide["gamma1"] is params["gamma1"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_net_begins_on_a_cache_line(dtype):
    x = torch.randn(5, 7, 33, dtype=dtype)
    y = layout.aligned(x)
    assert torch.equal(x, y) and all(net.data_ptr() % layout.LINE_BYTES == 0 and net.is_contiguous() for net in y)
    assert layout.aligned(y) is y
