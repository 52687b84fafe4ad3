"""Memory that is begun anew: all of it or none, whatever the two hold."""

from __future__ import annotations

import pytest
import torch
from training.packs import OPTIMIZERS, problem
from training.recorder import memory_of, on_torch_alone

from impray.spec.nets import Mlp
from impray.spec.training import Adam, Cosine
from impray.training.engine import Groups
from impray.training.memory import _tensors
from impray.training.mlp import MlpEngine
from impray.training.refill import refilled

STEPS = 6


def nets(masks=True, seed=0, hidden=7, steps=STEPS, **changes):
    arch, params, some, data = problem(Mlp(hidden=(hidden,), batch_norm=True), steps=STEPS, density=0.5)
    generator = torch.Generator().manual_seed(seed)
    params = {k: v + torch.randn(v.shape, generator=generator, dtype=v.dtype) for k, v in params.items()}
    rule = OPTIMIZERS[changes.pop("rule", "adam")]
    spec = rule.model_copy(update={"batch": 6, "steps": STEPS, "schedule": Cosine(warm_up=2), **changes})
    made = Groups(MlpEngine, arch, [spec] * 2, params, some if masks else None, 0, steps)
    return made, data


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    on_torch_alone(monkeypatch)
    with torch.no_grad():
        yield


def contents(holder):
    """All memory, by where it is."""
    return {t.untyped_storage().data_ptr(): memory_of(t).clone() for t in _tensors(holder, set()) if t.numel()}


def stepped(made, data):
    for step in range(STEPS):
        made.step(data.x[:, step], data.y[:, step])
    return made


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_all_memory_has_what_a_new_one_has_and_stays_where_it_was(rule):
    kept = stepped(*nets(rule=rule))
    before = contents(kept)
    made, data = nets(rule=rule, seed=1)
    assert refilled(kept, made)
    after = contents(kept)
    assert after.keys() == before.keys() and any(not torch.equal(before[at], after[at]) for at in before)
    stepped(kept, data), stepped(made, data)
    for one, other in ((kept.params(), made.params()), (kept.stats(), made.stats())):
        assert all(torch.equal(one[name], other[name]) for name in one)


OTHERS = {
    "no masks": {"masks": False},
    "another rule": {"rule": "sgd"},
    "another size": {"hidden": 8},
    "more updates": {"steps": STEPS + 1},
    "no schedule": {"schedule": Adam().schedule},
    "another loss": {"loss": "mse"},
    "other words in a spec that stays": {"rule": "decay", "lr": 0.5},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_another_form_changes_nothing(changes):
    kept = stepped(*nets(rule="decay") if "lr" in changes else nets())
    before = contents(kept)
    assert not refilled(kept, nets(**changes)[0])
    after = contents(kept)
    assert all(torch.equal(before[at], after[at]) for at in before)


class Holder:
    """Of another package: nobody knows what is in it."""

    def __init__(self):
        self.x = torch.zeros(2)


def views(shared, offset=0):
    whole = torch.arange(6.0)
    return [whole[offset : offset + 2], whole[3:5] if shared else torch.arange(6.0)[3:5]]


def test_only_what_is_surely_alike_is_refilled():
    same = Holder()
    alike = [
        ([torch.zeros(2), 1, "a", None], [torch.ones(2), 1, "a", None]),
        ({"a": torch.zeros(2), "of": same}, {"a": torch.ones(2), "of": same}),
        (views(True), views(True)),
        ([torch.zeros(2, 3).mT], [torch.ones(2, 3).mT]),
        ([torch.zeros(1).expand(4)], [torch.ones(1).expand(4)]),
    ]
    for kept, made in alike:
        assert refilled(kept, made)
        old, new = (list(_tensors(one, set())) for one in (kept, made))
        assert all(torch.equal(a, b) for a, b in zip(old, new, strict=True))
    unlike = [
        (Holder(), Holder()),
        ([torch.zeros(2)], [torch.zeros(3)]),
        ([torch.zeros(2)], (torch.zeros(2),)),
        ([torch.zeros(2)], [torch.zeros(2), 1]),
        ([torch.zeros(2), 1], [torch.zeros(2)]),
        ({"a": 1, "b": 1}, {"a": 1}),
        ([1], [True]),
        ([1], [2]),
        ([torch.zeros(2)], [torch.zeros(2, dtype=torch.float64)]),
        ([torch.zeros(2, 3).mT], [torch.zeros(3, 2)]),
        ([lambda: 1], [lambda: 1]),
        (views(True), views(False)),
        (views(False), views(True)),
        (views(True), views(True, 1)),
    ]
    for kept, made in unlike:
        assert not refilled(kept, made), (kept, made)
