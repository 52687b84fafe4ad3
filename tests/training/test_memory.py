"""Bytes that training holds: the closed form, and nothing of neighbours."""

import pytest
import torch

from impray.kernels.compiled import lacking
from impray.nets.mlp import architecture
from impray.spec.nets import Mlp
from impray.spec.training import Adam, GradientFlow, Sgd
from impray.training import held
from impray.training.memory import bytes_of

D, M, BATCH = 7, 5, 11
NET = Mlp(hidden=(M,), bias=False, outputs=1, readout="sum")
PLAIN = {"loss": "mse", "batch": BATCH, "steps": 20}


def count(spec, dtype=torch.float64, net=NET, units=M, masked=True):
    """What is held to train one net."""
    network = architecture(net, D, 1)
    start = network.initial([net], [0], dtype, torch.device("cpu"))
    masks = {"weight1": torch.ones(1, units, D, dtype=torch.bool)} if masked else None
    return held(network, spec, start, masks, 0, spec.length)


# Weights (a single output is padded to two) and, each as large: their mask; Adam's m, v and gradient. Of a batch: z of both
# layers, the slope by the hidden units, targets and slope of both outputs, the labels; two numbers say which output is which.
WEIGHTS = D * M + 2 * M
BUFFERS = BATCH * (M + 2 + M + 2 + 2 + 1) + 2


@pytest.mark.parametrize(
    ("spec", "of_weights"),
    [
        (Adam(**PLAIN), 6 if lacking() else 5),  # the kernel that moves them in one pass needs no scratch
        (Sgd(**PLAIN), 2),
        (Sgd(**PLAIN, momentum=0.9), 3),
        (Sgd(**PLAIN, momentum=0.9, nesterov=True), 5),
    ],
)
def test_it_is_the_closed_form_and_a_few_numbers_a_net(spec, of_weights):
    numbers = count(spec) / 8
    assert 0 <= numbers - (of_weights * WEIGHTS + BUFFERS) <= 16  # rates and powers of one net


def test_single_precision_holds_half_and_a_schedule_its_rates():
    plain, double = count(Adam(**PLAIN), torch.float32), count(Adam(**PLAIN))
    assert double / 2 <= plain <= double / 2 + 8 * 16
    falling = Adam(**{**PLAIN, "steps": 300}, schedule={"kind": "cosine"})
    assert 8 * 300 <= count(falling) - count(Adam(**PLAIN)) <= 8 * 300 + 64


def test_a_training_without_updates_does_not_say():
    assert count(GradientFlow()) is None


def test_views_of_one_memory_count_once():
    whole = torch.zeros(4, 6)

    class Holder:
        def __init__(self):
            self.parts, self.self, self.kind = [whole[:2], {"of": whole}, whole.mT], self, Holder

    assert bytes_of(Holder(), whole, {"again": (whole,)}) == 24 * 4
    assert bytes_of(Holder(), torch.zeros(3, dtype=torch.bool)) == 24 * 4 + 3
