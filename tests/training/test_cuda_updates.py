"""On a GPU: rounds as CUDA graphs against the same steps launched one by one, for every optimizer and schedule."""

from __future__ import annotations

import warnings

import pytest
import torch
from training.packs import problem, train

from impray.spec.nets import Mlp
from impray.spec.training import Adam, AdamW, Constant, Cosine, Sgd, Step
from impray.training import loop
from impray.training.blocks import STEPS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

FORMS = {
    "sgd": [Sgd(batch=6), Sgd(batch=6, weight_decay=0.1), Sgd(batch=6, momentum=0.9)],
    "nesterov": [
        Sgd(batch=6, momentum=0.9, nesterov=True),
        Sgd(batch=6, momentum=0.5, nesterov=True, weight_decay=0.1),
    ],
    "adam": [Adam(batch=6), Adam(batch=6, beta1=0.5, weight_decay=0.1)],
    "adamw": [AdamW(batch=6), AdamW(batch=6, weight_decay=0)],
}
STEPS_RUN = 4 * STEPS + 5  # warm-up, capture, replay, and some that no graph holds
LATE = 3 * STEPS + 6
SCHEDULES = [Constant(), Constant(warm_up=5), Cosine(final=0.1), Step(every=4, factor=0.5)]


def on_gpu(specs, schedule, batch_norm):
    net = Mlp(hidden=(7,), batch_norm=batch_norm)
    arch, params, masks, data = problem(net, nets=len(specs), steps=STEPS_RUN, density=0.5)
    data.block = STEPS_RUN
    params, masks = ({name: value.cuda() for name, value in given.items()} for given in (params, masks))
    data.x, data.y = data.x.cuda(), data.y.cuda()
    return (
        arch,
        [spec.model_copy(update={"steps": STEPS_RUN, "schedule": schedule}) for spec in specs],
        params,
        masks,
        data,
    )


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: f"{schedule.kind}{schedule.warm_up}")
@pytest.mark.parametrize("specs", FORMS.values(), ids=FORMS)
def test_the_graph_equals_steps_launched_one_by_one(monkeypatch, specs, schedule, batch_norm):
    arch, specs, params, masks, data = on_gpu(specs, schedule, batch_norm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a capture that fails warns
        graph = train(arch, specs, params, masks, data, STEPS_RUN, snapshots=[6, LATE])
    monkeypatch.setattr(loop, "runner", lambda steps, *_: steps)
    eager = train(arch, specs, params, masks, data.again(), STEPS_RUN, snapshots=[6, LATE])
    for a, b in (
        (graph.params, eager.params),
        (graph.stats, eager.stats),
        (graph.snapshots[LATE], eager.snapshots[LATE]),
    ):
        for name in a:
            torch.testing.assert_close(a[name], b[name])


@pytest.mark.parametrize("specs", FORMS.values(), ids=FORMS)
def test_a_gpu_and_a_processor_agree(specs):
    arch, specs, params, masks, data = on_gpu(specs, Cosine(warm_up=3), False)
    there = train(arch, specs, params, masks, data, STEPS_RUN)
    data = data.again()
    data.x, data.y = data.x.cpu(), data.y.cpu()
    params, masks = ({name: value.cpu() for name, value in given.items()} for given in (params, masks))
    here = train(arch, specs, params, masks, data, STEPS_RUN)
    for name, value in here.params.items():
        torch.testing.assert_close(there.params[name].cpu(), value, rtol=1e-7, atol=1e-9)
