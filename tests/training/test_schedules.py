"""Schedules of the learning rate: torch's schedulers, rounds that begin in the middle, factors of 1."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.optim import lr_scheduler
from training.packs import problem, same, train

from impray.spec.nets import Mlp
from impray.spec.training import Adam, AdamW, Constant, Cosine, Milestones, Sgd, Step
from impray.training.schedules import Pace

STEPS = 50

TORCHS = {
    "cosine": (Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
    "cosine to a tenth": (Cosine(final=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1)),
    "step": (Step(every=7, factor=0.5), lambda o: lr_scheduler.StepLR(o, 7, 0.5)),
    "milestones": (Milestones(at=(3, 20), factor=0.1), lambda o: lr_scheduler.MultiStepLR(o, [3, 20], 0.1)),
    # LinearLR begins at start_factor and is 1 from update total_iters on: 1/5 in update 0, 1 in update 4.
    "warm-up": (Constant(warm_up=5), lambda o: lr_scheduler.LinearLR(o, 1 / 5, 1.0, 4)),
    "step after a warm-up": (
        Step(every=7, factor=0.5, warm_up=5),
        lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.LinearLR(o, 1 / 5, 1.0, 4), lr_scheduler.StepLR(o, 7, 0.5)]
        ),
    ),
}


@pytest.mark.parametrize(("schedule", "make"), TORCHS.values(), ids=TORCHS)
def test_rates_are_those_of_torchs_schedulers(schedule, make):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = make(optimizer)
    for update in range(STEPS):
        assert schedule.rate(update, STEPS) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_a_cosine_under_warm_up_is_the_product_of_both():
    both, cosine, rise = Cosine(final=0.2, warm_up=10), Cosine(final=0.2), Constant(warm_up=10)
    for update in range(STEPS):
        assert both.rate(update, STEPS) == pytest.approx(
            cosine.rate(update, STEPS) * rise.rate(update, STEPS), rel=1e-15
        )
    assert rise.rate(0, STEPS) == 0.1 and rise.rate(9, STEPS) == rise.rate(10, STEPS) == 1


def test_a_pace_goes_through_the_rates_from_where_it_begins():
    spec = Sgd(steps=STEPS, schedule=Cosine(warm_up=4))
    pace, memory = Pace(spec, 3, 10, torch.device("cpu")), None
    for update in range(3, 13):
        pace.advance()
        assert pace.factor.item() == spec.schedule.rate(update, STEPS)
        memory = memory or pace.factor.data_ptr()
        assert pace.factor.data_ptr() == memory


SPECS = {
    "sgd": [Sgd(batch=6), Sgd(batch=6, weight_decay=0.1)],
    "momentum": [Sgd(batch=6, momentum=0.9, weight_decay=0.1), Sgd(batch=6, momentum=0.9, nesterov=True)],
    "adam": [Adam(batch=6), Adam(batch=6, weight_decay=0.1)],
    "adamw": [AdamW(batch=6), AdamW(batch=6, weight_decay=0)],
}


def scheduled(specs, schedule, steps=STEPS):
    return [spec.model_copy(update={"schedule": schedule, "steps": steps}) for spec in specs]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("specs", SPECS.values(), ids=SPECS)
def test_a_schedule_whose_factors_are_1_is_no_schedule_bit_for_bit(specs, dtype):
    arch, params, masks, data = problem(Mlp(hidden=(7,), batch_norm=True), steps=8, density=0.5, dtype=dtype)
    ones = Step(every=100)
    assert not ones.is_constant
    ends = [train(arch, scheduled(specs, s), params, masks, data.again(), 8) for s in (Constant(), ones)]
    assert same(ends[0].params, ends[1].params) and same(ends[0].stats, ends[1].stats)


@pytest.mark.parametrize("specs", SPECS.values(), ids=SPECS)
def test_a_round_that_begins_later_goes_on_in_the_schedule(specs):
    """A step at update 6: of a round from 4 on it is the third update; what comes before that is at the first rate."""
    arch, params, masks, data = problem(Mlp(hidden=(7,)), steps=8, density=0.5)
    early, late = Milestones(at=(2,), factor=0.5), Milestones(at=(6,), factor=0.5)
    a = train(arch, scheduled(specs, early), params, masks, data.again(), 8)
    b = train(arch, scheduled(specs, late), params, masks, data.again(), 8, begin=4)
    c = train(arch, scheduled(specs, late), params, masks, data.again(), 8)
    assert same(a.params, b.params) and not same(a.params, c.params)


def test_without_state_a_round_is_its_two_halves():
    """Plain SGD has nothing but the learning rate that could tell a round of 8 from 5 and then 3."""
    arch, params, masks, data = problem(Mlp(hidden=(7,)), steps=8, density=0.5)
    specs = scheduled(SPECS["sgd"], Cosine(final=0.1, warm_up=3), steps=8)
    whole = train(arch, specs, params, masks, data.again(), 8)
    first = train(arch, specs, params, masks, data, 5)
    assert same(train(arch, specs, first.params, masks, data, 3, begin=5).params, whole.params)


def test_of_all_schedules_the_words_differ():
    words = [schedule.words() for schedule, _ in TORCHS.values()]
    assert all(words) and len(set(words)) == len(words) and Constant().words() == ""
    for a, b in itertools.combinations([Sgd(), Adam(), AdamW(), Sgd(schedule=Cosine())], 2):
        assert a.words() != b.words()
