"""A net is trained as if alone: packs of 16 against 16 packs of one, bit for bit, and neighbours that diverge."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from conftest import heavier
from training.packs import ACTIVATIONS, problem, train, unlike_alone

from impray.spec.nets import Init, Mlp
from impray.spec.training import Adam, AdamW, Constant, Cosine, Sgd, Step

SIZES = [  # hidden, inputs, outputs, batch; most nets of 7 x 33 begin off a cache line
    ((), 5, 3, 5),
    ((7,), 33, 3, 5),
    ((1,), 33, 2, 32),
    ((9, 7), 33, 1, 32),
    ((7, 1), 13, 3, 1),
    ((7,), 144, 10, 35),
]
MOMENTA = [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.5, "nesterov": True}]
BETAS = [
    {"beta1": b1, "beta2": b2, "eps": e}
    for b1, b2, e in ((0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3), (0, 0.99, 1e-8), (0.8, 0, 1e-6))
]
OPTIMIZERS = {
    "sgd": [Sgd(lr=lr, weight_decay=d, **m) for m in MOMENTA for d in (0.0, 0.01) for lr in (0.05, 0.1)],
    "adam": [Adam(lr=lr, weight_decay=d, **b) for b in BETAS for d in (0.0, 0.01) for lr in (0.01, 0.003)],
    "adamw": [AdamW(lr=lr, weight_decay=d, **b) for b in BETAS for d in (0.0, 0.01) for lr in (0.01, 0.003)],
}
SCHEDULES = [Constant(), Cosine(final=0.1, warm_up=2), Step(every=2, factor=0.3)]
FACTORS = [OPTIMIZERS, SCHEDULES, ["cross_entropy", "mse"], [False, True], [torch.float32, torch.float64]]


def cases():
    """Every size with every activation, the other factors drawn: all pairs of levels occur, not the 2,160 combinations."""
    draw = random.Random(1008)  # the first seed that meets every pair
    return [
        (size, activation, *(draw.choice(list(levels)) for levels in FACTORS))
        for size in SIZES
        for activation in ACTIVATIONS
    ]


CASES = cases()


def test_the_cases_meet_every_pair():
    levels = [SIZES, ACTIVATIONS, *map(list, FACTORS)]
    for (i, some), (j, others) in itertools.combinations(enumerate(levels), 2):
        for pair in itertools.product(some, others):
            assert any((case[i], case[j]) == pair for case in CASES), pair


def named(case):
    (hidden, inputs, outputs, batch), activation, optimizer, schedule, loss, batch_norm, dtype = case
    sizes = ":".join(map(str, (inputs, *hidden, outputs)))
    return f"{sizes} {activation} {optimizer} {schedule.kind} {loss}{' bn' * batch_norm} {str(dtype)[6:]} {batch}"


def elsewhere(size):
    """The same in a batch whose kernels are others, of 16 and of 64 samples on: they take seconds to compile."""
    hidden, inputs, outputs, batch = size
    return hidden, inputs, outputs, {32: 64, 35: 17}[batch]


OTHER_BATCHES = [(elsewhere(size), *rest) for size, *rest in CASES if size[-1] in (32, 35)]


# A kernel for each activation takes as long.
SOON = [case for case in CASES if case[0][-1] < 16 or case[1] == "relu" or case[-1] == torch.float64]


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("case", heavier(CASES + OTHER_BATCHES, SOON), ids=named)
def test_a_pack_of_16_equals_16_packs_of_one(case):
    (hidden, inputs, outputs, batch), activation, optimizer, schedule, loss, batch_norm, dtype = case
    loss = "mse" if outputs == 1 else loss
    net = Mlp(hidden=hidden, activation=activation, batch_norm=batch_norm, init=Init(scale=1.5))
    arch, params, masks, data = problem(net, inputs, outputs, 16, batch, dtype=dtype, density=0.5)
    common = {"batch": batch, "loss": loss, "schedule": schedule, "steps": 4}
    specs = [spec.model_copy(update=common) for spec in OPTIMIZERS[optimizer]]
    assert len(specs) == 16 and unlike_alone(arch, specs, params, masks, data, 4) == []


@pytest.mark.parametrize("spec", [Sgd(batch=6, momentum=0.9), Adam(batch=6)], ids=lambda spec: spec.optimizer)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_net_that_diverges_does_not_touch_its_neighbours(batch_norm, spec):
    arch, params, masks, data = problem(Mlp(hidden=(7,), batch_norm=batch_norm), nets=3, density=0.5)
    healthy = train(arch, [spec] * 3, params, masks, data, 4)
    params["weight1"][1] = torch.nan
    ill = train(arch, [spec] * 3, params, masks, data.again(), 4)
    assert ill.params["weight2"][1].isnan().any()
    for one in ("params", "stats"):
        a, b = ({k: v[[0, 2]] for k, v in getattr(end, one).items()} for end in (healthy, ill))
        assert all(torch.equal(a[name], b[name]) for name in a)
