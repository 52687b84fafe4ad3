"""Laws of a round of SGD: hand-made steps, autograd, torch.optim, masks, neighbours, snapshots, blocks."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from torch.nn import functional

from impray.nets import mlp
from impray.spec.errors import ShapeError
from impray.spec.nets import Init, Mlp
from impray.spec.training import Sgd
from impray.training import blocks, sgd

torch.set_num_threads(1)

ACTIVATIONS = ["relu", "sigmoid", "erf", "tanh", "linear"]


class FixedData:
    """Given batches x [net, step, sample, input], y [net, step, sample]; a block is `block` steps."""

    def __init__(self, x, y, block=3):
        self.x, self.y, self.block, self.next = x, y, block, 0
        self.nets, self.inputs, self.classes = len(x), x.shape[-1], 2

    def start(self, round):
        self.next = 0

    def held_out(self, net):
        return self.x[net, 0], self.y[net, 0]

    def draw(self, steps):
        assert 1 <= steps <= self.block
        start, self.next = self.next, self.next + steps
        return {"x": self.x[:, start : self.next], "y": self.y[:, start : self.next]}

    def batch(self, raw, step):
        return raw["x"][:, step], raw["y"][:, step]

    def of(self, nets):
        return FixedData(self.x[nets].clone(), self.y[nets].clone(), self.block)


def problem(net, inputs=5, outputs=3, nets=2, batch=6, steps=4, dtype=torch.float64, density=1.0):
    """A pack away from special values, its data and masks."""
    generator = torch.Generator().manual_seed(7)
    arch = mlp.architecture(net, inputs, outputs)
    params = mlp.initial(net, arch, range(nets), dtype, "cpu")
    params = {
        k: v + 0.1 * torch.randn(v.shape, generator=generator, dtype=torch.float64).to(dtype) for k, v in params.items()
    }
    x = torch.randn(nets, steps, batch, inputs, generator=generator, dtype=torch.float64).to(dtype)
    y = torch.randint(0, max(outputs, 2), (nets, steps, batch), generator=generator)
    maskable = {k: v for k, v in params.items() if k.startswith(("weight", "bias1"))}
    masks = {k: torch.rand(v.shape, generator=generator) < density for k, v in maskable.items()}
    return arch, params, masks, FixedData(x, y)


def loss_of(kind, outputs, labels):
    """The loss of each net, written with torch's own functions."""
    if kind == "cross_entropy":
        return torch.stack([functional.cross_entropy(z, y) for z, y in zip(outputs, labels, strict=True)])
    one_hot = labels.unsqueeze(-1) if outputs.shape[-1] == 1 else functional.one_hot(labels, outputs.shape[-1])
    return torch.stack([functional.mse_loss(z, y.to(z.dtype)) for z, y in zip(outputs, one_hot, strict=True)])


def same(a, b):
    """Bit for bit, NaN like NaN."""
    return a.keys() == b.keys() and all(torch.allclose(a[k], b[k], rtol=0, atol=0, equal_nan=True) for k in a)


def test_one_linear_layer_with_mse_makes_the_step_done_by_hand():
    arch = mlp.Architecture((2, 1), "linear", batch_norm=False, bias=True)
    params = {
        "weight1": torch.tensor([[[1.0, 2.0]]], dtype=torch.float64),
        "bias1": torch.tensor([[0.5]], dtype=torch.float64),
    }
    data = FixedData(torch.tensor([[[[1.0, 0.0], [3.0, -1.0]]]], dtype=torch.float64), torch.tensor([[[0, 1]]]))
    end, _ = sgd.train(arch, [Sgd(batch=2, lr=0.1, loss="mse")], params, None, data, 1)
    # outputs 1.5, 1.5; errors 1.5, 0.5; dL/dw = 2/2 (1.5 (1, 0) + 0.5 (3, -1)) = (3, -0.5), dL/db = 2
    torch.testing.assert_close(end.params["weight1"], torch.tensor([[[0.7, 2.05]]], dtype=torch.float64))
    torch.testing.assert_close(end.params["bias1"], torch.tensor([[0.3]], dtype=torch.float64))
    assert end.stats == {}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (7, 4), (1,)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "outputs"), [("cross_entropy", 3), ("mse", 3), ("mse", 1)])
def test_one_step_is_minus_lr_times_the_gradient_of_autograd(loss, outputs, activation, hidden, bias, batch_norm):
    net = Mlp(hidden=hidden, activation=activation, bias=bias, batch_norm=batch_norm)
    arch, params, _, data = problem(net, outputs=outputs, steps=1)
    lrs = [0.1, 0.3]
    end, _ = sgd.train(arch, [Sgd(batch=6, lr=lr, loss=loss) for lr in lrs], params, None, data, 1)
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    outputs_ = mlp.preactivations(arch, leaves, data.x[:, 0])[-1]
    gradients = torch.autograd.grad(loss_of(loss, outputs_, data.y[:, 0]).sum(), list(leaves.values()))
    for (name, before), gradient in zip(params.items(), gradients, strict=True):
        step = torch.stack([lr * g for lr, g in zip(lrs, gradient, strict=True)])
        # 1e-10 where a hidden unit is dead in all samples: batch norm then divides by sqrt(eps) = 1e-5
        torch.testing.assert_close(before - end.params[name], step, rtol=1e-9, atol=1e-10 if batch_norm else 1e-14)


@pytest.mark.parametrize("hidden", [(1,), (4,), (6, 3)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_fixed_mean_stays_and_the_rest_follows_its_gradient(activation, hidden):
    """The soft committee machine: autograd on y = mean_k f(z_k), with the second layer held."""
    net = Mlp(hidden=hidden, activation=activation, outputs=1, readout="mean")
    arch, _, _, data = problem(net, outputs=1, steps=1)
    params = mlp.initial(net, arch, [0, 1], torch.float64, "cpu")
    last = f"weight{arch.depth}"
    assert (params[last] == 1 / hidden[-1]).all()
    end, _ = sgd.train(arch, [Sgd(batch=6, lr=0.1, loss="mse")] * 2, params, None, data, 1)
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    h = data.x[:, 0]
    for layer in range(1, arch.depth):
        h = mlp.activation(activation, h @ leaves[f"weight{layer}"].mT + leaves[f"bias{layer}"][:, None])
    loss_of("mse", h.mean(2, keepdim=True), data.y[:, 0]).sum().backward()
    for name, before in params.items():
        fixed = int(name[-1]) == arch.depth
        gradient = torch.zeros_like(before) if fixed else leaves[name].grad
        torch.testing.assert_close(before - end.params[name], 0.1 * gradient, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("density", [1.0, 0.5])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_round_equals_torchs_sgd_with_pruned_weights_set_to_zero_again(loss, batch_norm, density):
    """Every kind of net in one pack: plain, momentum, weight decay, both."""
    net = Mlp(hidden=(7, 4), activation="tanh", batch_norm=batch_norm)
    arch, params, masks, data = problem(net, nets=4, steps=10, density=density)
    specs = [
        Sgd(batch=6, lr=0.05 * (i + 1), loss=loss, momentum=0.9 * (i % 2), weight_decay=0.1 * (i // 2))
        for i in range(4)
    ]
    end, _ = sgd.train(arch, specs, params, masks if density < 1 else None, data, 10)
    for i, spec in enumerate(specs):
        leaves = {name: value[i : i + 1].clone().requires_grad_() for name, value in params.items()}
        decayed = [v for k, v in leaves.items() if k.startswith("weight")]
        others = [v for k, v in leaves.items() if not k.startswith("weight")]
        groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others}]
        optimizer = torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum)
        for step in range(-1, 10):
            if step >= 0:
                optimizer.zero_grad()
                loss_of(
                    loss,
                    mlp.preactivations(arch, leaves, data.x[i : i + 1, step])[-1],
                    data.y[i : i + 1, step],
                ).sum().backward()
                optimizer.step()
            for name, mask in masks.items():
                leaves[name].data[~mask[i : i + 1]] = 0
        for name, value in leaves.items():
            torch.testing.assert_close(end.params[name][i : i + 1], value.detach(), rtol=1e-9, atol=1e-11)
            if name in masks:
                assert end.params[name][i][~masks[name][i]].eq(0).all()


def test_masks_may_be_bool_or_numbers_and_arguments_are_not_modified():
    arch, params, masks, data = problem(Mlp(hidden=(7,)), density=0.5)
    before = {name: value.clone() for name, value in params.items()}
    specs = [Sgd(batch=6, momentum=0.9, weight_decay=0.1), Sgd(batch=6)]
    a, _ = sgd.train(arch, specs, params, masks, data, 4)
    b, _ = sgd.train(arch, specs, params, {k: m.double() for k, m in masks.items()}, data.of(slice(None)), 4)
    assert same(a.params, b.params) and same(params, before)
    full = {"weight2": torch.ones_like(masks["weight2"])}
    c, _ = sgd.train(arch, specs, params, full, data.of(slice(None)), 4)
    d, _ = sgd.train(arch, specs, params, None, data.of(slice(None)), 4)
    assert same(c.params, d.params)


def test_evaluation_statistics_begin_with_the_first_batch_and_follow_by_a_hundredth():
    arch, params, _, data = problem(Mlp(hidden=(7,), batch_norm=True), steps=5)
    end, saved = sgd.train(arch, [Sgd(batch=6)] * 2, params, None, data, 5, snapshots=range(5))
    stats = {}
    for step in range(5):
        x = data.x[:, step]
        h = torch.relu(mlp.preactivations(arch, saved[step], x)[0])
        for layer, inputs in ((1, x), (2, h)):
            new = {f"mean{layer}": inputs.mean(1), f"var{layer}": inputs.var(1, correction=0)}
            stats |= {k: 0.99 * stats[k] + 0.01 * v if step else v for k, v in new.items()}
    assert end.stats.keys() == stats.keys()
    for name, value in stats.items():
        torch.testing.assert_close(end.stats[name], value)


@pytest.mark.parametrize("block", [1, 3, 4, 100])
def test_snapshots_are_prefixes_of_the_round_and_change_nothing(block):
    arch, params, masks, data = problem(Mlp(hidden=(7,)), steps=10, density=0.5)
    specs = [Sgd(batch=6, momentum=0.9), Sgd(batch=6)]
    data.block = block
    end, saved = sgd.train(arch, specs, params, masks, data, 10, snapshots=[10, 0, 4, 7])
    assert sorted(saved) == [0, 4, 7, 10]
    for steps, snapshot in saved.items():
        alone, _ = sgd.train(arch, specs, params, masks, data.of(slice(None)), steps)
        assert same(alone.params, snapshot)
    assert same(end.params, saved[10])
    with pytest.raises(ValueError, match="from 0 to steps = 3"):
        sgd.train(arch, specs, params, None, data, 3, snapshots=[4])


SIZES = [
    ((), 5, 3, 5),
    ((7,), 5, 3, 5),
    ((1,), 33, 2, 64),
    ((9, 7), 33, 1, 64),
    ((7, 1), 13, 3, 1),
    ((7,), 144, 10, 17),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_pack_of_16_equals_16_packs_of_one(batch_norm, loss, activation, dtype):
    for hidden, inputs, outputs, batch in SIZES:
        if outputs == 1 and loss == "cross_entropy":
            continue
        net = Mlp(hidden=hidden, activation=activation, batch_norm=batch_norm, init=Init(scale=1.5))
        arch, params, masks, data = problem(net, inputs, outputs, 16, batch, dtype=dtype, density=0.5)
        kinds = itertools.product([0.0, 0.9], [0.0, 0.01], [0.05, 0.1], [1, 2])
        specs = [Sgd(batch=batch, loss=loss, lr=lr, momentum=m, weight_decay=d) for m, d, lr, _ in kinds]
        together, _ = sgd.train(arch, specs, params, masks, data, 4)
        for i in range(16):
            own = slice(i, i + 1)
            own_params, own_masks = ({k: v[own].clone() for k, v in given.items()} for given in (params, masks))
            alone, _ = sgd.train(arch, specs[own], own_params, own_masks, data.of(own), 4)
            assert same(alone.params, {name: value[own] for name, value in together.params.items()}), (
                hidden,
                i,
            )
            assert same(alone.stats, {name: value[own] for name, value in together.stats.items()}), (
                hidden,
                i,
            )


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_net_that_diverges_does_not_touch_its_neighbours(batch_norm):
    arch, params, masks, data = problem(Mlp(hidden=(7,), batch_norm=batch_norm), nets=3, density=0.5)
    healthy, _ = sgd.train(arch, [Sgd(batch=6)] * 3, params, masks, data, 4)
    params["weight1"][1] = torch.nan
    ill, _ = sgd.train(arch, [Sgd(batch=6)] * 3, params, masks, data.of(slice(None)), 4)
    assert ill.params["weight2"][1].isnan().any()
    for one in ("params", "stats"):
        a, b = ({k: v[[0, 2]] for k, v in getattr(end, one).items()} for end in (healthy, ill))
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_does_not_fit_is_refused_with_both_shapes():
    arch, params, _, data = problem(Mlp(hidden=(7,)))
    with pytest.raises(ShapeError, match=r"\(2, 6, 5\).*\(2, 8, 5\)"):
        sgd.train(arch, [Sgd(batch=8)] * 2, params, None, data, 1)
    with pytest.raises(ShapeError, match="3 training specs for 2 nets"):
        sgd.train(arch, [Sgd(batch=6)] * 3, params, None, data, 1)
    with pytest.raises(ShapeError, match="share batch and loss"):
        sgd.train(arch, [Sgd(batch=6), Sgd(batch=6, loss="mse")], params, None, data, 1)


class Recorder:
    """Stands for the CUDA calls: counts, and replays what it was given."""

    def __init__(self, able=True):
        self.warmed = self.captured = self.replayed = 0
        self.able = able

    def warm_up(self, do):
        self.warmed += 1
        do()

    def capture(self, do):
        self.captured += 1
        if not self.able:
            raise RuntimeError("operation not permitted when stream is capturing")

        def replay():
            self.replayed += 1
            do()

        return replay


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_blocks_run_from_static_buffers_equal_steps_run_one_by_one(monkeypatch, able, batch_norm):
    arch, params, masks, data = problem(Mlp(hidden=(7,), batch_norm=batch_norm), steps=17, density=0.5)
    specs = [Sgd(batch=6, momentum=0.9), Sgd(batch=6)]
    plain, plain_saved = sgd.train(arch, specs, params, masks, data, 17, snapshots=[6, 10])
    recorder = Recorder(able)
    graphed = lambda steps, block, device: blocks.Graphed(steps, block, recorder.warm_up, recorder.capture)  # noqa: E731
    monkeypatch.setattr(sgd, "runner", graphed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        end, saved = sgd.train(arch, specs, params, masks, data.of(slice(None)), 17, snapshots=[6, 10])
    assert same(end.params, plain.params) and same(end.stats, plain.stats)
    assert all(same(saved[step], plain_saved[step]) for step in (6, 10))
    # Blocks of 3: the first warms up; that with a snapshot inside (9 to 12) and the last 2 are not replayed.
    assert (recorder.warmed, recorder.captured, recorder.replayed) == (1, 1, 3 if able else 0)
    assert [w.category for w in caught] == ([] if able else [RuntimeWarning])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("batch_norm", [False, True])
def test_on_a_gpu_the_graph_equals_steps_launched_one_by_one(monkeypatch, batch_norm):
    arch, params, masks, data = problem(Mlp(hidden=(7,), batch_norm=batch_norm), steps=17, density=0.5)
    params, masks = ({name: value.cuda() for name, value in given.items()} for given in (params, masks))
    data.x, data.y = data.x.cuda(), data.y.cuda()
    specs = [Sgd(batch=6, momentum=0.9), Sgd(batch=6)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a capture that fails warns
        graph, saved = sgd.train(arch, specs, params, masks, data, 17, snapshots=[6, 10])
    monkeypatch.setattr(sgd, "runner", lambda steps, block, device: steps)
    eager, eager_saved = sgd.train(arch, specs, params, masks, data.of(slice(None)), 17, snapshots=[6, 10])
    for a, b in ((graph.params, eager.params), (graph.stats, eager.stats), (saved[10], eager_saved[10])):
        for name in a:
            torch.testing.assert_close(a[name], b[name])
