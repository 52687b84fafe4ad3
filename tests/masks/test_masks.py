"""Laws of every rule: exact counts, nothing comes back, ties by position; scopes and counts."""

import pytest
import torch

from impray.masks import RULES, Past, Scope, density, full, scopes
from impray.masks.cavity import cavity, within_units
from impray.masks.magnitude import magnitude
from impray.masks.random import random
from impray.masks.ranked import ranked
from impray.nets.mlp import architecture, initial
from impray.spec import families
from impray.spec.counts import counts
from impray.spec.nets import Mlp
from impray.spec.prune import Prune
from impray.spec.trial import Trial


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def past_with(**known):
    """A lineage's past of which a rule may read these parts only."""

    def never(*_):
        raise AssertionError("nobody asks for this")

    parts = {name: never for name in ("masks", "start", "end", "leader", "sample")}
    arch = architecture(Mlp(hidden=(3,)), 3, 2)
    fixed = {"prune": Prune(), "network": arch, "everything": {}, "dense": {}, "fresh": True, "generator": generator()}
    return Past(**{**fixed, **parts, **known})


def weights(size, ties):
    values = torch.randn(size, generator=generator())
    return (values * 2).round() / 2 if ties else values


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("size", [1, 2, 37, 1000])
def test_magnitude_keeps_the_asked_number_and_revives_nothing(size, ties):
    w, mask = weights(size, ties), torch.ones(size, dtype=torch.bool)
    for keep in counts(size, 0.3, 12)[1:]:
        following = magnitude(w, mask, keep)
        assert following.sum() == keep
        assert not (following & ~mask).any()
        # Every kept weight is at least as large as every weight removed now.
        removed = mask & ~following
        if removed.any() and keep:
            assert w[following].abs().min() >= w[removed].abs().max()
        mask = following


def test_every_method_has_one_rule():
    assert set(RULES) == set(families.rules.tags)


@pytest.mark.parametrize("highest_first", [True, False])
@pytest.mark.parametrize("undefined", [0, 5, 37])
def test_the_cavity_rule_removes_one_end_and_the_undefined_last(highest_first, undefined):
    scores, mask = torch.randn(37, generator=generator(3)), torch.ones(37, dtype=torch.bool)
    scores[torch.randperm(37, generator=generator(4))[:undefined]] = torch.nan
    for keep in counts(37, 0.3, 9)[1:]:
        following = cavity(scores, mask, keep, highest_first)
        assert following.sum() == keep and not (following & ~mask).any()
        removed, kept = scores[mask & ~following], scores[following]
        if removed.isnan().any():  # only once nothing else is left
            assert kept.isnan().all()
        elif len(removed) and not kept.isnan().all():
            kept = kept[~kept.isnan()]
            assert removed.min() >= kept.max() if highest_first else removed.max() <= kept.min()
        mask = following


def test_the_mirror_image_removes_what_negated_scores_would():
    scores, mask = torch.randn(50, generator=generator(3)), torch.rand(50, generator=generator(5)) > 0.2
    assert torch.equal(cavity(scores, mask, 20), cavity(-scores, mask, 20, highest_first=False))


def test_equal_shares_of_each_unit():
    """Ranked together, places within units take the same share of every unit, from the asked end, and in exact counts."""
    scores, mask = torch.randn(6, 20, generator=generator(3)) * torch.arange(1, 7)[:, None] ** 4, torch.ones(6, 20) > 0
    scores[0, :5] = torch.nan
    mask[1, 10:] = False
    following = cavity(within_units(scores, mask).flatten(), mask.flatten(), 72, highest_first=True).view(6, 20)
    removed = mask & ~following
    defined = (mask & ~scores.isnan()).sum(1)
    assert removed.sum() == mask.sum() - 72 and not (following & ~mask).any()
    assert ((removed.sum(1) - defined * removed.sum() / defined.sum()).abs() <= 1).all()
    for unit in range(6):
        kept = scores[unit][following[unit]]
        assert scores[unit][removed[unit]].min() > kept[~kept.isnan()].max()


def test_infinite_values_do_not_bring_pruned_weights_back():
    value, mask = torch.tensor([torch.inf, -torch.inf, 1.0, -torch.inf]), torch.tensor([False, True, True, True])
    assert ranked(value, mask, 2).tolist() == [False, False, True, True]


def test_ties_go_by_position():
    mask = magnitude(torch.tensor([1.0, -1.0, 2.0, 1.0]), torch.ones(4, dtype=torch.bool), 2)
    assert mask.tolist() == [False, False, True, True]


def test_a_pruned_weight_stays_pruned_however_large():
    mask = magnitude(torch.tensor([9.0, 1.0, 2.0]), torch.tensor([False, True, True]), 1)
    assert mask.tolist() == [False, False, True]


@pytest.mark.parametrize("size", [1, 37, 1000])
def test_random_masks_nest_and_count(size):
    masks = [random(size, keep, generator(5)) for keep in counts(size, 0.2, 8)]
    assert [int(mask.sum()) for mask in masks] == counts(size, 0.2, 8)
    assert all(not (after & ~before).any() for before, after in zip(masks, masks[1:], strict=False))


def test_random_keeps_every_place_equally_often():
    draws, size, keep = 4000, 20, 5
    kept = sum(random(size, keep, generator(seed)).double() for seed in range(draws)) / draws
    p = keep / size
    assert ((kept - p).abs() < 4.5 * (p * (1 - p) / draws) ** 0.5).all()  # 20 places at 4.5 standard errors


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.3, 0.9])
def test_counts_follow_the_fraction(fraction):
    kept = counts(24576, fraction, 10)
    assert kept[0] == 24576
    for before, after in zip(kept, kept[1:], strict=False):
        assert abs(before - after - fraction * before) <= 0.5


def test_ten_rounds_at_30_percent_leave_what_the_paper_says():
    assert counts(3072 * 1024, 0.3, 10)[10] / (3072 * 1024) == pytest.approx(0.7**10, abs=1e-6)


def params():
    shapes = {"weight1": (4, 6), "bias1": (4,), "weight2": (3, 4), "bias2": (3,), "weight3": (2, 3), "bias3": (2,)}
    return {name: torch.randn(shape, generator=generator(len(name))) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("prune", "expected"),
    [
        (Prune(), [("weight1",), ("weight2",)]),
        (Prune(layers="all"), [("weight1",), ("weight2",), ("weight3",)]),
        (Prune(layers=(2,)), [("weight2",)]),
        (Prune(biases="ranked"), [("weight1", "bias1"), ("weight2", "bias2")]),
        (Prune(scope="global", biases="ranked"), [("weight1", "bias1", "weight2", "bias2")]),
    ],
)
def test_scopes(prune, expected):
    assert [scope.names for scope in scopes(prune, architecture(Mlp(hidden=(4, 3)), 6, 2).layers)] == expected


@pytest.mark.parametrize("biases", ["kept", "ranked"])
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("layers", ["hidden", "all", [2]])
def test_trials_know_the_sizes_of_scopes(layers, scope, biases):
    prune = {"layers": layers, "scope": scope, "biases": biases}
    trial = Trial.model_validate({"data": {"kind": "nlgp", "shape": [6]}, "net": {"hidden": [4, 3]}, "prune": prune})
    arch = architecture(trial.net, trial.data.inputs, trial.outputs)
    of_net = {name: value[0] for name, value in initial(trial.net, arch, [0], torch.float64, "cpu").items()}
    assert trial.scope_sizes == tuple(len(scope.flat(of_net)) for scope in scopes(trial.prune, arch.layers))


def test_the_cavity_rule_asks_for_no_scores_where_nothing_goes():
    """A scope whose count stays, or that is empty, may have none."""

    for kept in (0, 4):
        mask = {"weight1": torch.arange(9) < kept}
        for method in ("cavity", "cavity_lowest"):
            assert torch.equal(
                RULES[method](past_with(masks=lambda mask=mask: mask), Scope(("weight1",)), kept), mask["weight1"]
            )


def test_flat_and_unflat_are_inverse():
    scope, tensors = Scope(("weight1", "bias1", "weight2")), params()
    back = scope.unflat(scope.flat(tensors), tensors)
    assert all(torch.equal(back[name], tensors[name]) for name in scope.names)


def test_density_of_a_full_mask_is_one_and_counts_all_scopes():
    masks = full(scopes(Prune(), architecture(Mlp(hidden=(4, 3)), 6, 2).layers), params())
    assert density(masks) == 1
    masks["weight2"][:] = False
    assert density(masks) == 24 / 36
