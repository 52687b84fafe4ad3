"""A figure's table as a picture: lines of axes, one legend, a title above, a short caption below."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from impray.figures import marks, tiles
from impray.figures.judge import headline
from impray.figures.panels import MOST_FACETS, Panel, Table

DPI = 150
FORMATS = ("png", "svg", "pdf")
WORDS = 60  # of a caption inside a picture; the rest is in the text beside it
KEPT = (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # ticks of densities, which a log axis has from dense to sparse
OF_X = 0.4  # inches of a panel's height, below its axes
LETTER = 0.0085  # of the figure's width, a letter of a tick's label
LINEAR = 2.0  # a symmetric logarithmic axis is linear up to here
AXIS_WORDS = {
    "data.gaussian_blend": "blend (0: as they are, 1: Gaussian clone)",
    "data.gain": "gain (small: Gaussian, large: binary)",
    "round": "round (prunings)",
    "sparsity": "sparsity (share of weights gone)",
    "density": "density (share of weights kept)",
    "excess": "excess kurtosis of the inputs",
    "method": "",  # their values say what they are
    "side": "",
}
MEANS = {
    marks.band: "Lines: mean over seeds; shaded: smallest to largest seed.",
    marks.dots: "Dots: seeds; markers: mean with its 95 % interval.",
    marks.means: "Markers: means over seeds with their 95 % intervals.",
    marks.shares: "Markers: shares of draws with their exact 95 % intervals.",
    marks.cells: "Cells: means over seeds.",
    marks.swarm: "Dots: single values; bars: their median.",
    marks.scatter: "Dots: trials, means over seeds; rings: no other is better in all goals; lower edge: trials without a number.",
    marks.courses: "Dark to bright: means over seeds, round by round.",
}
Cell = tuple[Panel, pl.DataFrame, str]


def draw(table: Table) -> Canvas:
    """The picture of a table that `impray.figures.panels.table` made."""
    lines = _lines(table)
    title = textwrap.wrap(table.figure.title, int(table.figure.width * 10.5))
    below = [line for words in _below(table) for line in textwrap.wrap(words, int(table.figure.width * 19))]
    heights = [max(panel.height for panel, _, _ in line) for line in lines]
    canvas = Canvas(figsize=(table.figure.width, sum(heights) + 1), layout="constrained", dpi=DPI)
    FigureCanvasAgg(canvas)  # draws without a display and without pyplot's global state
    across = math.lcm(*(len(line) for line in lines))
    grid = canvas.add_gridspec(len(lines), across, height_ratios=heights)
    handles: dict[str, Artist] = {}
    drawn: list[tuple[int, int, Panel, pl.DataFrame, Axes]] = []
    for number, line in enumerate(lines):
        span, first = across // len(line), None
        for place, (panel, frame, facet) in enumerate(line):
            share = first if first is not None and panel.shared and panel.columns else None
            axes = canvas.add_subplot(grid[number, place * span : (place + 1) * span], sharey=share)
            first = first or axes
            handles |= _panel(axes, panel, frame)
            _words(axes, panel, frame, facet, place, number, lines)
            drawn.append((place, span, panel, frame, axes))
    _aligned(drawn)
    abreast = _abreast(list(handles), table.figure.width)
    head = 0.2 * len(title) + 0.12 + 0.17 * math.ceil(len(handles) / abreast)
    foot = 0.13 * len(below) + 0.08
    whole = sum(heights) + head + foot + 0.25
    canvas.set_figheight(whole)
    canvas.get_layout_engine().set(rect=(0, foot / whole, 1, 1 - (head + foot) / whole))  # type: ignore[union-attr,call-arg]
    canvas.text(0.012, 1 - 0.06 / whole, "\n".join(title), fontsize=10, fontweight="bold", va="top")
    handles.pop("", None)  # of lines that no column tells apart
    if handles:
        place = (0.5, 1 - (0.2 * len(title) + 0.05) / whole)
        names, artists = list(handles), list(handles.values())
        canvas.legend(
            artists, names, loc="upper center", bbox_to_anchor=place, ncols=abreast, fontsize=7.5, frameon=False
        )
    canvas.text(0.012, (foot - 0.02) / whole, "\n".join(below), fontsize=7, va="top", linespacing=1.15)
    return canvas


def _abreast(names: Sequence[str], width: float) -> int:
    """How many names a line of the legend holds, so that all lines are about as long."""
    most = max(1, int(12.5 * width / (max(map(len, names), default=0) + 8)))
    return math.ceil(len(names) / max(1, math.ceil(len(names) / most))) or 1


def _aligned(drawn: Sequence[tuple[int, int, Panel, pl.DataFrame, Axes]]) -> None:
    """Facets under one another that go along the same numbers have the same ends, for x is named below the last only."""
    columns: dict[tuple, list[Axes]] = {}
    for place, span, panel, frame, axes in drawn:
        if panel.columns and "scale" in frame.columns and frame["scale"][0] != "names":
            columns.setdefault((place, span, panel.columns, panel.x, frame["facet"][0]), []).append(axes)
    for column in columns.values():
        ends = [end for axes in column for end in axes.get_xlim()]
        for axes in column:
            axes.set_xlim(*((max(ends), min(ends)) if axes.xaxis_inverted() else (min(ends), max(ends))))


def _lines(table: Table) -> list[list[Cell]]:
    """Facets of a panel share a line; panels without facets flow, so many in one."""
    lines: list[list[Cell]] = []
    room = 0
    for panel, frame in table.panels:
        if panel.columns:
            facets = shown(marks.in_order(frame, panel.columns))
            panel = replace(panel, options={**marks.orders(frame, panel), **panel.options})
            parts = [(panel, frame.filter(pl.col(panel.columns) == facet)) for facet in facets]
            lines.append([(*part, _named(str(facet), len(facets))) for part, facet in zip(parts, facets, strict=True)])
            room = 0
        elif room:
            lines[-1].append((panel, frame, ""))
            room -= 1
        else:
            lines.append([(panel, frame, "")])
            room = table.figure.per_line - 1
    return lines


def _named(facet: str, abreast: int) -> str:
    """A facet as its title: axes by their last word, lists without brackets, in lines that fit beside one another."""
    words = re.sub(r"[\w.]+\.(?=\w+ = )", "", facet).translate(str.maketrans("", "", '[]"'))
    return "\n".join(line for part in words.split("\n") for line in textwrap.wrap(part, 110 // abreast)) or words


def shown(values: list, most: int = MOST_FACETS) -> list:
    """At most `most` of the values: both ends and evenly between."""
    return values if len(values) <= most else [values[at * (len(values) - 1) // (most - 1)] for at in range(most)]


def _panel(axes: Axes, panel: Panel, frame: pl.DataFrame) -> Mapping[str, Artist]:
    axes.grid(True, color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    if panel.guide is not None:
        axes.axhline(panel.guide, color="0.55", linewidth=0.8, linestyle=":")
    handles = panel.mark(axes, frame, panel)
    if panel.mark not in (tiles.images, marks.heat, marks.lines, marks.bars, marks.scatter, marks.fields):
        _x_axis(axes, panel, frame)
        _y_axis(axes, panel)
    return handles


def _x_axis(axes: Axes, panel: Panel, frame: pl.DataFrame) -> None:
    """The panel's own values as ticks where they are few; infinite ones are named so."""
    scale = frame["scale"][0]
    places = frame.select("at", "x").unique().sort("at")
    if scale in ("log", "symlog"):
        axes.set_xscale(scale, **({"linthresh": LINEAR} if scale == "symlog" else {}))
    if panel.x == "density" and scale == "log":
        ticks = [tick for tick in KEPT if tick >= 0.9 * places["at"].min()]  # type: ignore[operator]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.invert_xaxis()
    elif scale == "names" or (len(places) <= 8 and scale != "symlog" and panel.options.get("join", True)):
        labels = places["x"].to_list() if scale == "names" else _apart(places, scale, 1 / _share(axes))
        axes.set_xticks(places["at"].to_list(), labels)
        axes.minorticks_off()
        if scale == "names":
            axes.set_xlim(places["at"].min() - 0.6, places["at"].max() + 0.6)  # type: ignore[operator]
        if scale == "names" and max(len(line) for x in places["x"] for line in x.split("\n")) * len(places) > max(
            40, 80 * _share(axes)
        ):
            axes.tick_params(axis="x", rotation=35)
    elif scale == "symlog":
        _symmetric(axes, places)
    elif panel.x == "round":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    elif scale == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(5))
    elif scale == "log":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if panel.x == "round":
        _densities(axes, frame)


def _share(axes: Axes) -> float:
    """Of the figure's width, that the axes have."""
    place = axes.get_subplotspec()
    return 1.0 if place is None else len(place.colspan) / place.get_gridspec().ncols


def _apart(places: pl.DataFrame, scale: str, parts: float) -> list[str]:
    """Labels of ticks, empty where the one before is too near; so many such axes are as wide as the figure."""
    at = [math.log(place) if scale == "log" else place for place in places["at"]]
    labels, last, before = [], -math.inf, ""
    for x, words in zip(at, places["x"], strict=True):
        least = max(0.05, LETTER * (len(words) + len(before) + 2) / 2) * parts
        is_clear = x - last >= least * (at[-1] - at[0])
        labels.append(words if is_clear else "")
        last, before = (x, words) if is_clear else (last, before)
    return labels


def _densities(axes: Axes, frame: pl.DataFrame) -> None:
    """Below the number of a round the share of weights left, if that is one for all lineages."""
    if "density" not in frame.columns:
        return
    left = frame.select("round", pl.col("density").round_sig_figs(2)).unique().sort("round")
    if left["round"].n_unique() == len(left):
        left = left.gather_every(max(1, (len(left) + 5) // 6))
        axes.set_xticks(left["round"].to_list(), [f"{n}\n{100 * share:g}" for n, share in left.iter_rows()])
        axes.set_xlabel("round, and weights left (%)")


def _symmetric(axes: Axes, places: pl.DataFrame) -> None:
    finite = places.filter(~pl.col("x").str.starts_with("inf"))["at"]
    most = max([1.0, *finite.to_list()])
    ticks = {float(at): f"{at:g}" for at in (-2, -1, 0, 1, 2, 5, 10, 20, 50, 100) if at <= 1.1 * most}
    ticks |= {at: x for at, x in places.iter_rows() if x.startswith("inf")}
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(list(ticks.values()))
    for beyond in places.filter(pl.col("x") == "inf")["at"]:  # not to scale
        axes.axvspan(beyond / 1.6, 1.5 * beyond, color="0.94", zorder=0)
        axes.set_xlim(right=1.5 * beyond)


def _y_axis(axes: Axes, panel: Panel) -> None:
    """A logarithm in plain numbers. Option `limits` of any mark: the ends of the axis."""
    if "limits" in panel.options:
        axes.set_ylim(panel.options["limits"])  # type: ignore[arg-type]
    scale = panel.yscale or ("log" if panel.quantity and panel.quantity.log else "")
    if not scale:
        return
    axes.set_yscale(scale, **({"linthresh": panel.options.get("linear", LINEAR)} if scale == "symlog" else {}))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if scale == "log":
        low, high = axes.get_ylim()
        wide = high > 4 * low
        ticks = [
            m * 10.0**p for p in range(-6, 7) for m in ((1, 2, 5) if wide else (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8))
        ]
        axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
        axes.yaxis.set_minor_locator(NullLocator())


def _words(
    axes: Axes, panel: Panel, frame: pl.DataFrame, facet: str, place: int, number: int, lines: Sequence[Sequence[Cell]]
) -> None:
    """Facets are named above the first of the lines that have the same; x below the last of them; y at the left."""
    if place == 0 or not panel.columns:
        longest = max(map(len, panel.ylabel.split("\n")))
        room = (panel.height - OF_X) / (0.55 * 7.5 / 72)  # letters of 7.5 points, beside the axis
        axes.set_ylabel(panel.ylabel, fontsize=7.5 * min(1.0, max(0.8, room / max(1, longest))))
    elif panel.shared:
        axes.tick_params(labelleft=False)
    above, below = (lines[n] if 0 <= n < len(lines) else [] for n in (number - 1, number + 1))
    repeated = _same(panel, above, lines[number])
    title = "\n".join(
        part for part in (panel.title if place == 0 or not panel.columns else "", "" if repeated else facet) if part
    )
    axes.set_title(title, fontsize=8 if len(lines[number]) < 5 else 7)
    if not _same(panel, below, lines[number]):
        axis = frame["axis"][0] if "axis" in frame.columns else ""
        words = panel.xlabel or axes.get_xlabel() or AXIS_WORDS.get(axis, axis)
        words = textwrap.fill(words, 100 // len(lines[number]), break_on_hyphens=False)
        axes.set_xlabel(words * bool(axes.get_xticks().size), fontsize=7.5)
    else:
        axes.set_xlabel("")
        axes.tick_params(labelbottom=False)


def _same(panel: Panel, line: Sequence[Cell], own: Sequence[Cell]) -> bool:
    """Whether another line has the panel's x and the same facets."""
    facets = [[facet for _, _, facet in cells] for cells in (line, own)]
    return bool(line) and bool(panel.columns) and line[0][0].x == panel.x and facets[0] == facets[1]


def _below(table: Table) -> list[str]:
    """What the marks are, how many seeds, who is missing; not more than WORDS words."""
    return [headline(table.findings)] * bool(table.findings) + [_cut(caption(table))]


def caption(table: Table) -> str:
    """What the marks are, over how many seeds, at which round, and who is missing."""
    means = [MEANS[mark] for mark in MEANS if any(panel.mark is mark for panel, _ in table.panels)]
    frames = [frame for _, frame in table.panels if "seeds" in frame.columns]
    counted = sorted({n for frame in frames for n in frame["seeds"].unique() if n})
    seeds = [f"{_between(counted)} seed{'s' * (counted[-1] != 1)}."] if counted else []
    rounds = sorted(
        {n for p, frame in table.panels if p.x != "round" and "round" in frame.columns for n in frame["round"].unique()}
    )
    at = [f"Round {_between(rounds)}."] if rounds else []
    pooled = max((_settings(*panel) for panel in table.panels), default=1)
    of_settings = [f"Means over {pooled} settings of further axes."] * (pooled > 1)
    return " ".join([*means, *seeds, *of_settings, *at, *_left_out(table), *table.results.missing])


def _left_out(table: Table) -> list[str]:
    """How many facets of a panel are drawn, where they are not all."""
    counts = {(panel.columns, frame[panel.columns].n_unique()) for panel, frame in table.panels if panel.columns}
    return [
        f"{MOST_FACETS} of {count} drawn; all are in the CSV." for _, count in sorted(counts) if count > MOST_FACETS
    ]


def _settings(panel: Panel, frame: pl.DataFrame) -> int:
    """How many settings of further axes one mean of a panel pools."""
    if not {"setting", "seed"} <= set(frame.columns):
        return 1
    groups = [name for name in ("facet", "x", "seed", panel.colour, panel.dash) if name in frame.columns]
    return int(frame.group_by(groups).agg(pl.col("setting").n_unique())["setting"].max())  # type: ignore[arg-type]


def _between(values: Sequence[int]) -> str:
    return f"{values[0]}" if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def _cut(words: str) -> str:
    listed = words.split()
    return words if len(listed) <= WORDS else " ".join([*listed[:WORDS], "…"])


def png(canvas: Canvas) -> bytes:
    """The picture as a PNG file."""
    return saved(canvas, "png")


def saved(canvas: Canvas, form: str) -> bytes:
    """The picture as a file of one of FORMATS; of one picture the same bytes every time."""
    buffer = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    with rc_context({"svg.hashsalt": "impray", "pdf.fonttype": 42}):
        canvas.savefig(buffer, format=form, dpi=DPI, metadata=undated)
    return buffer.getvalue()
