"""The headline figure: hand-computed tables, and verdicts that follow the numbers wherever they point."""

import polars as pl
import pytest
import width_by_gain
from matplotlib.figure import Figure

BLEND = "data.gaussian_blend"


@pytest.fixture
def drawn(lineage_row, lazy):
    """The table of three seeds with these widths: (imp on data, imp on clone, random everywhere)."""

    def table(data: float, clone: float, random: float | None, **others: float) -> pl.DataFrame:
        kinds = [(0.0, "imp", data), (1.0, "imp", clone)]
        kinds += [] if random is None else [(0.0, "random", random), (1.0, "random", random)]
        rows = [
            lineage_row(blend, method, seed, width + 0.1 * seed, **others)
            for blend, method, width in kinds
            for seed in range(3)
        ]
        return width_by_gain.table(lazy(rows), [BLEND])

    return table


def test_table_of_five_rows(lineage_row, lazy):
    rows = [
        lineage_row(0.0, "imp", 0, 2.0, clustering_mean=3.0),
        lineage_row(0.0, "imp", 1, 3.0, clustering_mean=4.0),
        lineage_row(0.0, "random", 0, 7.0, clustering_mean=1.0),
        lineage_row(1.0, "imp", 0, 5.0, clustering_mean=2.0),
        lineage_row(1.0, "imp", 1, 6.0, clustering_mean=2.0),
    ]
    found = width_by_gain.table(lazy(rows), [BLEND]).unique(["x", "method", "measure"]).sort("measure", "x", "method")
    assert found.select("measure", "x", "method", "mean", "low", "high", "seeds").rows() == [
        ("clustering", "0", "imp", 3.5, 3.0, 4.0, 2),
        ("clustering", "0", "random", 1.0, 1.0, 1.0, 1),
        ("clustering", "1", "imp", 2.0, 2.0, 2.0, 2),
        ("rf_width_px", "0", "imp", 2.5, 2.0, 3.0, 2),
        ("rf_width_px", "0", "random", 7.0, 7.0, 7.0, 1),
        ("rf_width_px", "1", "imp", 5.5, 5.0, 6.0, 2),
    ]


@pytest.mark.parametrize(
    ("data", "clone", "random", "word"),
    [
        (2.0, 7.0, 7.0, "yes"),
        (2.0, 3.0, 7.0, "in part"),
        (2.0, 3.0, None, "at least in part"),
        (3.0, 2.0, 7.0, "no"),
        (8.0, 9.0, 7.0, "no local fields"),
    ],
)
def test_the_verdict_follows_the_numbers(drawn, data, clone, random, word):
    assert width_by_gain.verdict(drawn(data, clone, random)).word == word


def test_opposite_data_give_opposite_texts(drawn):
    assert "not 'the clone has no structure'" in width_by_gain.text(drawn(2.0, 3.0, 7.0))
    told = width_by_gain.text(drawn(3.0, 2.0, 7.0))
    assert "No: imp is narrower" in told and "in 0 of 3 seeds (mean difference +1 px" in told
    assert "disagrees with Redman" in told


def test_seeds_that_disagree_are_undecided(lineage_row, lazy):
    widths = {(0.0, 0): 2.0, (1.0, 0): 3.0, (0.0, 1): 3.0, (1.0, 1): 2.0}
    rows = [lineage_row(blend, "imp", seed, width) for (blend, seed), width in widths.items()]
    assert width_by_gain.verdict(width_by_gain.table(lazy(rows), [BLEND])).word == "undecided"


def test_one_seed_is_called_an_anecdote(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", 0, 2.0), lineage_row(1.0, "imp", 0, 3.0)]
    found = width_by_gain.table(lazy(rows), [BLEND])
    assert "One seed only" in width_by_gain.headline(found)
    assert "Lines: one seed" in width_by_gain.text(found)


def test_clustering_that_disagrees_is_told(lineage_row, lazy):
    rows = [
        lineage_row(blend, "imp", seed, 2.0 + blend, clustering_mean=2.0 + blend)
        for blend in (0.0, 1.0)
        for seed in (0, 1)
    ]
    assert "By clustering the answer is another: no" in width_by_gain.headline(width_by_gain.table(lazy(rows), [BLEND]))


def test_the_gaussian_end_of_gain_is_its_smallest(lineage_row, lazy):
    rows = [
        lineage_row(0.0, "imp", seed, 9.0 - gain / 2, trial=str(gain), lineage=f"{gain}-{seed}", **{"data.gain": gain})
        for gain in (0.1, 10.0)
        for seed in (0, 1)
    ]
    assert width_by_gain.verdict(width_by_gain.table(lazy(rows), ["data.gain"])).word == "at least in part"


@pytest.mark.parametrize("axes", [[], [BLEND], ["prune.fraction", BLEND]])
def test_draws_any_axes(lineage_row, lazy, axes):
    rows = [lineage_row(blend, "iht", 0, 2.0, **{"prune.fraction": 0.2 + blend / 10}) for blend in (0.0, 1.0)]
    found = width_by_gain.table(lazy(rows), axes)
    assert isinstance(width_by_gain.draw(found), Figure)
    assert "Unanswered" in width_by_gain.text(found) or "unanswered" in width_by_gain.text(found)


def test_files_of_a_folder(lineage_row, folder, capsys):
    widths = {"imp": 2.0, "oneshot": 4.0, "random": 8.0}
    out = folder([lineage_row(blend, m, 0, w + blend) for blend in (0.0, 1.0) for m, w in widths.items()])
    width_by_gain.main(out)
    assert (out / "figures" / "width_by_gain.png").read_bytes().startswith(b"\x89PNG")
    assert "In part" in (out / "figures" / "width_by_gain.txt").read_text()
    assert pl.read_csv(out / "figures" / "width_by_gain.csv")["value"].to_list() == [2.0, 4.0, 8.0, 3.0, 5.0, 9.0]
