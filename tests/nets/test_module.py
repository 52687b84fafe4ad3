import sys

import pytest
import torch
from nets import factories
from torch import nn

from impray.nets.factory import examined, sizes
from impray.nets.module import Recipe, architecture
from impray.spec.errors import SweepError
from impray.spec.nets import Module

GREY, RING, COLOUR = (6, 6), (36,), (3, 6, 6)


def recipe(name, shape=GREY, outputs=2, arguments="{}"):
    return Recipe(f"nets.factories:{name}", arguments, shape, outputs)


def spec(name, shape=GREY, outputs=2, **fields):
    factory = f"nets.factories:{name}"
    return Module(factory=factory, sizes=sizes(factory, fields.get("arguments", {}), shape, outputs), **fields)


def network(name, shape=GREY, outputs=2, **fields):
    return architecture(spec(name, shape, outputs, **fields), shape, outputs)


# --- layers ---


def test_layers_are_numbered_as_registered_with_kernels_as_images():
    conv, head = network("cnn").layers
    assert (conv.number, conv.weight, conv.bias, conv.shape) == (1, "conv.weight", "conv.bias", (3, 1, 3, 3))
    assert conv.input_shape == (3, 3) and not conv.dense
    assert (head.number, head.shape, head.input_shape, head.dense) == (2, (2, 3), (3,), True)
    assert network("cnn", COLOUR).layers[0].input_shape == (3, 3, 3)


def test_a_dense_first_layer_reads_the_inputs_as_they_lie():
    assert network("mlp").layers[0].input_shape == GREY
    assert network("mlp", RING).layers[0].input_shape == RING


def test_a_linear_that_is_moved_over_its_inputs_is_not_dense():
    rows, head = network("tokens").layers
    assert not rows.dense and rows.input_shape == (6,) and head.dense


def test_a_kernel_is_a_matrix_of_units_and_inputs():
    (conv, _), weight = network("cnn", COLOUR).layers, torch.arange(2 * 3 * 27.0).view(2, 3, 3, 3, 3)
    assert torch.equal(conv.matrix(weight), weight.flatten(2)) and conv.inputs == 27


@pytest.mark.parametrize(
    "name, words",
    {
        "raises": "no such thing",
        "no_module": "torch.nn.Module, not int",
        "no_layer": "without a layer",
        "wrong_outputs": "outputs (4, 2)",
        "lazy": "lazy",
        "tied": "ties 1.weight and 2.weight",
        "parametrized": "computes the weight of 1",
        "unused": "does not use aside.weight",
        "backwards": "registers its layers from head to body",
        "assigning": "assigns to the buffer mean",
        "noisy": "draw in training only",
        "own_generator": "draw from torch's generator",
        "cnnn": "did you mean 'cnn'?",
    }.items(),
)
def test_what_cannot_be_trained_layer_by_layer_is_told(name, words):
    with pytest.raises(SweepError) as error:
        examined(recipe(name))
    assert [problem.path for problem in error.value.problems] == ["net.factory"]
    assert words in str(error.value)


def test_wrong_arguments_and_a_missing_package_are_told():
    with pytest.raises(SweepError, match="net.arguments"):
        examined(recipe("mlp", arguments='{"hiden": 3}'))
    with pytest.raises(SweepError, match="PYTHONPATH"):
        examined(Recipe("no_such_package.nets:cnn", "{}", GREY, 2))


def test_a_factory_may_stand_in_a_plugin_of_the_sweep(monkeypatch):
    monkeypatch.setitem(sys.modules, "impray_plugins.my_nets_for_test", factories)
    found = examined(Recipe("my_nets_for_test:mlp", "{}", GREY, 2)).layers
    assert [layer.shape for layer in found] == [(7, 36), (2, 7)]


def test_a_factory_that_changed_since_the_sweep_was_loaded_is_told():
    with pytest.raises(SweepError, match="net.sizes"):
        architecture(spec("mlp"), COLOUR, 2)


# --- initial weights ---


def test_initial_weights_follow_from_the_seed_alone_and_leave_the_generator_alone():
    net, one = network("cnn"), spec("cnn")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    alone = net.initial([one], [3], torch.float64, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    among = net.initial([one] * 3, [1, 3, 2], torch.float64, "cpu")
    assert alone.keys() == {"conv.weight", "conv.bias", "norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert all(torch.equal(value[0], among[name][1]) for name, value in alone.items())
    assert not torch.equal(among["conv.weight"][0], among["conv.weight"][1])


def test_an_init_of_the_sweep_draws_weights_with_its_standard_deviation():
    chosen = {"kind": "fan_in_normal", "scale": 2.0}
    fields = {"arguments": {"channels": 200}, "init": chosen}
    params = network("cnn", COLOUR, **fields).initial([spec("cnn", COLOUR, **fields)], [0], torch.float64, "cpu")
    weight = params["conv.weight"]
    expected = 2 / 27**0.5  # of 5,400 draws: relative standard error 1 / sqrt(2 n), here 1 %
    assert abs(weight.std().item() / expected - 1) < 4 / (2 * weight.numel()) ** 0.5
    assert not params["conv.bias"].any() and not params["head.bias"].any()


# --- evaluation ---


def test_preactivations_are_what_the_layers_give_and_the_last_the_outputs():
    net, one = network("norms"), spec("norms")
    params = net.initial([one] * 2, [0, 1], torch.float32, "cpu")
    x = torch.randn(2, 9, 36, generator=torch.Generator().manual_seed(0))
    stats = {name: value + (1 if value.is_floating_point() else 0) for name, value in net.begun(x, 2).items()}
    hidden, outputs = net.preactivations(params, x, stats)
    for at in range(2):
        module = factories.norms((1, 6, 6), 2).eval()
        own = {name: value[at] for name, value in {**params, **stats}.items()}
        module.load_state_dict(own)
        expected = module[:3](x[at].view(9, 1, 6, 6))
        assert torch.equal(hidden[at], expected) and torch.equal(outputs[at], module[3:](expected))
    assert len(net.preactivations(params, x, stats, last=1)) == 1


def test_a_layer_that_is_not_dense_has_an_empty_tensor_in_its_place():
    net = network("cnn")
    params = net.initial([spec("cnn")], [0], torch.float32, "cpu")
    conv, head = net.preactivations(params, torch.randn(1, 5, 36), None)
    assert conv.shape == (1, 5, 0) and head.shape == (1, 5, 2)


def test_without_statistics_norms_take_those_of_the_inputs_and_join_the_samples():
    net = network("norms")
    params = net.initial([spec("norms")], [0], torch.float64, "cpu")
    x = torch.randn(1, 8, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = net.preactivations(params, x, None)[0]
    # The same inputs, scaled and shifted: batch statistics take that out, but for eps beside a variance near 1.
    assert torch.allclose(z, net.preactivations(params, 3 * x + 1, None)[0], atol=1e-4)
    assert net.joins_samples(None) and not net.joins_samples(net.begun(x, 1))
    assert not network("mlp").joins_samples(None)
    assert network("joined").joins_samples(None) and network("joined").joins_samples({"some": x})


def test_affine_statistics_make_a_norm_its_gain_and_offset_alone():
    net = network("norms")
    params = net.initial([spec("norms")], [0], torch.float64, "cpu")
    params["1.weight"] += 0.5
    params["1.bias"] -= 0.25
    x = torch.randn(1, 8, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = net.preactivations(params, x, net.affine(params))[0]
    assert torch.allclose(z, (1.5 * x - 0.25) @ params["2.weight"].mT + params["2.bias"][:, None], atol=1e-12)
    assert network("mlp").affine({"1.weight": x, "3.weight": x}) is None


@pytest.mark.parametrize("name", ["mlp", "norms", "cnn"])
def test_addends_times_weights_are_preactivations_without_offset(name):
    net = network(name)
    params = net.initial([spec(name)], [0], torch.float64, "cpu")
    x = torch.randn(1, 8, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    stats = net.affine(params)
    for layer, z in zip(net.layers, net.preactivations(params, x, stats), strict=True):
        if layer.dense:
            weight, h = net.addends(params, x[0], stats, None, layer)
            assert torch.allclose(h @ weight.T + params[layer.bias], z[0], atol=1e-12)


# --- packs ---


def test_what_cannot_be_packed_is_told_and_what_is_exact_is_known():
    for name, fields in {"branching": {}, "cnn": {"arguments": {"dropout": 0.5}}}.items():
        with pytest.warns(RuntimeWarning, match="one after the other"):
            net = network(name, **fields)
        assert not net.packed and net.exact
    assert not network("cnn").exact and network("cnn").packed
    assert network("mlp").exact and network("deep").exact
    assert not network("deep", arguments={"activation": "Sigmoid"}).exact


@pytest.mark.parametrize("nets", [1, 2, 7, 16])
@pytest.mark.parametrize("activation", ["ReLU", "Tanh", "LeakyReLU", "Hardtanh", "tokens"])
def test_a_net_has_the_same_numbers_in_every_pack_where_that_is_promised(nets, activation):
    one = spec("tokens") if activation == "tokens" else spec("deep", arguments={"activation": activation})
    net = architecture(one, GREY, 2)
    assert net.exact
    x = torch.randn(nets, 5, 36, generator=torch.Generator().manual_seed(0))
    slope = torch.randn(nets, 5, 2, generator=torch.Generator().manual_seed(1))

    def passed(some):
        params = net.initial([one] * len(some), [100 + at for at in some], torch.float32, "cpu")
        leaves = [params[name].requires_grad_() for name in net.trained]
        outputs = net.outputs(params, {}, x[some])
        return [outputs.detach(), *torch.autograd.grad(outputs, leaves, slope[some])]

    together = passed(list(range(nets)))
    for at in {0, nets // 2, nets - 1}:
        assert all(torch.equal(alone[0], whole[at]) for alone, whole in zip(passed([at]), together, strict=True))


def test_a_pack_gives_what_each_module_gives_with_its_own_statistics():
    one, x = spec("cnn"), torch.randn(3, 5, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    net = network("cnn")
    params = net.initial([one] * 3, range(3), torch.float64, "cpu")
    state = net.begun(x, 3)
    outputs = net.outputs(params, state, x)
    for at in range(3):
        module = factories.cnn((1, 6, 6), 2).double().train()
        module.load_state_dict({name: value[at] for name, value in {**params, **net.begun(x, 3)}.items()})
        assert torch.allclose(module(x[at].view(5, 1, 6, 6)), outputs[at], atol=1e-12)
        assert torch.allclose(module.norm.running_var, state["norm.running_var"][at], atol=1e-12)
        assert isinstance(module.norm, nn.BatchNorm2d) and module.norm.num_batches_tracked == 1
    assert state["norm.num_batches_tracked"].tolist() == [1, 1, 1]
