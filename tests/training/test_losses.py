"""The losses against torch's, and against one another."""

from __future__ import annotations

import pytest
import torch
from training.packs import loss_of

from impray.training.losses import Slope, mean, mean_of, of_net

CASES = [("cross_entropy", 3), ("cross_entropy", 10), ("mse", 3), ("mse", 1)]


def drawn(outputs, samples=4500):
    """Of more samples than are taken in float64 at once."""
    generator = torch.Generator().manual_seed(5)
    z = 3 * torch.randn(2, samples, outputs, generator=generator, dtype=torch.float64)
    return z, torch.randint(max(outputs, 2), (2, samples), generator=generator)


@pytest.mark.parametrize(("loss", "outputs"), CASES)
def test_both_forms_are_torchs_loss(loss, outputs):
    z, labels = drawn(outputs)
    expected = loss_of(loss, z, labels)
    torch.testing.assert_close(mean(loss, z, labels), expected, rtol=1e-13, atol=0)
    one_by_one = torch.stack([of_net(loss, *net) for net in zip(z, labels, strict=True)])
    torch.testing.assert_close(one_by_one, expected, rtol=1e-13, atol=0)
    assert of_net(loss, z[0].float(), labels[0]).dtype == torch.float64


@pytest.mark.parametrize(("loss", "outputs", "padding"), [*((*case, 0) for case in CASES), ("mse", 1, 1)])
def test_the_slope_is_autograds_of_the_mean_loss_times_the_factor(loss, outputs, padding):
    z, labels = drawn(outputs, samples=6)
    z.requires_grad_()
    (expected,) = torch.autograd.grad(mean(loss, z, labels).sum(), z)
    wide = torch.nn.functional.pad(z.detach().mT, (0, 0, 0, padding))
    factor = torch.tensor([-0.5, 2.0], dtype=torch.float64) * mean_of(loss, 6, outputs)
    slope = Slope(loss, outputs, wide, factor)(wide, labels)
    torch.testing.assert_close(slope[:, :outputs].mT, expected * torch.tensor([-0.5, 2.0])[:, None, None])
    assert slope[:, outputs:].eq(0).all()


@pytest.mark.parametrize(("loss", "outputs"), CASES)
def test_a_nets_mean_loss_does_not_show_its_neighbours(loss, outputs):
    z, labels = drawn(outputs, samples=301)
    assert all(
        torch.equal(mean(loss, z, labels)[net], mean(loss, z[net, None], labels[net, None])[0]) for net in (0, 1)
    )


@pytest.mark.parametrize("outputs", [1, 3])
def test_one_hot_numbers_as_real_targets_are_the_labels_to_the_last_bit(outputs):
    z, labels = drawn(outputs)
    real = labels[..., None].double() if outputs == 1 else torch.nn.functional.one_hot(labels, outputs).double()
    assert torch.equal(mean("mse", z, real), mean("mse", z, labels))
    assert torch.equal(of_net("mse", z[0], real[0]), of_net("mse", z[0], labels[0]))
    wide = torch.nn.functional.pad(z.mT, (0, 0, 0, 1))[..., :6].contiguous()
    factor = torch.tensor([0.3, 2.0], dtype=torch.float64)
    slopes = [Slope("mse", outputs, wide, factor)(wide, targets[:, :6])[:, :outputs] for targets in (real, labels)]
    assert torch.equal(*slopes)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_of_real_targets_the_loss_and_its_slope_are_the_squared_errors(outputs, padding):
    z, _ = drawn(outputs, samples=7)
    targets = z.flip(1).sin()
    z.requires_grad_()
    expected = (z - targets).square().mean(dim=(1, 2))
    torch.testing.assert_close(mean("mse", z, targets), expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(of_net("mse", z[1], targets[1]), expected[1], rtol=1e-13, atol=0)
    (gradient,) = torch.autograd.grad(expected.sum(), z)
    wide = torch.nn.functional.pad(z.detach().mT, (0, 0, 0, padding))
    ones = torch.full((2,), mean_of("mse", 7, outputs), dtype=torch.float64)
    slope = Slope("mse", outputs, wide, ones)(wide, targets)
    torch.testing.assert_close(slope[:, :outputs].mT, gradient)
    assert slope[:, outputs:].eq(0).all()
