"""Laws of what clustering is held against: chance and the most compact mask."""

import math

import pytest
import torch
from measures.test_every_measure import asked, state_of

from impray.measures import MEASURES
from impray.measures.chance import chance
from impray.measures.clustering import ceiling, clustering
from impray.measures.torus import centred
from impray.spec import measure as spec

torch.set_num_threads(1)


def random_masks(units: int, inputs: int, fan_in: int, seed: int) -> torch.Tensor:
    order = torch.rand(units, inputs, generator=torch.Generator().manual_seed(seed)).argsort(1)
    return torch.zeros(units, inputs, dtype=torch.bool).scatter_(1, order[:, :fan_in], True)


@pytest.mark.parametrize("fan_in", [4, 8, 24, 72])
def test_chance_of_centred_masks_is_that_of_other_random_masks(fan_in):
    found = clustering(centred(random_masks(8000, 144, fan_in, seed=7), (12, 12)), (12, 12))
    mean, error = found.mean().item(), found.std().item() / math.sqrt(len(found))
    simulated = chance(torch.tensor([fan_in]), (12, 12), centred=True).item()
    # Our own error is below 0.01 by the docstring; both are estimates.
    assert abs(simulated - mean) < 4 * math.hypot(error, 0.01)
    assert 1.02 < simulated < 1.2


def test_chance_is_one_where_masks_stay_and_of_all_inputs():
    fan_in = torch.tensor([[0, 1, 2], [9, 15, 16]])
    plain = chance(fan_in, (4, 4))
    assert plain[0].isnan().tolist() == [True, True, False] and (plain.flatten()[2:] == 1).all()
    assert chance(torch.tensor([16]), (4, 4), centred=True).item() == 1
    assert chance(torch.tensor([5]), (4, 4), 0.5, centred=True).item() == 1  # no pair is that close


def test_chance_does_not_depend_on_other_units():
    fan_in = torch.tensor([3, 8, 3, 5])
    whole = chance(fan_in, (5, 5), centred=True)
    assert torch.equal(whole[[0]], chance(fan_in[[2]], (5, 5), centred=True))


def test_no_mask_is_above_the_ceiling_and_blocks_reach_it():
    fan_in = torch.arange(2, 17)
    masks = torch.stack([random_masks(200, 16, k, seed=k) for k in fan_in.tolist()])
    assert (clustering(masks, (4, 4)) <= ceiling(fan_in, (4, 4))[:, None]).all()
    block = torch.zeros(16, 16, dtype=torch.bool)
    block[:3, 5:8] = True  # 9 inputs: each pair but those at 2, 1 and at 2, 2, which are 8 + 2 of 36
    assert torch.equal(clustering(block.flatten(), (16, 16)), ceiling(torch.tensor(9), (16, 16)))


def test_the_ceiling_is_one_for_all_inputs_and_nan_below_two():
    assert ceiling(torch.tensor([0, 1, 48]), (3, 4, 4)).nan_to_num(-1).tolist() == [-1, -1, 1]
    assert ceiling(torch.tensor([5]), (4, 4), 0.5).isnan().all()
    assert ceiling(torch.tensor([3, 4]), (4, 4), 9.0).tolist() == [1, 1]  # every pair counts


def test_the_share_is_zero_at_chance_one_at_the_ceiling_and_nan_where_both_are_one():
    measure = spec.Clustering.model_validate({"name": "clustering", "min_fan_in": 2})
    state = state_of(shape=(4, 4), units=(3, 2))
    state.masks["weight1"][0] = torch.tensor([[1] * 2 + [0] * 14, [1] * 16, [1] + [0] * 14 + [1]]).bool()
    columns = {name: values[0] for name, values in MEASURES[spec.Clustering](measure, state).units[1].items()}
    assert columns["clustering_chance"].tolist() == [1, 1, 1]
    share = columns["clustering_of_ceiling"]
    assert share[0] == 1 and share[1].isnan()
    assert share[2] == -1 / (columns["clustering_ceiling"][2] - 1)  # no near pair: below chance


def test_a_unit_that_does_not_count_has_none_of_the_columns():
    found = MEASURES[spec.Clustering](asked(spec.Clustering), state_of(density=0.3)).units[1]
    assert all(values.isnan().all() for values in found.values()) and len(found) == 4
