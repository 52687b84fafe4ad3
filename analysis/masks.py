"""Masks of the most connected units as images, natural against clone.  Redman et al. (2025), Fig. 1A, B and 3B.

Rows: methods; columns: both ends of the axis of non-Gaussianity (else of the sweep's first axis). Each panel shows up
to 24 units of one seed at the last round that has masks for all panels, the most inputs first; pruned is black,
colour channels are RGB. `touching` is the number of kept neighbours (left-right and up-down, within a channel)
relative to chance at the same fan-in.

Expect: imp on natural inputs shows compact spots (touching well above 1), oneshot noisier ones, the clone diffuse
ones, random none (touching near 1). What would count against us: masks of the clone as compact as those of the data.
"""

from __future__ import annotations

from collections.abc import Mapping

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from impray.results.store import Place
from impray.spec.errors import DataError

QUESTION = "Do the masks that IMP finds show local receptive fields, and on which inputs?"
MOST_UNITS = 24
PER_LINE = 8  # masks in one line of a mosaic


# --- table -----------------------------------------------------------------------------------------------------------


def table(rows: pl.LazyFrame, axes: list[str], round: int | None = None, diverged: int = 0) -> pl.DataFrame:
    """One row per mask, those with the most inputs first, with its place in the panel, `touching`, and `bits` in hex.

    Args:    diverged: lineages of the sweep that diverged and so may lack masks; for the caption.

    Raises:  DataError: no mask is an image, or none was stored at the round.
    """
    frame = rows.filter((pl.col("layer") == 1) & (pl.col("shape").list.len() >= 2)).collect()
    if frame.is_empty():
        raise DataError("nothing to draw: no stored mask of the first layer is an image")
    frame = _of_one_seed(_at_one_round(_ends_only(frame, axes), round))
    ordered = frame.sort(["at", "method", "fan_in", "unit"], descending=[False, False, True, False])
    panel = ["x", "method"]
    ordered = ordered.with_columns(pl.int_range(pl.len()).over(panel).alias("place")).filter(
        pl.col("place") < MOST_UNITS
    )
    shapes = ["x".join(map(str, shape)) for shape in ordered["shape"].to_list()]
    bits = [bits.hex() for bits in ordered["bits"].to_list()]
    ordered = ordered.with_columns(pl.lit(diverged).alias("diverged"))
    found = ordered.with_columns(pl.Series("shape", shapes, dtype=pl.String), pl.Series("bits", bits, dtype=pl.String))
    near = [touching(picture(*pair)) for pair in zip(bits, shapes, strict=True)]
    names = [
        "axis",
        "x",
        "at",
        "method",
        "round",
        "seed",
        "place",
        "unit",
        "fan_in",
        "shape",
        "touching",
        "diverged",
        "bits",
    ]
    return found.with_columns(pl.Series("touching", near, dtype=pl.Float64)).select(names)


def _ends_only(frame: pl.DataFrame, axes: list[str]) -> pl.DataFrame:
    """Both ends of the main axis; of every further axis its first value, named in `axis`."""
    axis = common.main_axis([path for path in axes if path in frame.columns])
    fixed = []
    for path in (path for path in axes if path in frame.columns and path != axis):
        labels, places, _ = common.positions(frame, path)
        first = min(zip(places, labels, strict=True))[1]
        if len(set(labels)) > 1:
            fixed.append(f"{path} = {first}")
        frame = frame.filter(pl.Series([each == first for each in labels], dtype=pl.Boolean))
    labels, places, _ = common.positions(frame, axis)
    frame = frame.with_columns(
        pl.lit(", ".join([axis or "", *fixed])).alias("axis"),
        pl.Series("x", labels, dtype=pl.String),
        pl.Series("at", places, dtype=pl.Float64),
    )
    return frame.filter(pl.col("at").is_in([min(places), max(places)]))


def _at_one_round(frame: pl.DataFrame, round: int | None) -> pl.DataFrame:
    """The round asked for, or the last one that every panel has."""
    of_panels = [set(panel["round"]) for _, panel in frame.group_by("x", "method")]
    common_rounds = set.intersection(*of_panels)
    if round is None and not common_rounds:
        raise DataError("nothing to draw: methods and inputs have no stored masks at one round; try --round")
    wanted = max(common_rounds) if round is None else round
    found = frame.filter(pl.col("round") == wanted)
    if found.is_empty():
        stored = common.spans(frame["round"].unique().to_list())
        raise DataError(f"nothing to draw: no masks are stored at round {wanted}; there are masks of {stored}")
    return found


def _of_one_seed(frame: pl.DataFrame) -> pl.DataFrame:
    """The lowest seed that most panels have."""
    count = frame.group_by("seed").agg(pl.struct("x", "method").n_unique().alias("panels"))
    seed = count.sort(["panels", "seed"], descending=[True, False])["seed"][0]
    return frame.filter(pl.col("seed") == seed)


def picture(bits: str, shape: str) -> np.ndarray:
    """A stored mask as booleans (channel, row, col); one channel where the inputs are grey."""
    sides = [int(side) for side in shape.split("x")]
    kept = np.unpackbits(np.frombuffer(bytes.fromhex(bits), dtype=np.uint8))[: int(np.prod(sides))]
    return kept.astype(bool).reshape((1, *sides)[-3:])


def touching(kept: np.ndarray) -> float:
    """Pairs of kept neighbours within a channel over the number expected at random; NaN below two inputs.

    With n of P inputs kept at random, each of the E neighbour pairs is kept with probability n (n - 1) / (P (P - 1)).
    """
    n, inputs = int(kept.sum()), kept.size
    channels, rows, cols = kept.shape
    edges = channels * (rows * (cols - 1) + (rows - 1) * cols)
    pairs = (kept[:, :, 1:] & kept[:, :, :-1]).sum() + (kept[:, 1:] & kept[:, :-1]).sum()
    return float(pairs * inputs * (inputs - 1) / (edges * n * (n - 1))) if n > 1 and edges else float("nan")


# --- figure ----------------------------------------------------------------------------------------------------------


def draw(table: pl.DataFrame) -> Figure:
    """A mosaic per method and end of the axis."""
    methods, columns = common.in_order(table, "method"), common.in_order(table, "x")
    figure, grid = common.canvas(len(methods), len(columns), (4.6, 1.65))
    for method, line in zip(methods, grid, strict=True):
        for x, axes in zip(columns, line, strict=True):
            _panel(axes, common.part(table, x=x, method=method).sort("place"))
        line[0].set_ylabel(method, fontsize=11)
    for x, axes in zip(columns, grid[0], strict=True):
        axes.set_title(_named(table, x), fontsize=10)
    return common.finish(figure, QUESTION, [headline(table), _caption(table)], {})


def _panel(axes: Axes, table: pl.DataFrame) -> None:
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if table.is_empty():
        axes.text(0.5, 0.5, "no masks stored", ha="center", transform=axes.transAxes, fontsize=9)
        return
    pictures = [picture(row["bits"], row["shape"]) for row in table.iter_rows(named=True)]
    axes.imshow(mosaic(pictures), interpolation="nearest", aspect="equal")


def mosaic(pictures: list[np.ndarray]) -> np.ndarray:
    """Masks side by side as one RGB image, a grey line between them; grey masks are white where kept."""
    _, rows, cols = pictures[0].shape
    lines = -(-MOST_UNITS // PER_LINE)
    found = np.full((lines * (rows + 1) + 1, PER_LINE * (cols + 1) + 1, 3), 0.45)
    for place, kept in enumerate(pictures):
        top, left = (place // PER_LINE) * (rows + 1) + 1, (place % PER_LINE) * (cols + 1) + 1
        channels = kept if len(kept) == 3 else np.repeat(kept.any(axis=0, keepdims=True), 3, axis=0)
        found[top : top + rows, left : left + cols] = channels.transpose(1, 2, 0)
    return found


# --- text ------------------------------------------------------------------------------------------------------------


def text(table: pl.DataFrame) -> str:
    """The verdict on this one seed, what each panel holds, and the caption."""
    found = [QUESTION, headline(table), ""]
    for (x, method), panel in _panels(table).items():
        found.append(
            f"{method} at {_named(table, x)}: {len(panel)} units, {panel['fan_in'].max()} to {panel['fan_in'].min()} "
            f"inputs, touching {_mean(panel):.2f} times chance."
        )
    return "\n".join([*found, "", _caption(table), ""])


def headline(table: pl.DataFrame) -> str:
    """Which masks are the more compact, by kept neighbours."""
    found = {key: _mean(panel) for key, panel in _panels(table).items()}
    ends = common.ends(table.with_columns(pl.col("axis").str.split(",").list.first()))
    x = (ends or common.in_order(table, "x"))[0]
    methods = {method: value for (at, method), value in found.items() if at == x and value == value}
    order = sorted(methods, key=lambda method: -methods[method])
    listed = " > ".join(f"{method} ({methods[method]:.2f})" for method in order)
    expected = [method for method in ("imp", "oneshot", "random") if method in methods]
    said = [f"Kept neighbours relative to chance at {_named(table, x)}: {listed or 'undefined'}"]
    if len(expected) > 1:
        agrees = [method for method in order if method in expected] == expected
        said[0] += f", {'the' if agrees else 'not the'} order of Redman et al. (2025), Fig. 1."
    else:
        said[0] += "."
    if ends is not None and {(end, "imp") for end in ends} <= set(found):
        data, clone = (found[end, "imp"] for end in ends)
        said.append(_against_clone(data, clone, found.get((ends[1], "random"))))
    return " ".join(said)


def _against_clone(data: float, clone: float, random: float | None) -> str:
    more = "more" if data > clone else "no more"
    sentence = (
        f"imp's masks are {more} compact at the least Gaussian end ({data:.2f}) than at the most Gaussian ({clone:.2f})"
    )
    if random is not None and clone > random:
        sentence += f", where they still are above random ({random:.2f})"
    direction = "the direction of" if data > clone else "the reverse of"
    return f"{sentence}; {direction} Fig. 3B. One seed: width_by_gain has them all."


def _panels(table: pl.DataFrame) -> dict[tuple[str, str], pl.DataFrame]:
    pairs = [(x, method) for x in common.in_order(table, "x") for method in common.in_order(table, "method")]
    found = {pair: common.part(table, x=pair[0], method=pair[1]) for pair in pairs}
    return {pair: panel for pair, panel in found.items() if not panel.is_empty()}


def _mean(panel: pl.DataFrame) -> float:
    value = panel["touching"].drop_nans().mean()
    return float(value) if isinstance(value, float) else float("nan")


def _named(table: pl.DataFrame, x: str) -> str:
    return common.named(table["axis"][0].split(",")[0], x)


def _caption(table: pl.DataFrame) -> str:
    _, *fixed = table["axis"][0].split(", ")
    at = f" Further axes at one value: {', '.join(fixed)}." if fixed else ""
    return (
        f"Up to {MOST_UNITS} units with the most inputs, of one seed ({table['seed'][0]}), at round "
        f"{table['round'][0]}; black is pruned, no error bars. "
        f"{table['diverged'][0]} lineages of the sweep diverged; the seed is the lowest that most panels have.{at}"
    )


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    rows, axes = common.rows("masks", folder, only)
    lineages = common.rows("rounds", folder, only)[0].filter(pl.col("status") == "diverged").collect()
    found = table(rows, list(axes), round, lineages["lineage"].n_unique())
    common.save("masks", folder, found, draw(found), text(found))


if __name__ == "__main__":
    common.run(main, __doc__)
