"""Counts are exact in the decimals that were written, and ids say so exactly where floats counted otherwise."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest

from impray.spec.base import canonical
from impray.spec.counts import MOST_ROUNDS, counts, exact, fits, rounds_in_floats, share
from impray.spec.trial import DRAWS, ENGINE, Lineage, Trial, _digest

HUNDREDTHS = [hundredth / 100 for hundredth in range(1, 100)]


def by_hand(fraction, count):
    """The same in the decimal arithmetic of another library."""
    return int((Decimal(str(fraction)) * count).quantize(Decimal(1), ROUND_HALF_EVEN))


def schedule(size, part):
    kept = [size]
    while removed := part(kept[-1]):
        kept.append(kept[-1] - removed)
    return kept


def test_a_share_is_that_of_the_decimal_half_to_even():
    assert [(f, n) for f in HUNDREDTHS for n in range(200) if share(f, n) != by_hand(f, n)] == []
    assert share(0.7, 85) == 60 and counts(85, 0.7, 1) == [85, 25]  # 59.5; in floats 59.49999999999999
    assert [share(0.5, n) for n in (1, 3, 5, 7)] == [0, 2, 2, 4]


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.7, 1e-05, 0.123456789012345678])
def test_counts_are_so_many_shares_and_stay_where_they_end(fraction):
    kept = counts(997, fraction, 60)
    assert len(kept) == 61 and kept[0] == 997
    assert all(after == before - by_hand(fraction, before) for before, after in zip(kept, kept[1:], strict=False))


def test_what_fits_is_counted_in_decimals():
    assert [fits(0.07, 7), fits(0.1, 1), fits(0.3, 1), fits(1.0, 2.5), fits(2.0, 1)] == [100, 10, 3, 2, 0]


def test_a_fraction_too_small_to_be_followed_to_its_end_is_fast():
    assert not rounds_in_floats(3_000_000, 1e-6)
    assert len(counts(3_000_000, 1e-6, MOST_ROUNDS + 5)) == MOST_ROUNDS + 6
    assert counts(3_000_000, 1e-6, MOST_ROUNDS + 5)[-1] < counts(3_000_000, 1e-6, MOST_ROUNDS)[-1]


def differs(size, fraction):
    return schedule(size, lambda n: round(fraction * n)) != schedule(size, lambda n: by_hand(fraction, n))


def test_which_schedules_floats_get_wrong():
    told = {(f, n): rounds_in_floats(n, f) for f in HUNDREDTHS for n in range(1, 120)}
    assert told == {(f, n): differs(n, f) for f, n in told}
    assert 0 < sum(told.values()) < len(told) / 4


def trial(hidden, inputs=17, **prune):
    return Trial.model_validate(
        {"data": {"kind": "nlgp", "shape": [inputs]}, "net": {"hidden": hidden}, "prune": prune}
    )


# Scopes with their sizes by hand; at 0.7 floats are wrong for 85 and 45, not for 90, 30, 60 or 68.
TRIALS = [
    (trial([5], fraction=0.7), (85,), True),
    (trial([5], fraction=0.2), (85,), False),
    (trial([5], fraction=0.7, biases="ranked"), (90,), False),
    (trial([5], fraction=0.7, layers="all"), (85, 10), True),
    (trial([5], fraction=0.7, layers="all", scope="global"), (95,), False),
    (trial([4, 15], fraction=0.7), (68, 60), False),
    (trial([3, 15], 10, fraction=0.7), (30, 45), True),
    (trial([3, 15], 10, fraction=0.7, layers=[1]), (30,), False),
    (trial([5, 12], 5, fraction=0.7), (25, 60), False),
    (trial([5, 12], 5, fraction=0.7, scope="global"), (85,), True),
    (trial([5, 12], 5, fraction=0.7, scope="global", biases="ranked"), (102,), False),
    (trial([5], densities=[0.7, 0.1]), (85,), False),
]


@pytest.mark.parametrize("made, sizes, wrong", TRIALS)
def test_ids_name_exact_counts_exactly_where_floats_kept_others(made, sizes, wrong):
    assert made.scope_sizes == sizes
    fraction = made.prune.fraction
    assert wrong is (fraction is not None and any(differs(size, fraction) for size in sizes))
    engine = {"engine": ENGINE}
    assert (made.id != _digest({"trial": canonical(made), **engine})) is wrong
    assert made.earlier_ids == {
        _digest({"trial": canonical(made)}): "counts" if wrong else "engine",
        _digest({"trial": canonical(made), **made.counted}): "engine",
        _digest({"trial": canonical(made), **made.counted, "engine": DRAWS}): "engine",
    }
    for method in ("imp", "oneshot", "random", "cavity"):
        lineage = Lineage(trial=made, method=method, seed=2)
        earlier = _digest({**canonical(made), **engine, "method": method, "seed": 2})
        assert (lineage.id != earlier) is wrong
        assert lineage.trunk == _digest(
            {k: v for k, v in {**canonical(made), **engine, "seed": 2}.items() if k != "prune"}
        )


def test_ids_of_exact_counts_are_pinned():
    lineage = Lineage(trial=trial([5], fraction=0.7), method="imp", seed=0)
    assert (lineage.id, lineage.trial.id) == ("82873537b7dcd2f4", "8b08844f09b7696b")


def test_decimals_are_those_written():
    assert exact(0.1) * 10 == 1 and exact(1) == 1
