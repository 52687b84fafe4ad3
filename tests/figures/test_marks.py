"""Where marks lie: numbers on an axis are where they are, names have room beside them; labels do not meet."""

import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from impray.figures.drawing import _apart
from impray.figures.marks import dots, means
from impray.figures.panels import Panel

METHODS = ("imp", "oneshot", "random")


def rows(scale, places):
    """A mean of one seed per method and place."""
    parts = [{"method": method, "at": at, "x": f"{at:g}", "value": 1.0} for method in METHODS for at in places]
    known = {"scale": scale, "mean": 1.0, "left": 0.9, "right": 1.1}
    return pl.DataFrame([part | known for part in parts])


def drawn_at(mark, frame):
    """x of every method's mean."""
    axes = Canvas().add_subplot()
    mark(axes, frame, Panel(of=lambda _: frame, mark=mark, x="along", options={"join": False}))
    return [list(map(float, bars.lines[0].get_xdata())) for bars in axes.containers]


@pytest.mark.parametrize("mark", [dots, means])
@pytest.mark.parametrize("scale", ["linear", "log", "symlog"])
def test_means_that_are_not_joined_lie_at_their_number(mark, scale):
    places = [0.01, 0.02, 0.4]
    assert drawn_at(mark, rows(scale, places)) == [places] * 3


@pytest.mark.parametrize("mark", [dots, means])
def test_means_of_names_lie_beside_one_another_nearer_to_theirs_than_to_the_next(mark):
    drawn = np.array(drawn_at(mark, rows("names", [0.0, 1.0, 2.0])))
    assert len({*drawn[:, 0]}) == 3 and (np.abs(drawn - [0, 1, 2]) < 0.5).all()


@pytest.mark.parametrize("values", [(0, 0.1, 0.4, 1), (0.125207, 0.160519, 0.383222, 0.845913), tuple(range(8))])
@pytest.mark.parametrize("abreast", [1, 2, 3])
def test_labels_of_ticks_do_not_meet(values, abreast):
    """As they are measured in letters of 7 points, in a figure of 7.2 inches."""
    canvas = Canvas(figsize=(7.2, 2), layout="constrained", dpi=150)
    FigureCanvasAgg(canvas)
    each = [canvas.add_subplot(1, abreast, place + 1) for place in range(abreast)]
    axes, words = each[0], [f"{value:g}" for value in values]
    places = pl.DataFrame({"at": [float(value) for value in values], "x": words})
    labels = _apart(places, "linear", abreast)
    for one in each:
        one.set_xlim(values[0], values[-1])
        one.tick_params(labelsize=7)
    axes.set_xticks(places["at"].to_list(), labels)
    canvas.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in axes.get_xticklabels() if tick.get_text()]
    assert labels[0] == words[0] and len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))
