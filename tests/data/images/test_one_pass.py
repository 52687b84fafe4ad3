"""Batches in one pass over the rows of files, against torch's passes and against nets alone."""

import numpy as np
import pytest
import torch
from data.images.image_files import CPU, WRITERS, arrays, cifar10, open_

from impray.data.images import one_pass
from impray.kernels import images as kernel
from impray.nets.mlp import architecture, initial
from impray.spec.nets import Mlp
from impray.spec.training import Sgd
from impray.training import TRAINERS, Task

pytestmark = pytest.mark.skipif(kernel.lacking() is not None, reason=str(kernel.lacking()))


def bits(pack, raw, step):
    x, labels = pack.batch(raw, step)
    return x.contiguous().view(torch.int32), labels


@pytest.mark.some(20)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("writer", [*WRITERS, "floats"], ids=lambda writer: getattr(writer, "__name__", writer))
@pytest.mark.parametrize("center", ["image", "class", "none"])
@pytest.mark.parametrize("scale", ["pixel", "deviation", "none"])
def test_a_batch_has_the_bits_of_torchs_passes(writer, center, scale, tmp_path, monkeypatch):
    if writer == "floats":
        asked, kind, _ = arrays(tmp_path / "files", np.float64, (3, 5, 7))
    else:
        asked, kind, _ = writer(tmp_path / "files")
    specs = [kind(**asked, center=center, scale=scale, gaussian_blend=b) for b in (0, 0.3, 1)]
    fast = open_(specs, [0, 0, 1], batch=33)
    monkeypatch.setattr("impray.data.images.batches.in_one_pass", lambda *_: False)
    slow = open_(specs, [0, 0, 1], batch=33)
    assert slow._one_pass is None and (fast._one_pass is not None) == (fast.inputs >= kernel.LANES)
    raw = fast.draw(3)
    for step in range(3):
        for found, right in zip(bits(fast, raw, step), bits(slow, raw, step), strict=True):
            assert torch.equal(found, right)


def test_only_what_the_kernel_takes_is_made_in_one_pass():
    assert one_pass.in_one_pass(kernel.LANES, torch.float32, CPU)
    assert not one_pass.in_one_pass(kernel.LANES - 1, torch.float32, CPU)
    assert not one_pass.in_one_pass(3072, torch.float64, CPU)
    assert not one_pass.in_one_pass(3072, torch.float32, torch.device("cuda"))


@pytest.mark.parametrize("kept", [1.0, 0.2], ids=["dense", "sparse"])
def test_nets_that_share_a_batch_are_trained_as_if_alone(kept, tmp_path):
    """Three nets of one seed and one spec: their batch is there once."""
    asked, kind, _ = cifar10(tmp_path)
    spec, net = kind(**asked, gaussian_blend=0.5), Mlp(hidden=(16,))
    arch = architecture(net, spec.inputs, spec.classes)
    params = initial(net, arch, [3, 4, 5], torch.float32, CPU)
    random = torch.Generator().manual_seed(0)
    masks = {layer.weight: torch.rand(params[layer.weight].shape, generator=random) < kept for layer in arch.layers}

    def trained(nets):
        pack = open_([spec] * len(nets), [0] * len(nets), batch=40)
        own, of_nets = ({name: value[nets] for name, value in some.items()} for some in (params, masks))
        sgd = Sgd(lr=0.1, batch=40, momentum=0.9)
        return TRAINERS[Sgd](Task(arch, [sgd] * len(nets), own, of_nets, pack, 5)).params

    together = trained([0, 1, 2])
    for net in range(3):
        for name, value in trained([net]).items():
            assert torch.equal(together[name][net], value[0])
