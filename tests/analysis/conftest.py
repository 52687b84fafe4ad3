"""Puts analysis/ on the import path, as `python analysis/x.py` does, and builds small tables."""

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pytest

sys.path[:0] = [str(Path(__file__).parents[2] / "analysis"), str(Path(__file__).parent)]  # scripts, and `stored`

import stored  # noqa: E402

from impray.figures import Results, results  # noqa: E402
from impray.results import tables  # noqa: E402
from impray.results.paths import Paths  # noqa: E402

BLEND = "data.gaussian_blend"


@pytest.fixture
def of(request, stored_sweep) -> Results:
    """The stored sweep that a test file names: SWEEP."""
    return stored_sweep(request.module.SWEEP)


@pytest.fixture(scope="session")
def stored_sweep(tmp_path_factory) -> Callable[[str], Results]:
    """The results of stored rows, by their name."""
    return cache(lambda name: results(stored.folder(name, tmp_path_factory.mktemp(name))))


@pytest.fixture
def lineage_row() -> Callable[..., dict]:
    """One row of `rounds`, with the width and clustering given and all else plain."""

    def row(blend: float, method: str, seed: int, width: float | None = None, **others: object) -> dict:
        trial = f"trial-{blend}"
        known = {"lineage": f"{trial}-{method}-{seed}", "trial": trial, "trunk": f"trunk-{seed}", "method": method}
        known |= {"seed": seed, "round": 3, "status": "done", "density": 0.343, BLEND: blend}
        return known | {"rf_width_px_median": width} | others

    return row


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A sweep's folder with these rows."""

    def write(rows: list[dict], table: str = "rounds", axes: dict[str, str] | None = None) -> Path:
        axes = {BLEND: "float"} if axes is None else axes
        (tmp_path / "provenance.json").write_text(json.dumps({"axes": axes}))
        tables.write(Paths(tmp_path), table, "rows", rows, axes)
        return tmp_path

    return write


@pytest.fixture
def lazy() -> Callable[[list[dict]], pl.LazyFrame]:
    return lambda rows: pl.DataFrame(rows, infer_schema_length=None).lazy()
