"""What a paper's figures are made of: their numbers, the members of a figure's file, one width, numbers in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from impray.results.store import Place
from impray.spec.sweep import Sweep
from paper.claims import Claim

WIDTH_IN = 11.0  # of every picture, so that they stack


class NotMeasured(Exception):
    """The sweep lacks what a figure or panel needs; says what."""


@dataclass(frozen=True)
class Subject:
    """What figures are drawn of: a sweep's folder, and the sweep itself where it is known."""

    folder: Place
    sweep: Sweep | None

    @cached_property
    def caption(self) -> str:
        """Data, and who is missing; what every caption ends with."""
        raise NotImplementedError


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True)
class Table(Generic[S]):
    """A figure's numbers: a frame per panel, pictures as they are shown (row, col, rgb), and what it lacks in words."""

    of: S
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    def frame(self, panel: str, /, **values: object) -> pl.DataFrame:
        """Rows of a panel with these values; empty where there is no such panel."""
        found = self.frames.get(panel)
        if found is None:
            return pl.DataFrame()
        return common.part(found, **values) if values else found

    @property
    def csv(self) -> pl.DataFrame:
        """All frames under one another, without pictures."""
        parts = [frame.with_columns(pl.lit(name).alias("panel")) for name, frame in self.frames.items()]
        return pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame({"panel": []})


class Drawn(Protocol[S]):
    """The members of a figure's file."""

    @property
    def TITLE(self) -> str: ...
    @property
    def PAPER(self) -> str: ...

    def table(self, of: S) -> Table[S]: ...
    def claims(self, table: Table[S]) -> list[Claim]: ...
    def told(self, table: Table[S]) -> list[str]: ...
    def caption(self, table: Table[S]) -> str: ...
    def draw(self, table: Table[S]) -> Figure: ...


def measured(frame: pl.DataFrame, column: str, needs: str) -> pl.DataFrame:
    """The rows in which a column was measured (NaN included).

    Raises:  NotMeasured: there are none.
    """
    found = frame.filter(pl.col(column).is_not_null())
    if found.is_empty():
        raise NotMeasured(f"needs {needs}")
    return found


# --- numbers in words ------------------------------------------------------------------------------------------------


def between(values: pl.Series) -> str:
    """'12', or '10 to 12'."""
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"


def number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) and value == value else "undefined"


def ranged(values: Sequence[float | None] | pl.Series) -> str:
    """'2.1 (1.8 to 2.3)': mean and range over seeds."""
    known = [value for value in values if value is not None and value == value]
    if not known:
        return "undefined"
    mean = number(sum(known) / len(known))
    return mean if len(known) == 1 else f"{mean} ({number(min(known))} to {number(max(known))})"


# --- figures ---------------------------------------------------------------------------------------------------------


def canvas(height: float) -> Figure:
    """An empty figure of the common width."""
    return common.blank(WIDTH_IN, height)


def titled(axes: Axes, letter: str, words: str) -> Axes:
    """A panel's letter and words above it."""
    axes.set_title(f"{letter}  {words}", fontsize=9, loc="left")
    return axes
