"""Cavity scores: closed forms on whole grids, a slow loop that removes one weight at a time, invariances, NaN, packs."""

import inspect
import itertools

import pytest
import torch

from impray.measures import cavity
from impray.measures.cavity import cavity_scores
from impray.measures.kurtosis import kurtosis
from impray.spec.errors import ShapeError

UNITS, INPUTS, SAMPLES = 12, 40, 300


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=gen(seed), dtype=torch.float64)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=gen(seed), dtype=torch.float64)


def slow(weight, inputs):
    """Eq. 5 and 6 word for word, in float64: the preactivation without the weight, and its kurtosis."""
    weight, inputs = weight.double(), inputs.double()
    scores = torch.full_like(weight, torch.nan)
    for i, j in weight.nonzero():
        without = weight[i].clone()
        without[j] = 0
        if without.any():
            preactivations = torch.stack([inputs @ weight[i], inputs @ without])
            centred = preactivations - preactivations.mean(1, keepdim=True)
            with_it, without_it = centred.pow(4).mean(1) / centred.square().mean(1).square()
            scores[i, j] = (without_it - with_it) / with_it * (1 if with_it > 3 else -1)
    return scores


def laplace(samples, inputs):
    return normal(samples, inputs, seed=1) * (-2 * uniform(samples, inputs, seed=2).log()).sqrt()


def common_scale(samples, inputs):
    """Dark and bright images, as photographs are: kurtosis far above 3."""
    return normal(samples, inputs, seed=1) * -uniform(samples, 1, seed=2).log()


def with_odd_pixels(values):
    """Some constant, some bright (mean 100 deviations), some not zero in one to three samples only."""
    values = values.clone()
    values[:, 0], values[:, 1] = 0, 0.1
    values[:, 2:14] += 100
    values[:, 14:24] = 0
    for j in range(14, 24):
        values[j : j + 1 + j % 3, j] = uniform(1, seed=j)
    return values


REGIMES = {
    "gaussian": normal(SAMPLES, INPUTS, seed=1),
    "laplace": laplace(SAMPLES, INPUTS),
    "sparse": laplace(SAMPLES, INPUTS) * (uniform(SAMPLES, INPUTS, seed=3) < 0.05),
    "common scale": common_scale(SAMPLES, INPUTS),
    "binary": (uniform(SAMPLES, INPUTS, seed=1) < 0.5).double(),
    "rare binary": (uniform(SAMPLES, INPUTS, seed=1) < 0.02).double(),
    "correlated": normal(SAMPLES, INPUTS, seed=1).cumsum(1),
    "bright": 1000 + 10 * laplace(SAMPLES, INPUTS),
    "odd gaussian": with_odd_pixels(normal(SAMPLES, INPUTS, seed=1)),
    "odd laplace": with_odd_pixels(laplace(SAMPLES, INPUTS)),
    "odd common scale": with_odd_pixels(common_scale(SAMPLES, INPUTS)),
    "one class of 3000": with_odd_pixels(laplace(3000, INPUTS)),
}


def rms_error_of_spread(scores, truth):
    kept = truth.isfinite()
    return ((scores.double() - truth)[kept].square().mean().sqrt() / truth[kept].std()).item()


# 1e-4 of the spread is what is asked of float32; float64 has 2^29 times finer steps, and the slow loop's own rounding.
@pytest.mark.some(32)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@pytest.mark.parametrize("fan_in", [INPUTS, 8, 4, 3])
@pytest.mark.parametrize("regime", REGIMES)
def test_scores_are_those_of_a_loop_over_weights(regime, fan_in, dtype, bound):
    inputs = REGIMES[regime].to(dtype)
    order = uniform(UNITS, INPUTS, seed=4).argsort(1)  # with few inputs left, each is most of its unit's variance
    weight = (normal(UNITS, INPUTS, seed=5) * (order < fan_in)).to(dtype)
    varies = inputs.amax(0) > inputs.amin(0)
    weight = weight[(weight * varies).count_nonzero(1) > 1]  # the loop's kurtosis of a constant would be rounding
    truth, scores = slow(weight, inputs), cavity_scores(weight, inputs)
    assert rms_error_of_spread(scores, truth) < bound
    assert (scores[weight == 0] == 0).all()


def test_a_weight_that_hides_another_is_removed_without_loss():
    inputs = laplace(SAMPLES, 3).float()
    weight = torch.tensor([[1.0, 1e-4, 1e-4]])  # the other two carry 1e-8 of the variance: less than float32 holds
    torch.testing.assert_close(cavity_scores(weight, inputs).double(), slow(weight, inputs), rtol=1e-5, atol=1e-12)


def grid():
    """Every combination once, so that inputs are exactly independent; with their variances and fourth cumulants.

    Signs have variance 1 and k4 = 1 - 3; the others are +-2 one time in eight each: variance 1, k4 = 4 - 3.
    """
    sign, rare = [-1.0, 1.0], [-2.0, 2.0, *[0.0] * 6]
    points = torch.tensor([*itertools.product(sign, sign, sign, rare, rare, rare)], dtype=torch.float64)
    return points, torch.tensor([-2.0, -2, -2, 1, 1, 1], dtype=torch.float64)


def test_cumulants_add_over_independent_inputs():
    inputs, k4 = grid()
    weight = normal(20, 6, seed=6)
    variance, fourth = weight.square(), weight**4 * k4
    kurt = 3 + fourth.sum(1, keepdim=True) / variance.sum(1, keepdim=True).square()
    others = variance.sum(1, keepdim=True) - variance
    without = 3 + (fourth.sum(1, keepdim=True) - fourth) / others.square()
    assert (kurt > 3).any() and (kurt < 3).any()
    expected = (kurt - 3).sign() * (without - kurt) / kurt
    torch.testing.assert_close(cavity_scores(weight, inputs), expected, rtol=1e-9, atol=1e-12)


def test_negative_is_what_makes_the_unit_non_gaussian():
    inputs, _ = grid()
    weight = torch.tensor([[0.5, 0, 0, 2.0, 0, 0], [2.0, 0, 0, 0.5, 0, 0]], dtype=torch.float64)
    scores = cavity_scores(weight, inputs)
    assert scores[0, 3] < 0 < scores[0, 0]  # kurtosis above 3 because of the rare input
    assert scores[1, 0] < 0 < scores[1, 3]  # below 3 because of the sign


# Rounding that scores may have: 1e-9 of a number of order 1 (float64 gives 1e-12, see above).
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def test_scale_shift_bias_sign_and_order_do_not_matter():
    weight, inputs = normal(UNITS, INPUTS, seed=7), REGIMES["odd laplace"]
    scores = cavity_scores(weight, inputs)
    scale, shift = uniform(INPUTS, seed=8) + 0.5, normal(INPUTS, seed=9)
    signs = normal(INPUTS, seed=10).sign()
    shuffled = torch.randperm(SAMPLES, generator=gen(11))
    for same in (
        cavity_scores(-1e-9 * weight, inputs),
        cavity_scores(weight * normal(UNITS, 1, seed=12), inputs),
        cavity_scores(weight, 1e9 * inputs),
        cavity_scores(weight / scale, inputs * scale),
        cavity_scores(weight * signs, inputs * signs),
        cavity_scores(weight, inputs + shift),  # moves preactivations by a constant, as a bias does
        cavity_scores(weight, inputs[shuffled]),
        cavity_scores(weight, torch.cat([inputs, inputs])),
        cavity_scores(weight.flip(0, 1), inputs.flip(1)).flip(0, 1),
    ):
        torch.testing.assert_close(same, scores, **CLOSE)


def test_small_and_large_float32_weights_neither_vanish_nor_overflow():
    weight, inputs = normal(UNITS, INPUTS, seed=7).float(), REGIMES["laplace"].float()
    scores = cavity_scores(weight, inputs)
    for power in (-70, 70):  # of 2, exact: L^4 would be 2^280
        assert torch.equal(cavity_scores(weight * 2.0**power, inputs), scores)


def test_an_input_more_is_an_input_of_weight_zero():
    weight, inputs = normal(UNITS, INPUTS, seed=7), REGIMES["laplace"]
    kept = torch.arange(INPUTS) % 3 > 0
    masked = cavity_scores(weight * kept, inputs)
    torch.testing.assert_close(masked[:, kept], cavity_scores(weight[:, kept], inputs[:, kept]), **CLOSE)
    assert (masked[:, ~kept] == 0).all()


def test_scores_of_a_gaussian_are_noise_that_shrinks_with_the_sample():
    weight = normal(64, 16, seed=13)
    few, many = (cavity_scores(weight, normal(n, 16, seed=14)).std().item() for n in (500, 8000))
    assert 3 < few / many < 5.33  # 4 = sqrt(16); a third either way: 64 units are some 64 independent signs and sizes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4])
def test_a_constant_preactivation_has_no_score(constant, dtype):
    inputs = laplace(50, 4).to(dtype)
    inputs[:, 2:] = constant
    weight = torch.tensor([[0, 0, 1, -2], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=dtype)
    scores = cavity_scores(weight, inputs)
    assert scores[:2].isnan().all() and scores[2].isfinite().all()
    assert (scores[2, 2:] == 0).all()
    assert kurtosis(inputs @ weight.T).isnan().tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_weight_without_which_nothing_varies_has_no_score(dtype):
    inputs = laplace(50, 4).to(dtype)
    inputs[:, 3] = 7.3
    weight = torch.tensor([[0, 2, 0, 0], [0, 2, 0, -1], [1, 2, 0, 1]], dtype=dtype)
    scores = cavity_scores(weight, inputs)
    assert scores.isnan().tolist() == [[False, True, False, False], [False, True, False, False], [False] * 4]
    assert (scores[:, 2:] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_that_cancel_leave_no_score(dtype):
    same = laplace(50, 1).to(dtype)
    inputs = torch.cat([same, same, same], 1)
    weight = torch.tensor([[0.1, 0.2, -0.3], [0.3, 0.1, -0.3]], dtype=dtype)
    scores = cavity_scores(weight, inputs)
    assert scores[0].isnan().all()  # nothing but rounding left of the preactivation
    assert scores[1].isnan().tolist() == [False, True, False]  # nothing left without the second
    torch.testing.assert_close(scores[1, [0, 2]], torch.zeros(2, dtype=dtype), rtol=0, atol=1e-4)  # the same shape


def test_a_kurtosis_of_exactly_3_has_no_sign():
    # mean 0, m2 = 12 / 12, m4 = 36 / 12: all exact in floating point
    first = torch.tensor([-2.0, 2, -1, -1, 1, 1, 0, 0, 0, 0, 0, 0])
    inputs = torch.stack([first, laplace(12, 1)[:, 0].float()], 1)
    assert kurtosis(inputs)[0] == 3
    assert cavity_scores(torch.eye(2), inputs).isnan().tolist() == [[True, True], [False, True]]


def test_with_labels_the_mean_of_the_classes_own():
    weight, inputs, labels = normal(UNITS, INPUTS, seed=7), REGIMES["laplace"], torch.arange(SAMPLES) % 5 * 3 - 4
    own = torch.stack([cavity_scores(weight, inputs[labels == label]) for label in labels.unique()])
    torch.testing.assert_close(cavity_scores(weight, inputs, labels), own.mean(0), **CLOSE)
    assert torch.equal(cavity_scores(weight, inputs, torch.zeros_like(labels)), cavity_scores(weight, inputs))


def test_the_order_of_the_labels_does_not_matter():
    weight, inputs, labels = normal(UNITS, INPUTS, seed=7), REGIMES["laplace"], torch.arange(SAMPLES) % 5
    order = labels.argsort(stable=True)
    scores = cavity_scores(weight, inputs, labels)
    assert torch.equal(cavity_scores(weight, inputs[order], labels[order]), scores)
    shuffled = torch.randperm(SAMPLES, generator=gen(15))
    torch.testing.assert_close(cavity_scores(weight, inputs[shuffled], labels[shuffled]), scores, **CLOSE)


def test_undefined_in_one_class_is_undefined():
    weight, inputs, labels = torch.eye(4)[:2] + 0.5, laplace(60, 4).float(), torch.arange(60) // 20
    inputs[labels == 1, :2] = 1.0  # only inputs 2 and 3 vary there
    weight[1, 2:] = 0
    scores = cavity_scores(weight, inputs, labels)
    assert scores[0].isfinite().all() and scores[1].isnan().all()
    labels[0] = 9  # a class of one
    assert cavity_scores(weight, inputs, labels).isnan().all()


def test_blocks_of_samples_and_units_change_rounding_only(monkeypatch):
    weight, inputs = normal(UNITS, INPUTS, seed=7), REGIMES["odd laplace"]
    weight[0, 3:] = 0  # with weights to be recomputed
    weight[1] = 0
    whole = cavity_scores(weight, inputs)
    for samples, units, stored, pairs in ((64, 5, 1, 1), (299, 3, 7 * SAMPLES, 2), (1, 128, 1, 4096)):
        for name, value in dict(_SAMPLES=samples, _UNITS=units, _STORED=stored, _PAIRS=pairs).items():
            monkeypatch.setattr(cavity, name, value)
        torch.testing.assert_close(cavity_scores(weight, inputs), whole, equal_nan=True, **CLOSE)


@pytest.mark.slow
def test_float32_sums_hold_over_many_classes():
    weight, inputs, labels = normal(4, 10, seed=7), laplace(6_000, 10), torch.arange(6_000) // 12
    truth = cavity_scores(weight, inputs, labels)
    assert rms_error_of_spread(cavity_scores(weight.float(), inputs.float(), labels), truth) < 1e-4


@pytest.mark.parametrize("labels", [None, torch.arange(SAMPLES) % 3])
@pytest.mark.parametrize("fan_in", [33, 3])
def test_a_net_has_the_same_bits_beside_others_and_alone(labels, fan_in):
    # 7 x 33 numbers are no whole number of cache lines, and 33 inputs no whole number of vectors
    weight = torch.randn(3, 7, 33, generator=gen(16))
    weight[..., fan_in:] = 0
    inputs = laplace(SAMPLES, 33).float()
    together = cavity_scores(weight, inputs, labels)
    for net in range(3):
        assert torch.equal(cavity_scores(weight[net].clone(), inputs, labels), together[net])
        assert torch.equal(cavity_scores(weight[net : net + 1], inputs, labels)[0], together[net])
    across = weight.transpose(1, 2).contiguous().transpose(1, 2)  # the same numbers, laid out otherwise
    assert torch.equal(cavity_scores(across, inputs, labels), together)
    assert torch.equal(cavity_scores(weight.view(3, 1, 7, 33), inputs, labels)[:, 0], together)
    assert cavity_scores(weight[:0], inputs, labels).shape == (0, 7, 33)


@pytest.mark.parametrize("of_inputs", [torch.float32, torch.float64])
@pytest.mark.parametrize("of_weight", [torch.float32, torch.float64])
def test_scores_have_the_dtype_of_the_weights(of_weight, of_inputs):
    weight, inputs = torch.randn(UNITS, INPUTS, generator=gen(17)), REGIMES["laplace"].float()
    scores = cavity_scores(weight.to(of_weight).requires_grad_(), inputs.to(of_inputs))
    assert scores.dtype == of_weight and not scores.requires_grad
    assert rms_error_of_spread(scores, slow(weight, inputs)) < (1e-4 if of_weight == torch.float32 else 1e-10)


@pytest.mark.parametrize(
    ("weight", "inputs", "labels", "message"),
    [
        ((3, 5), (9, 4), None, r"weight \(3, 5\).*inputs \(9, 4\).*same inputs"),
        ((5,), (9, 5), None, r"weight \(5,\) \(\*net, unit, input\)"),
        ((2, 3, 5), (1, 9, 5), None, r"inputs \(1, 9, 5\) \(sample, input\)"),
        ((3, 5), (9, 5), (8,), r"labels \(8,\) for .*inputs \(9, 5\).*one label for each sample"),
        ((3, 5), (9, 5), (9, 1), r"labels \(9, 1\)"),
    ],
)
def test_wrong_shapes_are_named(weight, inputs, labels, message):
    plain = inspect.unwrap(cavity_scores)  # without the check of annotations, which only tests have
    with pytest.raises(ShapeError, match=message):
        plain(torch.zeros(weight), torch.zeros(inputs), None if labels is None else torch.zeros(labels).long())
