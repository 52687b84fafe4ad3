"""On a GPU: modules as CUDA graphs against the same steps launched one by one, and against the processor."""

from __future__ import annotations

import warnings

import pytest
import torch
from training.test_module_training import OPTIMIZERS, problem, trained

from impray.spec.training import Sgd
from impray.training import loop

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def on_gpu(name, **arguments):
    net, params, masks, data = problem(name, 3, **arguments)
    params, masks = ({key: value.cuda() for key, value in given.items()} for given in (params, masks))
    data.x, data.y = data.x.cuda(), data.y.cuda()
    return net, params, masks, data


@pytest.mark.parametrize("name", ["mlp", "cnn", "norms"])
@pytest.mark.parametrize("optimizer", ["mixed", "adamw"])
def test_the_graph_equals_steps_launched_one_by_one(monkeypatch, name, optimizer):
    net, params, masks, data = on_gpu(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a capture that fails warns
        graph = trained(net, OPTIMIZERS[optimizer], params, masks, data)
    monkeypatch.setattr(loop, "runner", lambda steps, *_: steps)
    eager = trained(net, OPTIMIZERS[optimizer], params, masks, data.of([0, 1, 2]))
    for a, b in ((graph.params, eager.params), (graph.stats, eager.stats)):
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["mlp", "cnn", "branching"])
def test_a_gpu_and_a_processor_agree(name):
    net, params, masks, data = on_gpu(name)
    there = trained(net, OPTIMIZERS["momentum"], params, masks, data)
    data = data.of([0, 1, 2])
    data.x, data.y = data.x.cpu(), data.y.cpu()
    params, masks = ({key: value.cpu() for key, value in given.items()} for given in (params, masks))
    here = trained(net, OPTIMIZERS["momentum"], params, masks, data)
    for key, value in here.params.items():
        torch.testing.assert_close(there.params[key].cpu(), value, rtol=1e-6, atol=1e-8)


def test_dropout_follows_its_own_stream_on_a_gpu_too():
    net, params, _, data = on_gpu("cnn", dropout=0.5)
    same = {key: value[:1].expand(3, *value.shape[1:]).clone() for key, value in params.items()}
    before = torch.cuda.get_rng_state()
    found = trained(net, [Sgd(lr=0.1, batch=6)] * 3, same, None, data.of([0, 0, 0]), noise=[5, 6, 5])
    assert torch.equal(torch.cuda.get_rng_state(), before)
    head = found.params["head.weight"]
    torch.testing.assert_close(head[0], head[2])
    assert not torch.allclose(head[0], head[1])
