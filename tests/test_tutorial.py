"""docs/tutorial.py runs as it stands, and what comes out of it obeys the laws that it speaks of."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import impray

SCRIPT = Path(__file__).parent.parent / "docs" / "tutorial.py"
INPUTS, UNITS, ROUNDS, SEEDS = 100, 24, 6, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    done = subprocess.run([sys.executable, SCRIPT, folder], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"figure: {folder / 'tutorial.png'}")
    return folder


def test_it_is_read_in_a_few_minutes():
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) < 90 and all(len(line) <= 140 for line in lines)


@pytest.mark.slow
def test_every_round_keeps_the_number_of_weights_that_was_asked_for(folder):
    rounds = impray.load(folder / "results").rounds
    assert rounds.height == 2 * 2 * SEEDS * (ROUNDS + 1) and set(rounds["status"]) == {"done"}
    kept, expected = INPUTS * UNITS, []
    for _ in range(ROUNDS + 1):
        expected.append(kept / (INPUTS * UNITS))
        kept -= round(0.3 * kept)  # a tie is rounded to even, and there is none here
    for _, part in rounds.sort("round").group_by("lineage"):
        assert part.sort("round")["density"].to_list() == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_random_masks_are_at_chance_and_imps_are_above(folder):
    # Random masks do not know of the data: both trials have the same, and one of them counts.
    one = (pl.col("round") == ROUNDS) & (pl.col("method") == "random") & (pl.col("data.gaussian_blend") == 0)
    found = impray.scan(folder / "results")["units"].filter(one).collect()["clustering"].drop_nans().drop_nulls()
    assert abs(found.mean() - 1) < 4 * found.std() / len(found) ** 0.5
    last = impray.load(folder / "results").quantities.filter(
        pl.col("quantity") == "clustering_mean", pl.col("round") == ROUNDS, pl.col("data.gaussian_blend") == 0
    )
    imp, random = (last.filter(pl.col("method") == name).sort("seed")["value"] for name in ("imp", "random"))
    assert len(imp) == SEEDS and (imp > random).all()


@pytest.mark.slow
def test_the_figure_is_a_picture(folder):
    assert (folder / "tutorial.png").read_bytes().startswith(b"\x89PNG")
