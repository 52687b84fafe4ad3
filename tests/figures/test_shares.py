"""Shares of draws: a claim against a bound on a probability, marks with exact intervals, phase maps."""

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure as Canvas
from scipy.stats import beta, binomtest

from impray.figures import Bounded, NotMeasured, Panel, cells, means, shares
from impray.figures.judge import CONTRADICTED, NO_DIFFERENCE, SUPPORTED, UNDECIDED, judged


def draws(*points):
    """Rows of points (name, draws, failures, bound)."""
    parts = [
        pl.DataFrame({"point": name, "seed": range(n), "fails": [i < failed for i in range(n)], "bound": float(bound)})
        for name, n, failed, bound in points
    ]
    return pl.concat(parts)


def findings(frame, **more):
    claim = Bounded(frame=lambda _: frame, fails=pl.col("fails"), each="point", says="{each}", **more)
    return judged(claim.samples(None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failed", "bound", "verdict"),
    [(0, 0.1, SUPPORTED), (60, 0.1, UNDECIDED), (90, 0.1, CONTRADICTED), (0, 1e-4, NO_DIFFERENCE), (5, 1e-9, CONTRADICTED)],
)  # fmt: skip
def test_failures_are_held_against_their_bound(failed, bound, verdict):
    """500 draws. 60 failures at 0.1 are 1.5 standard deviations of 6.7 above the expected 50, 90 are 6."""
    (finding,) = findings(draws(("a", 500, failed, bound)), margin=0.01)
    assert finding.verdict == verdict and (finding.held, finding.of) == (500 - failed, 500)
    assert finding.p == pytest.approx(min(1.0, binomtest(500 - failed, 500, 1 - bound).pvalue), rel=1e-6)


def test_a_bound_of_1_says_nothing():
    told = findings(draws(("trivial", 50, 50, 1.0), ("other", 50, 0, 0.5)))
    assert [finding.says for finding in told] == ["other"]
    lacking = Bounded(frame=lambda _: draws(("trivial", 50, 50, 1.0)), fails=pl.col("fails"), says="")
    with pytest.raises(NotMeasured):
        lacking._samples(None)  # type: ignore[arg-type]
    assert judged(lacking.samples(None))[0].verdict == "not measured"  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_bound_that_is_true_is_rarely_contradicted():
    """Draws that fail as often as their own bounds allow: below 5 % of 400 runs, and 2 standard errors of that."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        bound = random.uniform(0, 0.3, 200)
        frame = pl.DataFrame({"point": "a", "seed": range(200), "fails": random.random(200) < bound, "bound": bound})
        wrong += findings(frame)[0].verdict == CONTRADICTED
    assert wrong / 400 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def drawn(mark, frame, **more):
    axes = Canvas().add_subplot()
    panel = Panel(of=lambda _: frame, mark=mark, x="n", y="lost", scale="linear", **more)
    return axes, mark(axes, panel.rows(None), panel)  # type: ignore[arg-type]


def test_shares_have_exact_intervals_and_a_bound_is_a_line():
    """2 of 20, and 0 of 20, whose upper end is 1 - 0.025^(1/20)."""
    lost = {10: [1.0] * 2 + [0.0] * 18, 20: [0.0] * 20}
    rows = [{"n": n, "seed": seed, "method": "imp", "lost": value} for n in lost for seed, value in enumerate(lost[n])]
    rows += [{**row, "method": "bound", "lost": 0.3} for row in rows]
    axes, handles = drawn(shares, pl.DataFrame(rows), yscale="log", options={"bounds": ("bound",)})
    assert set(handles) == {"imp", "bound"}
    hollow = next(line for line in axes.lines if line.get_marker() == "v")
    assert np.array(hollow.get_xydata()).tolist() == [[20.0, pytest.approx(1 - 0.025**0.05)]]
    whiskers = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    assert whiskers[0][:, 1] == pytest.approx([beta.ppf(0.025, 2, 19), beta.ppf(0.975, 3, 18)])
    (bound,) = [line for line in axes.lines if list(line.get_ydata()) == pytest.approx([0.3, 0.3])]  # type: ignore[arg-type]
    assert bound.get_marker() in ("None", "")


def test_means_leave_the_seeds_out():
    frame = pl.DataFrame({"n": [1, 1, 2, 2], "seed": [0, 1, 0, 1], "method": "imp", "lost": [0.0, 1.0, 1.0, 1.0]})
    axes, _ = drawn(means, frame)
    assert [list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 2][0] == [0.5, 1.0]  # type: ignore[arg-type]
    assert not any(len(each.get_offsets()) == 4 for each in axes.collections)  # type: ignore[arg-type]


def test_cells_lie_by_size_between_0_and_1():
    levels = {("a", 0.5): 1.0, ("a", 0.1): 0.25, ("b", 0.1): 0.0}
    rows = [{"n": n, "k": k, "seed": seed, "lost": share} for (n, k), share in levels.items() for seed in range(2)]
    axes, _ = drawn(cells, pl.DataFrame(rows), colour="k")
    (mesh,) = axes.collections
    assert np.ma.filled(mesh.get_array(), -1.0).tolist() == [[0.25, 0.0], [1.0, -1.0]]  # type: ignore[union-attr]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0, 1)  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == [".25", "0", "1"]


def test_cells_of_other_numbers_lie_between_their_ends():
    """Colours stay beyond the ends, the number is written all the same; a cell without a number is empty."""
    rows = [{"n": n, "k": 1, "seed": 0, "lost": value} for n, value in (("a", 120.0), ("b", 31.4), ("c", None))]
    axes, handles = drawn(cells, pl.DataFrame(rows), colour="k", options={"ends": (0.0, 100.0), "unit": "dB"})
    (mesh,) = axes.collections
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0, 100)  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["120", "31"] and list(handles) == ["0 dB", "50 dB", "100 dB"]
