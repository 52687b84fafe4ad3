"""Laws of the measures of linear models: support, estimation, order, removals, design, theorem5."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from threadpoolctl import threadpool_limits

from impray.measures import readings_of
from impray.measures.order import agrees, tau_b
from impray.measures.state import RemovalOrder, RoundState
from impray.nets.mlp import Architecture
from impray.spec import measure as spec
from impray.spec.trial import Trial
from impray.theory.linear import coherence, spectrum

torch.set_num_threads(1)

EVERY = [spec.Support, spec.Estimation, spec.Order, spec.Design, spec.Theorem5, spec.Removals]


def trial(samples=40, features=12, nonzero=3, **data):
    """A linear model; its data here are not drawn from the spec, but by `problem`."""
    sizes = {"samples": samples, "features": features, "nonzero": nonzero}
    described = {"kind": "linear", "law": "signs", "noise_scale": 0.5, **sizes, **data}
    return Trial.model_validate(
        {
            "data": described,
            "net": {"kind": "linear"},
            "train": {"optimizer": "gradient_flow"},
            "prune": {"layers": "all", "remove": 1},
        }
    )


def problem(of_trial, seed=0):
    """phi, y, the truth."""
    rng, data = np.random.default_rng(seed), of_trial.data
    phi, s = rng.standard_normal((data.samples, data.features)), np.zeros(data.features)
    s[rng.choice(data.features, data.nonzero, replace=False)] = rng.choice([-1.0, 1.0], data.nonzero)
    return phi, phi @ s + 0.5 * rng.standard_normal(data.samples), s


def pruned(phi, y, removals):
    """Of imp: what is kept, the weights then, and the order."""
    left, gone, weights, dense = list(range(phi.shape[1])), [], [], None
    for _ in range(removals):
        w = np.linalg.lstsq(phi[:, left], y, rcond=None)[0]
        dense = w if dense is None else dense
        place = int(np.abs(w).argmin())
        weights.append(w[place])
        gone.append(left.pop(place))
    trained = np.zeros(phi.shape[1])
    trained[left] = np.linalg.lstsq(phi[:, left], y, rcond=None)[0]
    dense = trained if dense is None else dense
    rounds = np.arange(1, removals + 1)
    return trained, RemovalOrder(np.array(gone, dtype=np.int64), np.array(weights), rounds, dense)


def state_of(problems, removals=9, of_trial=None, names=None, orders=True):
    """A round after so many removals, of imp."""
    of_trial = of_trial or trial()
    solved = [pruned(phi, y, removals) for phi, y, _ in problems]
    weights = torch.from_numpy(np.stack([w for w, _ in solved]))[:, None]
    kept = torch.ones(weights.shape, dtype=torch.bool)
    for net, (_, order) in enumerate(solved):
        kept[net, 0, order.features] = False
    return RoundState(
        round=removals,
        network=Architecture((weights.shape[2], 1), "linear", False, False),
        masks={"weight1": kept},
        start={"weight1": torch.zeros_like(weights)},
        end={"weight1": weights},
        end_stats={},
        held_out=lambda net: (torch.empty(0), torch.empty(0)),
        loss="mse",
        trials=[of_trial] * len(problems),
        whole=lambda net: (torch.from_numpy(problems[net][0]), torch.from_numpy(problems[net][1])[:, None]),
        truth=lambda net: {"weight1": torch.from_numpy(problems[net][2])[None]},
        orders=[order if orders else None for _, order in solved],
        problems=names or list(range(len(problems))),
    )


def asked(kind, **parameters):
    return kind.model_validate({"name": kind.model_fields["name"].default, **parameters})


def read(kind, state, **parameters):
    """Columns of the table `rounds`, as lists."""
    lineage = readings_of(asked(kind, **parameters), state).lineage
    return {name: v.tolist() if isinstance(v, torch.Tensor) else list(v) for name, v in lineage.items()}


def sixteen():
    return [problem(trial(), seed) for seed in range(16)]


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.some(2)
@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_column_is_there_and_a_net_does_not_depend_on_its_neighbours(kind):
    """16 problems at once against 16 times one, bit for bit."""
    of_trial = trial(97, 53)  # rows that start anywhere in memory
    problems = [problem(of_trial, seed) for seed in range(16)]
    together = state_of(problems, 40, of_trial)
    alone = [state_of([one], 40, of_trial) for one in problems]
    columns = read(kind, together)
    assert set(columns) == {column.name for column in kind.lineage_columns}
    for name, values in columns.items():
        assert values == [read(kind, one)[name][0] for one in alone], name
    rows = readings_of(asked(kind), together).removals
    assert rows == [of_net for one in alone for of_net in readings_of(asked(kind), one).removals]


@pytest.mark.parametrize(
    "kind", [spec.Estimation, spec.Order, spec.Design, spec.Removals], ids=lambda kind: kind.__name__
)
def test_threads_do_not_matter(kind):
    """Of matrices that BLAS would share out."""
    of_trial = trial(900, 300)
    state, found = state_of([problem(of_trial)], 5, of_trial), []
    for threads in (1, 2):
        state.of_data.clear()
        with threadpool_limits(threads, user_api="blas"):
            found.append((read(kind, state), readings_of(asked(kind), state).removals))
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_nets_of_one_problem_in_any_order_have_their_own_numbers(kind):
    first, second = sixteen()[:2]
    mixed = read(kind, state_of([first, second, first], names=["a", "b", "a"]))
    apart = read(kind, state_of([first, second, first]))
    assert mixed == apart
    assert all(values[0] == values[2] for values in mixed.values())


def test_what_belongs_to_the_data_is_made_once_for_all_rounds():
    problems = sixteen()[:2]
    one, later = state_of(problems, 3), state_of(problems, 5)
    later.of_data = one.of_data
    for kind in (spec.Design, spec.Theorem5, spec.Order):
        read(kind, one)
    later.whole = None  # not asked for again
    fresh = state_of(problems, 5)
    for kind in (spec.Design, spec.Theorem5, spec.Order):
        assert read(kind, later) == read(kind, fresh)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_the_numbering_of_features_does_not_matter(kind):
    """But for rounding: products add up in another order, so 1e-10 of numbers near 1 with condition below 100."""
    phi, y, s = problem(trial())
    turned = np.random.default_rng(9).permutation(12)
    one, other = (read(kind, state_of([of])) for of in ((phi, y, s), (phi[:, turned], y, s[turned])))
    for name, values in one.items():
        assert other[name] == pytest.approx(values, rel=1e-10), name


# -- support and estimation -------------------------------------------------------------------------------------------


def by_hand(kept, true, weights=None, **data):
    """Readings of `support` for a mask and a truth, of one net."""
    state = state_of([problem(trial())], of_trial=trial(**data))
    state.masks["weight1"] = torch.tensor(kept, dtype=torch.bool)[None, None]
    state.end = {"weight1": torch.tensor(weights or kept, dtype=torch.float64)[None, None]}
    state.truth = lambda net: {"weight1": torch.tensor(true, dtype=torch.float64)[None]}
    return {name: value[0] for name, value in read(spec.Support, state).items()}


def test_support_counts():
    true = [2.0, -1.0, 0.5, *[0.0] * 9]
    found = by_hand([1, 0, 0, 1, *[0] * 8], true)
    # Kept: one of three, and a null; of those left out one has size 1 or more.
    expected = {
        "exact_recovery": 0,
        "support_precision": 0.5,
        "support_recall": 1 / 3,
        "false_exclusions": 1,
        "kept": 2,
    }
    assert found == expected
    exact = by_hand([1, 1, 1, *[0] * 9], true)
    assert exact == {"exact_recovery": 1, "support_precision": 1, "support_recall": 1, "false_exclusions": 0, "kept": 3}
    assert by_hand([1, 0, 0, 1, *[0] * 8], true, amplitude=0.5)["false_exclusions"] == 2


def test_a_kept_weight_of_zero_is_kept_and_not_counted_as_support():
    found = by_hand([1, 1, 1, *[0] * 9], [1, 1, 1, *[0] * 9], weights=[0.3, 0.0, -1e-300, *[0] * 9])
    assert found["kept"] == 2 and found["exact_recovery"] == 1


def test_nothing_kept_has_no_precision():
    found = by_hand([0] * 12, [1, -1, 1, *[0] * 9])
    assert math.isnan(found["support_precision"]) and found["support_recall"] == 0 and found["false_exclusions"] == 3


def test_errors_are_those_of_their_definitions():
    phi, y, s = problem(trial())
    state = state_of([(phi, y, s)], 9)
    w = state.end["weight1"][0, 0].numpy()
    found = read(spec.Estimation, state)
    assert found["estimation_error"][0] == pytest.approx(math.dist(w, s) / math.sqrt(3), rel=1e-12)
    # As a quadratic form of Sigma; 40 samples add up in another order.
    assert found["prediction_error"][0] == pytest.approx((w - s) @ (phi.T @ phi / 40) @ (w - s), rel=1e-11)


def test_the_truth_itself_has_no_error_and_what_is_pruned_counts_as_zero():
    phi, y, s = problem(trial())
    state = state_of([(phi, y, s)])
    state.masks["weight1"][0, 0] = torch.from_numpy(s != 0)
    state.end = {"weight1": torch.from_numpy(np.where(s == 0, 7.0, s))[None, None]}
    assert read(spec.Estimation, state) == {"estimation_error": [0], "prediction_error": [0]}


# -- order and removals -----------------------------------------------------------------------------------------------


def slow_agreement(gone, score):
    left, hits = set(range(len(score))), []
    for feature in gone:
        hits.append(bool(feature == min(left, key=lambda j: (score[j], j))))
        left.remove(feature)
    return hits


@pytest.mark.parametrize("removals", [1, 5, 29, 30])
@pytest.mark.parametrize("ties", [False, True])
def test_agreement_is_that_of_one_removal_after_the_other(removals, ties):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        score = rng.integers(4, size=30).astype(float) if ties else rng.random(30)
        # Half of the time mostly in order, so that there is something to agree with.
        noisy = np.argsort(score + (seed % 2) * 0.03 * rng.standard_normal(30), kind="stable")
        gone = noisy[:removals] if seed % 4 else rng.permutation(30)[:removals]
        assert agrees(gone, score).tolist() == slow_agreement(gone, score)


@pytest.mark.parametrize("features", [2, 30, 600])
def test_tau_is_scipys(features):
    rng = np.random.default_rng(4)
    for ties in (2, features // 3 + 2, 10**6):
        one, other = rng.integers(ties, size=features), rng.standard_normal(features).round(1)
        expected = scipy.stats.kendalltau(one, other)[0]
        assert tau_b(one, other) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert math.isnan(tau_b(np.zeros(features), np.arange(features)))


@pytest.mark.parametrize(("features", "left"), [(100, 10), (12, 3), (12, 1), (12, 11)])
def test_a_perfect_order_agrees_and_has_the_tau_of_its_ties(features, left):
    """All pairs agree but those among the ones left: tau-b = sqrt(1 - m (m - 1) / (p (p - 1))); 0.995 for 100 and 10."""
    of_trial = trial(200, features)
    phi, y, s = problem(of_trial)
    state = state_of([(phi, y, s)], features - left, of_trial)
    ranked = np.argsort(np.abs(phi.T @ y))
    dense = np.abs(phi.T @ y)
    state.orders = [RemovalOrder(ranked[: features - left], np.zeros(features - left), np.ones(features - left), dense)]
    found = read(spec.Order, state)
    expected = math.sqrt(1 - left * (left - 1) / (features * (features - 1)))
    assert found["alignment_agreement"] == [1]
    assert found["order_tau"] == found["order_tau_oneshot"] == [pytest.approx(expected, rel=1e-14)]
    backwards = RemovalOrder(
        ranked[::-1][: features - left], np.zeros(features - left), np.ones(features - left), dense
    )
    state.orders = [backwards]
    found = read(spec.Order, state)
    assert found["alignment_agreement"] == [0] and found["order_tau"] == [pytest.approx(-expected, rel=1e-14)]


def test_orthogonal_features_go_as_the_heuristic_says_and_oneshot_too():
    """Example 1 of Elesedy et al. (2020)."""
    phi, y, s = problem(trial())
    phi = math.sqrt(40) * np.linalg.qr(phi)[0]
    found = read(spec.Order, state_of([(phi, y, s)], 11))
    assert found["alignment_agreement"] == found["order_tau"] == found["order_tau_oneshot"] == [1]


def test_before_anything_goes_there_is_nothing_to_compare():
    found = read(spec.Order, state_of([problem(trial())], 0))
    assert all(math.isnan(values[0]) for values in found.values())


def test_masks_that_do_not_nest_have_no_order():
    state = state_of(sixteen()[:2], orders=False)
    assert read(spec.Order, state) == {column.name: [None, None] for column in spec.Order.lineage_columns}
    assert readings_of(asked(spec.Removals), state).removals == [[], []]


def test_removals_tell_each_feature_as_it_went():
    phi, y, s = problem(trial())
    state = state_of([(phi, y, s)], 9)
    (rows,) = readings_of(asked(spec.Removals), state).removals
    order = state.orders[0]
    assert set(rows[0]) == {"removal", "round"} | {column.name for column in spec.Removals.removal_columns}
    assert [row["removal"] for row in rows] == [row["round"] for row in rows] == list(range(1, 10))
    assert [row["feature"] for row in rows] == order.features.tolist()
    for row, weight, hit in zip(rows, order.weights, slow_agreement(order.features, np.abs(phi.T @ y)), strict=True):
        assert row["weight"] == weight and row["abs_weight"] == abs(weight) and row["agrees"] == hit
        assert row["alignment"] == pytest.approx(abs(phi[:, row["feature"]] @ y) / 40, rel=1e-12)
        assert row["in_truth"] is bool(s[row["feature"]] != 0) and row["true_weight"] == s[row["feature"]]
    assert read(spec.Order, state)["alignment_agreement"] == [pytest.approx(np.mean([row["agrees"] for row in rows]))]


# -- design and Theorem 5 ---------------------------------------------------------------------------------------------


def test_the_spectrum_of_a_known_covariance():
    alpha, features, samples = 0.3, 12, 40
    orthonormal = np.linalg.qr(np.random.default_rng(0).standard_normal((samples, features)))[0]
    root = np.linalg.cholesky((1 - alpha) * np.eye(features) + alpha)
    phi = math.sqrt(samples) * orthonormal @ root.T
    assert spectrum(phi)[0] == 12
    largest = 1 + alpha * 11
    assert spectrum(phi)[1:] == pytest.approx((1 - alpha, largest, largest / (1 - alpha)), rel=1e-12)
    assert [coherence(phi), coherence(-phi * np.arange(1, 13))] == pytest.approx([alpha, alpha], rel=1e-12)


def test_ranks_that_are_not_full():
    phi = np.random.default_rng(0).standard_normal((40, 12))
    dead = phi * (np.arange(12) > 1)
    repeated = np.hstack([phi, phi[:, :1] + phi[:, 1:2]])
    for own, rank in ((phi[:8], 8), (repeated, 12), (dead, 10)):  # the first has fewer samples than features
        largest = pytest.approx(np.linalg.norm(own, 2) ** 2 / len(own), rel=1e-12)
        assert spectrum(own) == (rank, 0.0, largest, math.inf)
    assert coherence(dead) == pytest.approx(coherence(phi[:, 2:]), rel=1e-12)
    assert math.isnan(coherence(phi[:, :1])) and math.isnan(coherence(0 * phi)) and spectrum(0 * phi)[0] == 0


def test_the_bound_is_that_of_the_samples_spectrum():
    of_trial = trial(200, noise_scale=0.7, amplitude=1.5)
    phi, y, s = problem(of_trial)
    state = state_of([(phi, y, s)], 9, of_trial)
    lambda_min = np.linalg.eigvalsh(phi.T @ phi / 200)[0]
    exponent = 200 * 1.5**2 * lambda_min / (8 * 0.7**2)
    found = read(spec.Theorem5, state)
    # A small relative error of lambda_min is multiplied by the exponent, about 70.
    assert found["bound_theorem5"] == [pytest.approx(24 * math.exp(-exponent), rel=1e-11)]
    assert found["bound_safe"] == [pytest.approx(2**9 * 24 * math.exp(-exponent), rel=1e-11)]
    assert read(spec.Design, state)["lambda_min"] == [pytest.approx(lambda_min, rel=1e-12)]


def test_the_bound_says_nothing_where_rank_or_count_are_too_small():
    of_trial = trial(200)
    phi, y, s = problem(of_trial)
    for of, removals in [((phi, y, s), 10), ((phi * (np.arange(12) > 0), y, s), 5)]:
        found = read(spec.Theorem5, state_of([of], removals, of_trial))
        assert math.isnan(found["bound_theorem5"][0]) and math.isnan(found["bound_safe"][0])


def test_without_noise_nothing_is_excluded():
    of_trial = trial(200, noise_scale=0)
    found = read(spec.Theorem5, state_of([problem(of_trial)], 9, of_trial))
    assert found == {"bound_theorem5": [0], "bound_safe": [0]}
