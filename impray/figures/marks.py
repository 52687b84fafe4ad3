"""Marks: how rows become ink. Each takes axes, the rows of one facet and the panel, and gives what a legend shows.

band     the mean as a line, shaded from the smallest to the largest seed
dots     seeds as faint dots, the mean with its 95 % interval
means    the same without the seeds
courses  means as lines from dark to bright, in the order of their colour's column, with rings where the column `next` is true
swarm    rows as dots, in order of size, with a bar at their median
lines    every row's list as a line (a field over inputs), coloured by `share` of the time
curves   rows in their order as lines, one per colour and dash
fields   rows' lists side by side, each on a scale of its own
bars     counts or shares between edges (`left_edge`, `right_edge`), as stairs
heat     rows (`row`, `col`, y) as a coloured grid
shares   the share of yes (y is 0 or 1) with its exact 95 % interval; bounds beside it as lines
cells    the mean of y over x and colour as a coloured grid, from 0 to 1 or between `ends`, each written in its cell
scatter  rows as dots, the best ringed, those without a number at the lower edge

The mark of pictures is in `impray.figures.tiles`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.lines import Line2D

from impray.figures.panels import Panel
from impray.results.tidy import CLONE
from impray.spec import families
from impray.theory.statistics import share_interval

# Okabe and Ito's palette, safe for colour-blind readers; nearest to the papers' black, blue and red.
LOOKS: dict[str, tuple[str, str]] = {
    "imp": ("#000000", "o"),
    "oneshot": ("#0072B2", "s"),
    "random": ("#D55E00", "^"),
    "cavity": ("#009E73", "D"),
    "cavity_lowest": ("#CC79A7", "v"),
    "reinit": ("#E69F00", "P"),
    "shuffled": ("#56B4E9", "X"),
    "chance": ("#8A8A8A", ""),
    "backward": ("#009E73", "D"),
    "alignment": ("#D55E00", "v"),
    "hard_threshold": ("#8A8A8A", "<"),
    "iht": ("#E69F00", "P"),
    "omp": ("#56B4E9", "X"),
    "pursuit": ("#009E73", "D"),
    "lasso": ("#CC79A7", "h"),
}
OTHERS = (
    ("#000000", "o"),
    ("#0072B2", "s"),
    ("#D55E00", "^"),
    ("#009E73", "D"),
    ("#CC79A7", "v"),
    ("#E69F00", "P"),
    ("#56B4E9", "X"),
)
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
TIME = LinearSegmentedColormap.from_list("time", ["#0072B2", "#7A7FB0", "#B08A8A", "#E08A3C", "#B03A00"])


def looks(frame: pl.DataFrame, panel: Panel) -> list[tuple[str, pl.DataFrame, dict[str, Any]]]:
    """(name, rows, looks) of every line: colours by the panel's `colour`, dashes by its `dash`; names in the papers' order.

    Options of every mark: `order`, all values of `colour`, and `dashes`, of `dash`, so that each has its own in every panel of a figure.
    """
    colours, dashes = _known(frame, panel, "order"), _known(frame, panel, "dashes")
    styled, inks = [], _inks(colours)
    for colour, (ink, marker) in zip(colours, inks, strict=True):
        for at, dash in enumerate(dashes):
            part = frame
            for column, value in ((panel.colour, colour), (panel.dash, dash)):
                part = part.filter(pl.col(column) == value) if value is not None else part
            if part.is_empty():
                continue
            look = {
                "color": ink,
                "marker": marker,
                "markersize": 4,
                "linewidth": 1.5,
                "linestyle": DASHES[at % len(DASHES)],
            }
            look |= {"markerfacecolor": "white"} if at else {}
            styled.append((", ".join(str(name) for name in (colour, dash) if name not in (None, "")), part, look))
    return styled


def orders(frame: pl.DataFrame, panel: Panel) -> dict[str, list[Any]]:
    """The options `order` and `dashes` of a panel's facets, from all its rows: one legend stands for all of them."""
    columns = {"order": panel.colour, "dashes": panel.dash}
    own = {option: name for option, name in columns.items() if name in frame.columns and not frame[name].has_nulls()}
    return {option: in_order(frame, name) for option, name in own.items()}


def _known(frame: pl.DataFrame, panel: Panel, option: Literal["order", "dashes"]) -> list[Any]:
    column = panel.colour if option == "order" else panel.dash
    known: Any = panel.options.get(option) if column in frame.columns else None
    return known or in_order(frame, column)


def _inks(names: Sequence[Any]) -> list[tuple[str, str]]:
    """Colour and marker of each: methods have their own, the others what no method among them has."""
    taken = {LOOKS[str(name)][0] for name in names if str(name) in LOOKS}
    free = [look for look in OTHERS if look[0] not in taken] or list(OTHERS)
    others = [name for name in names if str(name) not in LOOKS]
    return [LOOKS.get(str(name)) or free[others.index(name) % len(free)] for name in names]


def in_order(frame: pl.DataFrame, column: str) -> list[Any]:
    """Distinct values in order of appearance, methods in the papers' order, the clone last; [None] without the column."""
    if not column or column not in frame.columns:
        return [None]
    values = frame[column].unique(maintain_order=True).to_list()
    known = [*families.rules.tags, CLONE]
    if any(value in known for value in values):
        values.sort(key=lambda v: (v == CLONE, known.index(v) if v in known else -1 if column == "side" else 99))
    return values


def band(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Option `apart` (see `legend_apart`)."""
    handles: dict[str, Artist] = {}
    for name, part, look in looks(frame, panel):
        line = part.unique("at", maintain_order=True).sort("at").drop_nulls("mean")
        if line.is_empty():
            continue
        at, low, high = (line[column].to_list() for column in ("at", "low", "high"))
        axes.fill_between(at, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axes.plot(at, line["mean"].to_list(), markevery=max(1, len(at) // 16), **look)
        handles[name] = Line2D([], [], **look)
    return legend_apart(frame, panel, handles) if panel.options.get("apart") else handles


def dots(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Options: `join`, whether means are joined by a line (default: yes, where x has an order); `apart` (see `legend_apart`)."""
    return _means(axes, frame, panel, with_seeds=True)


def means(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """As `dots`, without the seeds: of many."""
    return _means(axes, frame, panel, with_seeds=False)


def _means(axes: Axes, frame: pl.DataFrame, panel: Panel, *, with_seeds: bool) -> Mapping[str, Artist]:
    handles: dict[str, Artist] = {}
    joined = panel.options.get("join", frame["scale"][0] != "names")
    lines = looks(frame, panel)
    abreast = len(in_order(frame, panel.dash)) if panel.x == panel.colour else len(lines)
    for place, (name, part, look) in enumerate(lines):
        look: dict[str, Any] = look if joined else look | {"linestyle": ""}
        # Names have room beside them; numbers mean where they are.
        is_apart = not joined and abreast > 1 and frame["scale"][0] == "names"
        beside = 0.5 * (place % abreast / (abreast - 1) - 0.5) if is_apart else 0.0
        if with_seeds:
            faint = part.drop_nulls(panel.y)
            at = [x + beside for x in faint["at"]]
            axes.scatter(at, faint[panel.y], s=9, color=look["color"], alpha=0.3, linewidths=0)
        line = part.unique("at", maintain_order=True).sort("at").drop_nulls("mean")
        if line.is_empty():
            continue
        at, mean = [x + beside for x in line["at"]], line["mean"].to_list()
        known = line.with_columns(pl.col("left", "right").fill_null(pl.col("mean")))
        error = [(known["mean"] - known["left"]).to_list(), (known["right"] - known["mean"]).to_list()]
        axes.errorbar(at, mean, yerr=error, capsize=2, elinewidth=1.0, **look)
        named = name if panel.x != panel.colour else str(part[panel.dash][0]) if panel.dash else ""
        handles |= {named: Line2D([], [], **look)} if named and named not in handles else {}
    return legend_apart(frame, panel, handles) if panel.options.get("apart") else handles


def legend_apart(frame: pl.DataFrame, panel: Panel, handles: Mapping[str, Artist]) -> Mapping[str, Artist]:
    """Colours and dashes named one by one, not each pair of them; a single dash needs no name."""
    dashes = _known(frame, panel, "dashes")
    entries: dict[str, Artist] = {}
    for name, handle in handles.items():
        colour = next((str(c) for c in _known(frame, panel, "order") if name.split(", ")[0] == str(c)), name)
        entries.setdefault(colour, handle)
    for at, dash in enumerate(dashes if len(dashes) > 1 else []):
        face: dict[str, Any] = {"markerfacecolor": "white"} if at else {}
        entries[str(dash)] = Line2D([], [], color="0.4", marker="o", markersize=4, linestyle=DASHES[at % 4], **face)
    return entries


def courses(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Option `ring`: what rings are called."""
    values = frame[panel.colour].unique().sort().to_list()
    inks = [colormaps["viridis"](0.9 * place / max(1, len(values) - 1)) for place in range(len(values))]
    ring: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 6, "markerfacecolor": "none"}
    for value, ink in zip(values, inks, strict=True):
        line = frame.filter(pl.col(panel.colour) == value).unique("at").sort("at").drop_nulls("mean")
        axes.plot(line["at"].to_list(), line["mean"].to_list(), color=ink, linewidth=1.0, marker=".", markersize=3)
        ringed = line.filter("next")
        axes.plot(ringed["at"].to_list(), ringed["mean"].to_list(), markeredgecolor=ink, zorder=4, **ring)
    ends = {f"{panel.colour} {values[at]}": Line2D([], [], color=inks[at], marker=".") for at in (0, -1)}
    return ends | {str(panel.options["ring"]): Line2D([], [], markeredgecolor="0.3", **ring)}


def swarm(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Every row a dot, smallest at the left of its place; rows of a panel's `dash` but its first are hollow."""
    for _, part, look in looks(frame, panel):
        for at in part["at"].unique():
            values = part.filter(pl.col("at") == at)[panel.y].drop_nulls().drop_nans().sort()
            beside = np.linspace(-0.3, 0.3, len(values)) if len(values) > 1 else np.zeros(len(values))
            shown: dict[str, Any] = {"color": look["color"], "facecolors": look.get("markerfacecolor")}
            axes.scatter(at + beside, values, s=8, linewidths=0.7, **shown)
            axes.plot(at, values.median(), marker="_", color="black", markersize=18, markeredgewidth=1.5)  # type: ignore[arg-type]
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    return {}


def lines(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Rows with a list in `y`; with `share` (of the time) from blue to red, the last one strongest; without a share dashed.

    Option `fit`: what the dashed ones are called.
    """
    timed = "share" in frame.columns
    dashed: dict[str, Any] = {"color": "black", "linestyle": DASHES[1], "linewidth": 1.2}
    for row in frame.iter_rows(named=True):
        if timed and row["share"] is None:
            axes.plot(row[panel.y], zorder=3, **dashed)
            continue
        last = not timed or row["share"] == 1
        colour = TIME(row["share"]) if timed else row.get("ink") or "#222222"
        axes.plot(row[panel.y], color=colour, linewidth=1.4 if last else 0.5, alpha=1.0 if last else 0.55)
    axes.axhline(0, color="0.6", linewidth=0.5, zorder=0)
    ends = {"start": TIME(0.0), "end": TIME(1.0)} if timed else {}
    handles: dict[str, Artist] = {name: Line2D([], [], color=ink, linewidth=1.4) for name, ink in ends.items()}
    return handles | ({str(panel.options["fit"]): Line2D([], [], **dashed)} if "fit" in panel.options else {})


def curves(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """From the first x to the last, rows without a y too.

    Option `moment`: what the place in the column `moment` is called, where a grey line stands.
    """
    handles: dict[str, Artist] = {}
    for name, part, look in looks(frame, panel):
        shown: dict[str, Any] = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 1.1}
        axes.plot(part["at"].to_list(), part[panel.y].to_list(), **shown)
        handles[name] = Line2D([], [], **shown)
    axes.set_xlim(*frame.select(pl.col("at").min().alias("from"), pl.col("at").max().alias("to")).row(0))
    if "moment" in panel.options and frame["moment"][0] is not None:
        grey: dict[str, Any] = {"color": "0.6", "linewidth": 0.9}
        axes.axvline(frame["moment"][0], zorder=0, **grey)
        handles[str(panel.options["moment"])] = Line2D([], [], **grey)
    return handles


def fields(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """The first `most` rows, `words` above each. Option `marked`: what rows are called whose column `marked` is false, and true."""
    most = int(str(panel.options.get("most", 10)))
    names, inks = panel.options.get("marked", ("", "")), ("#222222", "#D55E00")
    for place, row in enumerate(frame.head(most).iter_rows(named=True)):
        w = np.array(row[panel.y])
        at = place + np.linspace(0.08, 0.92, len(w))
        axes.plot(at[[0, -1]], [0, 0], color="0.75", linewidth=0.5)
        axes.plot(at, w / (np.abs(w).max() or 1.0), color=inks[row["marked"]], linewidth=1.0)
        axes.text(place + 0.5, 1.15, row["words"], fontsize=6, ha="center", va="bottom", linespacing=1.0)
    axes.set(xlim=(0, most), ylim=(-1.05, 2.1), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return {name: Line2D([], [], color=ink, linewidth=1.4) for name, ink in zip(names, inks, strict=True)}  # type: ignore[arg-type]


def bars(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Option `baseline`: where stairs begin and end; None: they do not."""
    handles: dict[str, Artist] = {}
    for name, part, look in looks(frame, panel):
        part = part.sort("left_edge")
        shown: dict[str, Any] = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 1.4}
        edges = [*part["left_edge"].to_list(), part["right_edge"][-1]]
        axes.stairs(part[panel.y].to_list(), edges, baseline=panel.options.get("baseline", 0.0), **shown)  # type: ignore[arg-type]
        handles[name] = Line2D([], [], **shown)
    return handles


def heat(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Flat counts in the first row's `y`, between its `x_edges` and `y_edges`; over `x_limits` and `y_limits` where it has them."""
    row = frame.row(0, named=True)
    x, y = (np.array(row[name]) for name in ("x_edges", "y_edges"))
    counts = np.array(row[panel.y], dtype=float).reshape(len(x) - 1, len(y) - 1).T
    norm = LogNorm(1, max(2.0, counts.max()))
    axes.pcolormesh(x, y, np.where(counts > 0, counts, np.nan), cmap="viridis", norm=norm, rasterized=True)
    axes.grid(False)
    for name in ("x_limits", "y_limits"):
        if name in row:
            axes.set(**{name[0] + "lim": row[name]})
            {"x": axes.axvline, "y": axes.axhline}[name[0]](0, color="0.4", linewidth=0.6)
    ends = {"a count of 1": 0.0, "the largest (log scale)": 1.0}
    return {name: Line2D([], [], linestyle="", marker="s", color=colormaps["viridis"](at)) for name, at in ends.items()}


def shares(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Option `bounds`: names of the panel's colour whose mean is drawn as a grey line without an interval, solid, then dashed.

    On a logarithmic axis a share of 0 has no place: its marker is a hollow triangle at the interval's upper end.
    """
    bounds: Any = panel.options.get("bounds", ())
    handles: dict[str, Artist] = {}
    for name, part, look in looks(frame, panel):
        line = part.unique("at", maintain_order=True).sort("at").drop_nulls("mean")
        at, mean = (line[column].to_numpy() for column in ("at", "mean"))
        if name in bounds:
            grey: dict[str, Any] = {"color": "0.45", "linewidth": 1.8, "linestyle": DASHES[bounds.index(name)]}
            axes.plot(at, mean, zorder=1, **grey)
            handles[name] = Line2D([], [], **grey)
            continue
        ends = [share_interval(round(share * total), total) for share, total in zip(mean, line["seeds"], strict=True)]
        low, high = np.array(ends).T
        none = (mean == 0) & (panel.yscale == "log")
        some = np.where(none, np.nan, mean)
        hollow: dict[str, Any] = look | {"marker": "v", "markerfacecolor": "white", "linestyle": ""}
        axes.errorbar(at, some, yerr=[mean - low, high - mean], capsize=2, elinewidth=1.0, **look)
        axes.plot(at[none], high[none], **hollow)
        handles[name] = Line2D([], [], **look)
    return legend_apart(frame, panel, handles) if panel.options.get("apart") else handles


def cells(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Rows of cells by the panel's `colour`, the smallest below; x by name.

    Options: `ends`, the numbers that the first and the last colour stand for, of y that is no share; beyond them colours stay. `unit`.
    """
    across, up = frame["x"].unique(maintain_order=True).to_list(), sorted(frame[panel.colour].unique())
    means = np.full((len(up), len(across)), np.nan)
    for x, level, mean in frame.select("x", panel.colour, "mean").unique().iter_rows():
        means[up.index(level), across.index(x)] = np.nan if mean is None else mean
    low, high = panel.options.get("ends", (0.0, 1.0))  # type: ignore[misc]
    edges = [np.arange(size + 1) - 0.5 for size in means.shape[::-1]]
    axes.pcolormesh(*edges, means, cmap="viridis", vmin=low, vmax=high, rasterized=True)
    said = _share if "ends" not in panel.options else "{:.0f}".format
    for row, col in np.ndindex(*means.shape):
        if not np.isnan(mean := means[row, col]):
            ink = "black" if mean > low + 0.6 * (high - low) else "white"
            axes.text(col, row, said(float(mean)), fontsize=6, color=ink, ha="center", va="center")
    axes.set_yticks(range(len(up)), [f"{level:g}" for level in up])
    axes.grid(False)
    unit, named = panel.options.get("unit", ""), {0.0: low, 0.5: (low + high) / 2, 1.0: high}
    handles = [Line2D([], [], linestyle="", marker="s", color=colormaps["viridis"](at)) for at in named]
    return dict(zip((f"{value:g} {unit}".strip() for value in named.values()), handles, strict=True))


def _share(value: float) -> str:
    return f"{value:.2f}".lstrip("0") if 0 < value < 1 else f"{value:g}"


EDGE = {
    "stopped": ("|", "0.35"),
    "failed": ("x", "#D55E00"),
    "diverged": ("1", "#CC79A7"),
    "undefined": ("+", "#0072B2"),
}


def scatter(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """A dot per row, coloured by `shade` in [0, 1] (null: grey), a ring where `best`; rows without `y` at the lower edge, by `status`.

    Options: `named` (column written beside the best), `line` (column of y of a step line), `join` (whether the best are joined).
    """
    axes.set_xscale("log" if frame["scale"][0] == "log" else "linear")
    axes.margins(0.09, 0.14)
    if frame["scale"][0] == "names":
        axes.set_xticks(*frame.select("at", "x").unique().sort("at").to_dict(as_series=False).values())
    known = frame.drop_nulls([panel.y, "at"])
    shades = [colormaps["viridis"](shade) if shade is not None else (0.5, 0.5, 0.5, 1.0) for shade in known["shade"]]
    axes.scatter(known["at"], known[panel.y], s=26, color=shades, linewidths=0, zorder=3)
    best = known.filter("best").sort("at")
    ring: dict[str, Any] = {
        "markerfacecolor": "none",
        "markeredgecolor": "black",
        "markeredgewidth": 1.2,
        "markersize": 7,
    }
    axes.plot(
        best["at"], best[panel.y], marker="o", color="0.4", lw=1.0 * bool(panel.options.get("join")), zorder=2, **ring
    )
    for n, row in enumerate(best.iter_rows(named=True) if "named" in panel.options else ()):
        place, beside = (row["at"], row[panel.y]), (5, -11 if n % 2 else 5)  # in turn, so that neighbours do not meet
        axes.annotate(str(row[panel.options["named"]]), place, beside, textcoords="offset points", fontsize=7)  # type: ignore[index]
    if "line" in panel.options:
        axes.step(frame["at"], frame[str(panel.options["line"])], where="post", color="0.4", lw=1.0, zorder=1)
    handles: dict[str, Artist] = {"best": Line2D([], [], linestyle="", marker="o", **ring)}
    for status, (marker, colour) in EDGE.items():
        lost = frame.filter(pl.col("status") == status, pl.col(panel.y).is_null()).drop_nulls("at")
        edge: dict[str, Any] = {"linestyle": "", "marker": marker, "color": colour, "markersize": 6}
        if len(lost):
            axes.plot(lost["at"], [0.03] * len(lost), transform=axes.get_xaxis_transform(), **edge)
            handles[status] = Line2D([], [], **edge)
    return handles
