"""width_by_round and kurtosis_by_round: courses over rounds, orderings counted over seeds, verdicts either way."""

import kurtosis_by_round
import pytest
import width_by_round
from matplotlib.figure import Figure

BLEND = "data.gaussian_blend"
ORDER = ("imp", "oneshot", "random")


def steps(*per_round: float) -> dict[str, float]:
    return dict(zip(ORDER, per_round, strict=True))


@pytest.fixture
def courses(lineage_row, lazy):
    """Rows of rounds 0 to 4 in which the methods move apart from one start, `steps` per round."""

    def rows(column: str, start: float, steps: dict[str, float]):
        found = [
            lineage_row(
                blend, method, seed, round=n, density=0.7**n, **{column: start + (1 - blend) * step * n + 0.02 * seed}
            )
            for blend in (0.0, 1.0)
            for method, step in steps.items()
            for seed in (0, 1)
            for n in range(5)
        ]
        return lazy(found)

    return rows


def test_width_table_of_five_rows(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", seed, 8.0 - n + seed, round=n) for seed in (0, 1) for n in (0, 1)]
    rows += [lineage_row(0.0, "imp", 1, 9.0, round=2)]  # the other lineage has not reached round 2
    found = width_by_round.table(lazy(rows), [BLEND])
    assert found.unique("round").sort("round").select("round", "mean", "low", "high").rows() == [
        (0, 8.5, 8.0, 9.0),
        (1, 7.5, 7.0, 8.0),
    ]


def test_width_orders_either_way(courses):
    fits = courses("rf_width_px_median", 8.0, {"imp": -1.5, "oneshot": -1.0, "random": 0.0})
    told = width_by_round.text(width_by_round.table(fits, [BLEND]))
    assert (
        "Yes: at data.gaussian_blend = 0 (data as they are) and round 4, imp is narrower than oneshot in 2 of 2" in told
    )
    against = courses("rf_width_px_median", 8.0, {"imp": -1.0, "oneshot": -1.5, "random": 0.0})
    told = width_by_round.text(width_by_round.table(against, [BLEND]))
    assert "Not in every seed" in told and "imp is narrower than oneshot in 0 of 2 seeds" in told


def test_kurtosis_table_and_course(courses):
    rows = courses("kurtosis_per_class_mean", 3.0, {"imp": 0.5})
    found = kurtosis_by_round.table(rows, [BLEND])
    imp = found.filter(x="0").unique("round").sort("round")
    assert imp["mean"].to_list() == pytest.approx([3.01, 3.51, 4.01, 4.51, 5.01])
    assert imp["low"].to_list() == pytest.approx([3.0, 3.5, 4.0, 4.5, 5.0])
    assert "from 3.01 at round 0 to 5.01 at round 4" in kurtosis_by_round.text(found)


def test_kurtosis_orders_either_way(courses):
    fits = kurtosis_by_round.table(courses("kurtosis_per_class_mean", 3.0, steps(0.5, 0.3, 0.1)), [BLEND])
    told = kurtosis_by_round.headline(fits)
    assert "Yes" in told and "rounds 2-4 of rounds 2-4" in told and "agrees with the paper's" in told
    against = kurtosis_by_round.table(courses("kurtosis_per_class_mean", 3.0, steps(0.1, 0.3, 0.5)), [BLEND])
    assert kurtosis_by_round.headline(against).startswith("No: ")


def test_kurtosis_below_three_counts_by_distance(courses):
    binary = kurtosis_by_round.table(courses("kurtosis_per_class_mean", 2.9, steps(-0.3, -0.2, -0.1)), [BLEND])
    assert kurtosis_by_round.headline(binary).startswith("Yes: ")


@pytest.mark.parametrize("script", [width_by_round, kurtosis_by_round])
@pytest.mark.parametrize("axes", [[], [BLEND]])
def test_draws(courses, script, axes):
    column = "kurtosis_per_class_mean" if script is kurtosis_by_round else "rf_width_px_median"
    found = script.table(courses(column, 3.0, steps(0.1, 0.2, 0.3)), axes)
    assert isinstance(script.draw(found), Figure)


def test_files_of_a_folder(lineage_row, folder, capsys):
    values = {"accuracy": 0.9, "kurtosis_per_class_mean": 3.5}
    out = folder([lineage_row(0.0, method, 0, 2.0, round=n, **values) for method in ORDER for n in (0, 1, 2)])
    for script in (width_by_round, kurtosis_by_round):
        script.main(out)
        assert (out / "figures" / f"{script.__name__}.png").read_bytes().startswith(b"\x89PNG")
    assert "accuracy" in (out / "figures" / "width_by_round.csv").read_text()
