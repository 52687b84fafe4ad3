"""Every stimulus on a ring or torus: samples against their theory, and streams that depend on nothing else."""

import itertools
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import special, stats

from impray.data import open_pack, sample
from impray.data.describe import describe
from impray.data.ising import flip_thresholds
from impray.spec.data import Elliptical, Ising, Kur, Nlgp
from impray.theory import stimuli

DRAWS = 2**18
CPU = torch.device("cpu")

# Chosen so that every moment that is compared has a finite standard error, and every branch of a family is here.
STIMULI = {
    "nlgp": Nlgp(shape=(12,), gain=3, xi=(0.7, 2)),
    "nlgp torus, blend": Nlgp(shape=(4, 6), gain=100, xi=(0.5, 1), gaussian_blend=0.3),
    "nlgp matched": Nlgp(shape=(4, 6), gain=0.5, xi=(0.5, 1.5), covariance="matched"),
    "kur 10": Kur(shape=(12,), k=10, xi=(0.7, 2)),
    "kur 30 torus": Kur(shape=(4, 6), k=30, xi=(0.7, 1)),
    "kur 9 matched, blend": Kur(shape=(12,), k=9, xi=(1, 2), covariance="matched", gaussian_blend=0.25),
    "ising": Ising(shape=(12,)),
    "ising, odd ring, negative, blend": Ising(shape=(5,), coupling=(-0.4, 0.2, 1.5), gaussian_blend=0.5),
    "shell": Elliptical(shape=(12,), radius="shell", xi=(0.7, 2)),
    "extreme torus": Elliptical(shape=(4, 6), radius="extreme", xi=(0.7, 1)),
    "student 12, as the radius": Elliptical(shape=(12,), degrees_of_freedom=12, scale="radius"),
    "quantiles, blend": Elliptical(shape=(12,), radius="quantiles", quantiles=(0, 1, 5), gaussian_blend=0.5),
}


@pytest.mark.some(5)
@pytest.mark.parametrize("name", STIMULI)
def test_samples_agree_with_their_theory_within_4_standard_errors(name):
    spec = STIMULI[name]
    for row in describe(spec, DRAWS // spec.classes, seed=1)["classes"]:
        off = row["theory"]["off_by_standard_errors"]
        assert off["variance"] < 4 and off["covariance"] < 4 and off["kurtosis"] < 4, (name, row["label"], off)
        assert abs(row["mean"]) < 4 * row["mean_standard_error"]


@pytest.mark.parametrize(
    "spec",
    [Kur(k=k, shape=(8,), xi=(0.3, 0.4)) for k in (1.5, 3, 4, 5)] + [Elliptical(shape=(8,), degrees_of_freedom=3)],
    ids=["kur 1.5", "kur 3", "kur 4", "kur 5", "student 3"],
)
def test_heavy_tails_have_their_quantiles_and_no_moments(spec):
    """Where moments are infinite a sample's mean nothing; the shares below given values still have standard errors."""
    x = sample(spec, DRAWS // 8, seed=2)[0][:, 0].double().numpy()
    for share in (0.6, 0.75, 0.9, 0.99, 0.9999):
        if isinstance(spec, Kur):
            limit = stimuli.pointwise(spec)(np.array([stats.norm.ppf(share)]))[0]
        else:
            limit = stats.t.ppf(share, 3) / math.sqrt(3)  # variance 1
        error = math.sqrt(share * (1 - share) / len(x))
        assert abs((x < limit).mean() - share) < 4 * error, share
    row = describe(spec, 500)["classes"][0]["theory"]
    assert row["kurtosis"] == (
        stimuli.kur_moments(5)[1] + 3 if spec == Kur(k=5, shape=(8,), xi=(0.3, 0.4)) else math.inf
    )
    assert row["off_by_standard_errors"]["kurtosis"] is None
    assert row["variance"] == (math.inf if isinstance(spec, Kur) and spec.k == 1.5 else pytest.approx(1))


def test_kur_has_no_nan_in_single_precision():
    spec = [Kur(k=k, held_out=2**14) for k in (0.1, 0.5, 2.5, 5, 30, 1000)]
    data = open_pack(spec, [0] * len(spec), batch=64, dtype=torch.float32, device=CPU)
    for net, one in enumerate(spec):
        x, _ = data.held_out(net)
        assert torch.isfinite(x).all(), one.k


def test_kur_is_the_quantile_function_far_into_the_tails():
    """Against the plain form in extended precision, and single precision against double."""
    z = np.geomspace(1e-6, 8, 400)
    for k in (2.5, 5, 10):
        rest = np.longdouble(special.erfc(z / math.sqrt(2)))
        t = 1 - (1 - rest) ** np.longdouble(k)
        plain = (1 - rest) / t ** (1 / np.longdouble(k))
        assert np.allclose(stimuli.kur_value(z, k)[z < 6], plain[z < 6].astype(float), rtol=1e-6)
        assert np.array_equal(stimuli.kur_value(-z, k), -stimuli.kur_value(z, k))
        spec = Kur(shape=(12,), k=k, xi=(0.3, 0.3), held_out=2**12)
        single, double = (
            open_pack([spec], [0], batch=4, dtype=dtype, device=CPU).held_out(0)[0]
            for dtype in (torch.float32, torch.float64)
        )
        scale = stimuli.kur_scale(k)
        for x in (single, double):
            # Back to a uniform number: the quantile function is inverted by the algebraic sigmoid (eq. 7).
            value = x.double().numpy().ravel() * scale
            p = 0.5 * (1 + value / (1 + np.abs(value) ** k) ** (1 / k))
            assert stats.kstest(p, "uniform").statistic < 1.95 / math.sqrt(len(p))  # 0.1 % level


def test_ising_is_exact_on_a_ring_of_five():
    """Every state's probability against exp(J sum x_i x_i+1) / Z, 4 standard errors of a share."""
    spec = Ising(shape=(5,), coupling=(0.3, -0.8))
    x, labels = sample(spec, DRAWS, seed=3)
    codes = ((x > 0).long() * 2 ** torch.arange(5)).sum(1)
    for label, j in enumerate(spec.coupling):
        weights = [math.exp(j * sum(s[i] * s[i - 1] for i in range(5))) for s in _states(5)]
        shares = torch.bincount(codes[labels == label], minlength=32).double() / DRAWS
        for state, weight in zip(_states(5), weights, strict=True):
            p = weight / sum(weights)
            code = sum(2**i for i, spin in enumerate(state) if spin > 0)
            assert abs(shares[code] - p) < 4.5 * math.sqrt(p * (1 - p) / DRAWS)  # 64 shares are compared


def _states(n):
    return list(itertools.product((-1, 1), repeat=n))


def test_flips_close_the_ring():
    """Two bonds from the end at parity 1 each is as likely to flip; the first sees P(flip | even) of the whole ring."""
    n, j = 7, 0.4
    thresholds = flip_thresholds(n, j)
    assert len(thresholds) == n - 1 and thresholds[-1][1] == 2**30
    states = _states(n)
    weights = [math.exp(j * sum(s[i] * s[i - 1] for i in range(n))) for s in states]
    flips = sum(w for s, w in zip(states, weights, strict=True) if s[0] != s[1]) / sum(weights)
    assert thresholds[0][0] / 2**31 == pytest.approx(flips, abs=1e-9)


def test_covariance_of_ising_is_that_of_all_states():
    n, j = 6, -0.5
    states = np.array(_states(n))
    weights = np.exp(j * (states * np.roll(states, 1, axis=1)).sum(1))
    for d, value in enumerate(stimuli.ising_covariance(n, j)):
        assert value == pytest.approx(np.average(states[:, 0] * states[:, d], weights=weights), abs=1e-12)


@pytest.mark.parametrize("blend", [0.0, 0.4])
def test_a_matched_covariance_is_the_same_for_all_kinds(blend):
    common = {"shape": (12, 12), "xi": (1.0, 2.0), "covariance": "matched", "gaussian_blend": blend}
    kinds = [
        *(Nlgp(gain=gain, **common) for gain in (0.01, 1, 100)),
        *(Kur(k=k, **common) for k in (3, 5, 30)),
        Elliptical(radius="shell", **common),
    ]
    for label in (0, 1):
        binary = stimuli.covariance(Nlgp(shape=(12, 12), xi=(1.0, 2.0), gain=1e5), label)
        for spec in kinds:
            assert np.allclose(stimuli.covariance(spec, label), binary, atol=2e-6), spec


def test_the_clone_has_the_covariance_of_its_stimulus():
    for spec in STIMULI.values():
        clone = spec.model_copy(update={"gaussian_blend": 1.0})
        assert np.allclose(stimuli.covariance(clone, 1), stimuli.covariance(spec, 1))
        assert stimuli.theory_moments(clone, 1).kurtosis == 3


def test_closed_moments_of_kur_are_those_of_its_quantile_function():
    z, weight = stimuli.quadrature()
    for k in (5, 6, 10, 30):
        x = stimuli.kur_value(z, k) / stimuli.kur_scale(k)
        assert np.dot(weight, x**2) == pytest.approx(1, abs=1e-6)
        assert np.dot(weight, x**4) - 3 == pytest.approx(stimuli.kur_moments(k)[1], abs=1e-5)
    # Lufkin et al. (2024), section 2.3: the sign changes between 5.8 and 5.9.
    assert stimuli.kur_moments(5.8)[1] > 0 > stimuli.kur_moments(5.9)[1]


@pytest.mark.parametrize("one_pass", [True, False])
@pytest.mark.parametrize("name", STIMULI)
def test_a_pack_is_its_nets_alone_bit_for_bit(name, one_pass, monkeypatch):
    """Other seeds, other parameters of the same kind beside it: a net's batches and held-out samples stay."""
    if not one_pass:
        monkeypatch.setattr("impray.data.process._LARGEST_TABLE", 0)
    spec = STIMULI[name].model_copy(update={"held_out": 5})
    other = spec.model_copy(update={"gaussian_blend": 0.0 if spec.gaussian_blend else 0.7})
    neighbours = {
        Kur: {"k": 7.0},
        Nlgp: {"gain": 2.0},
        Ising: {"coupling": tuple(0.1 for _ in range(spec.classes))},
        Elliptical: {"radius": "student_t", "degrees_of_freedom": 20.0, "quantiles": None},
    }[type(spec)]
    specs = [other, spec, spec.model_copy(update=neighbours), spec]
    whole = open_pack(specs, [5, 5, 5, 9], batch=7, dtype=torch.float32, device=CPU)
    alone = open_pack([spec], [5], batch=7, dtype=torch.float32, device=CPU)
    for data in (whole, alone):
        data.start(2)
    steps = 2 * alone.block + 1
    raw_whole, raw_alone = whole.draw(steps), alone.draw(steps)
    for step in (0, 1, alone.block, steps - 1):
        x, labels = whole.batch(raw_whole, step)
        own_x, own_labels = alone.batch(raw_alone, step)
        assert torch.equal(x[1], own_x[0]) and torch.equal(labels[1], own_labels[0])
        assert not torch.equal(x[1], x[3])
    assert torch.equal(whole.held_out(1)[0], alone.held_out(0)[0])


@pytest.mark.parametrize("name", STIMULI)
def test_draw_makes_seeds_share_their_samples(name):
    spec = STIMULI[name].model_copy(update={"draw": 5, "held_out": 5})
    shared = open_pack([spec] * 3, [0, 1, 2], batch=8, dtype=torch.float32, device=CPU)
    own = open_pack([STIMULI[name]], [5], batch=8, dtype=torch.float32, device=CPU)
    for data in (shared, own):
        data.start(0)
    x, labels = shared.batch(shared.draw(1), 0)
    own_x, own_labels = own.batch(own.draw(1), 0)
    assert x.shape[0] == 3 and x.stride(0) == 0  # a view: 32 nets read one batch
    for net in range(3):
        assert torch.equal(x[net], own_x[0]) and torch.equal(labels[net], own_labels[0])
        assert torch.equal(shared.held_out(net)[0], shared.held_out(0)[0])


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Kur(k=2, gaussian_blend=0.5), "gaussian_blend"),
        (lambda: Kur(k=1.5, covariance="matched"), "covariance"),
        (lambda: Elliptical(degrees_of_freedom=2), "degrees_of_freedom"),
        (lambda: Elliptical(degrees_of_freedom=1, scale="radius", gaussian_blend=0.1), "gaussian_blend"),
        (lambda: Elliptical(radius="quantiles"), "quantiles"),
        (lambda: Elliptical(quantiles=(0, 1)), "quantiles"),
        (lambda: Elliptical(radius="quantiles", quantiles=(1, 0)), "quantiles"),
        (lambda: Ising(shape=(4, 4)), "ring"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(make, field):
    with pytest.raises(ValidationError, match=field):
        make()


@pytest.mark.parametrize("spec", [Nlgp(gain=0.5, shape=(8,), xi=(0.3, 0.4)), Kur(k=5, shape=(8,), xi=(0.3, 0.4))])
def test_a_marginal_has_the_mass_and_the_second_moment_of_its_normal(spec):
    """Between z = -3 and 3; the trapezoids' error is of order (6 / 20,000)^2."""
    z = np.linspace(-3, 3, 20_001)
    x, density = stimuli.marginal(spec, z)
    assert np.trapezoid(density, x) == pytest.approx(special.erf(3 / math.sqrt(2)), abs=1e-6)
    assert np.trapezoid(density * x**2, x) == pytest.approx(np.trapezoid(stats.norm.pdf(z) * x**2, z), abs=1e-6)
    with pytest.raises(ValueError, match="masses"):
        stimuli.marginal(Ising(shape=(8,), coupling=(0.3, 0.7)), z)
