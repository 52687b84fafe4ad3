"""Laws of the measure of the inputs, and of what is computed once."""

import numpy as np
import pytest
import scipy.stats
import torch

from impray.data.recent import Recent
from impray.measures import inputs as module
from impray.measures.inputs import Summary, fingerprint, in_turn, measure, summary, within
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture
from impray.spec import measure as spec

torch.set_num_threads(1)


def drawn(samples: int, inputs: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return (1 + torch.randn(samples, inputs, generator=torch.Generator().manual_seed(seed), dtype=dtype)) ** 3


def state_of(held_out: list[tuple[torch.Tensor, torch.Tensor]], shape: tuple[int, ...], round: int = 0) -> RoundState:
    nets, inputs = len(held_out), held_out[0][0].shape[1]
    start = {"weight1": torch.ones(nets, 2, inputs)}
    return RoundState(
        round,
        Architecture((inputs, 2), "relu", False, True, input_shape=shape),
        {},
        start,
        None,
        None,
        lambda net: held_out[net],
        "mse",
    )


def asked(**parameters) -> spec.Inputs:
    return spec.Inputs.model_validate({"name": "inputs", **parameters})


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    for kept in ("_SUMMARIES", "_WITHIN"):
        monkeypatch.setattr(module, kept, Recent())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_numbers_are_numpys_and_scipys(dtype):
    x = drawn(200, 75, dtype=dtype)  # three portions of inputs
    plain = x.double().numpy()
    found = summary(x)
    np.testing.assert_allclose(found.abs_mean, np.abs(plain).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, plain.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.kurtosis, scipy.stats.kurtosis(plain, axis=0, fisher=False), rtol=1e-10)


def test_a_lineages_numbers_are_means_over_inputs_and_constant_ones_have_no_kurtosis():
    x = drawn(50, 6, seed=1)
    x[:, 2] = 0.1
    found, each = measure(asked(), state_of([(x, torch.zeros(50, dtype=torch.int64))], (6,))), summary(x)
    assert each.kurtosis.isnan().tolist() == [False, False, True, False, False, False]
    expected = {"abs_mean": each.abs_mean.mean(), "variance": each.variance.mean(), "kurtosis": each.kurtosis.nanmean()}
    for name, value in expected.items():
        assert found.lineage[f"input_{name}"].tolist() == [float(value)]
    constant = measure(asked(), state_of([(torch.ones(9, 6), torch.zeros(9, dtype=torch.int64))], (6,)))
    assert constant.lineage["input_variance"].item() == 0 and constant.lineage["input_kurtosis"].isnan().all()


@pytest.mark.parametrize(
    "labels, count, expected",
    [
        ([0, 0, 0, 1, 1, 1], 4, [0, 3, 1, 4]),
        ([2, 0, 2, 0, 7], 9, [1, 0, 4, 3, 2]),  # unsorted, gaps, and classes that run out
        ([5, 5], 0, []),
    ],
)
def test_samples_come_class_by_class_in_turn(labels, count, expected):
    assert in_turn(torch.tensor(labels), count).tolist() == expected


def test_images_are_the_samples_and_the_means_in_round_0_only():
    x, labels = drawn(30, 24, seed=2), torch.arange(3).repeat_interleave(10)
    (kept,) = measure(asked(examples=4), state_of([(x, labels)], (2, 3, 4))).images
    assert [(row["name"], row["number"]) for row in kept] == [
        ("abs_mean", 0),
        ("variance", 0),
        *(("sample", number) for number in range(4)),
    ]
    each = summary(x)
    shown = [each.abs_mean, each.variance, x[0], x[10], x[20], x[1]]
    for row, values in zip(kept, shown, strict=True):
        assert row["shape"] == [2, 3, 4] and np.array_equal(np.frombuffer(row["values"], "<f4"), values.float())
    assert [row["value"] for row in kept] == [float(each.abs_mean.mean()), float(each.variance.mean()), 0, 1, 2, 0]
    assert measure(asked(), state_of([(x, labels)], (2, 3, 4), round=1)).images == []


def test_a_pack_equals_each_net_alone_bit_for_bit(monkeypatch):
    held_out = [(drawn(40, 70, seed=seed), torch.arange(40) % 2) for seed in (3, 4, 3)]
    pack = measure(asked(), state_of(held_out, (7, 10)))
    for net in range(3):
        for kept in ("_SUMMARIES", "_WITHIN"):
            monkeypatch.setattr(module, kept, Recent())
        alone = measure(asked(), state_of([held_out[net]], (7, 10)))
        assert alone.images[0] == pack.images[net]
        for column, values in alone.lineage.items():
            assert torch.equal(torch.as_tensor(values[0]), torch.as_tensor(pack.lineage[column][net]))


def test_rounds_and_nets_on_the_same_inputs_are_computed_once(monkeypatch):
    made = []
    monkeypatch.setattr(module, "summary", lambda x: made.append(1) or summary(x))
    monkeypatch.setattr(module, "within", lambda *of, fresh: made.append(2) or within(*of, fresh=fresh))
    held_out = [(drawn(20, 9, seed=seed), torch.arange(20) % 2) for seed in (5, 5, 6)]
    for round in range(3):
        measure(asked(), state_of(held_out, (3, 3), round))
    assert sorted(made) == [1, 1, 2, 2]
    other_labels = [(held_out[0][0], torch.arange(20) % 4)]
    measure(asked(), state_of(other_labels, (3, 3)))
    assert sorted(made) == [1, 1, 2, 2, 2]


def test_a_fingerprint_is_of_type_shape_and_every_bit(monkeypatch):
    x = drawn(50, 8, seed=7)
    same = fingerprint(x)
    assert fingerprint(torch.empty(8, 50, dtype=torch.float64).T.copy_(x)) == same  # strides do not count
    changed = x.clone()
    changed[49, 7] = -changed[49, 7]
    assert len({same, fingerprint(changed), fingerprint(x.reshape(25, 16)), fingerprint(x.float())}) == 4
    monkeypatch.setattr(module, "PORTION", 7)
    assert fingerprint(x) == same


def test_the_result_used_longest_ago_is_let_go_first():
    recent: Recent[Summary] = Recent(most_bytes=2 * 3 * 8 * 10)
    made = []

    def of(key):
        return recent.of(
            key, lambda: made.append(key) or Summary(*(torch.zeros(10, dtype=torch.float64) for _ in range(3)))
        )

    of("a"), of("b"), of("a"), of("c"), of("a"), of("b")
    assert made == ["a", "b", "c", "b"]
    small: Recent[Summary] = Recent(most_bytes=0)
    assert small.of(1, lambda: summary(torch.ones(4, 2))) is small.of(
        1, lambda: summary(torch.ones(4, 2))
    )  # the last one stays
