"""The tables: the one owner of every column's name, type, unit and sentence. `impray tables` prints this.

A sweep's axes become columns of the same dotted name. Null = not measured; NaN = measured and undefined. Rows are identified by
their key; of two rows with one key the one written later counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from impray.results.named import TABLES as TABLES
from impray.spec import families
from impray.spec.family import until_changed
from impray.spec.measure import Column

VERSION = 2  # 1: files without a seal

TYPES: dict[str, pl.DataType] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "str": pl.String(),
    "json": pl.String(),
    "bool": pl.Boolean(),
    "bytes": pl.Binary(),
    "time": pl.Datetime("us", "UTC"),
    "list[float]": pl.List(pl.Float64()),
    "list[int]": pl.List(pl.Int64()),
    "list[str]": pl.List(pl.String()),
}

KEYS: dict[str, tuple[str, ...]] = {
    "rounds": ("lineage", "round"),
    "units": ("lineage", "round", "layer", "unit"),
    "fates": ("lineage", "round", "layer", "fate"),
    "masks": ("lineage", "round", "layer", "unit"),
    "images": ("lineage", "round", "name", "number"),
    "histograms": ("lineage", "round", "layer", "name"),
    "steps": ("lineage", "round", "step", "unit"),
    "removals": ("lineage", "removal"),
    "trials": ("trial",),
    "failures": ("pack", "written_at"),
    "findings": ("figure", "number"),
}

OF_ROUNDS = (
    "units",
    "masks",
    "images",
    "histograms",
    "steps",
)  # what else is written of a round, before its row in `rounds`

# Of the rows of one group only those written last count: a measure that is asked again for fewer leaves no stale ones.
GROUPS: dict[str, tuple[str, ...]] = {
    "masks": ("lineage", "round"),
    "images": ("lineage", "round", "name"),
    "histograms": ("lineage", "round", "layer", "name"),
    "steps": ("lineage", "round"),
    "removals": ("lineage",),
    "findings": ("figure",),
}

_LINEAGE = (
    Column("lineage", "str", "", "id of the lineage: a hash of all that decides its numbers"),
    Column("round", "int", "prunings", "0 is the dense round"),
    Column("method", "str", "", "how its masks come about: imp, oneshot, random ..."),
    Column("seed", "int", "", "the lineage's seed"),
)
_LAYER = (Column("layer", "int", "", "1 is the first weight matrix"),)
_UNIT = (*_LAYER, Column("unit", "int", "", "row of the weight matrix, from 0"))
_STATUS = Column("status", "str", "", "done, or diverged: a non-finite loss ended the lineage in this round")

_SECONDS = (
    Column(
        "wall_s",
        "float",
        "s",
        "core seconds that this lineage's row took, measures included. Trained: an equal part of the pack's time in this round. "
        "Solved: its part of its own method's solver call, spread over its rounds, and an equal part of the rest",
    ),
    Column(
        "lineage_s",
        "float",
        "s",
        "core seconds that it took to get to this round's network, measures not counted. Trained: the dense round, each round since whose "
        "weights were ranked, this one; parts of a pack are equal. Solved: drawing the problem and this round's solving (of nested masks "
        "the whole path; what several methods share counts for the first). Null: a checkpoint of a version before 0.9.0",
    ),
)
_WRITTEN = (
    Column("version", "str", "", "impray's version"),
    Column("git_sha", "str", "", "commit of the source, if it is a checkout"),
    Column("host", "str", "", "machine that computed the row"),
    Column("device", "str", "", "cpu, or the name of the accelerator"),
    Column("written_at", "time", "UTC", "when the row was written"),
)
# Columns that a second run of the same sweep may fill differently; everything else is the same bit for bit.
PROVENANCE = (*_SECONDS, *_WRITTEN)


def _of_measures(kind: str) -> tuple[Column, ...]:
    seen: dict[str, Column] = {}
    for measure in families.measures.specs:
        for column in getattr(measure, kind):
            seen.setdefault(column.name, column)
    return tuple(seen.values())


def _summaries() -> tuple[Column, ...]:
    return tuple(
        Column(
            f"{column.name}_{statistic}",
            "float",
            column.unit,
            f"{statistic} over layer 1's units of: {column.sentence}",
        )
        for column in _of_measures("unit_columns")
        if column.is_quantity
        for statistic in ("mean", "median")
    )


# Table -> its columns before and after the axes; text stands for the columns of that name of all measures that there are.
_COLUMNS: dict[str, tuple[tuple[Column | str, ...], tuple[Column | str, ...]]] = {
    "rounds": (
        (
            *_LINEAGE,
            Column("trunk", "str", "", "id of the dense round 0 that this lineage shares with others"),
            Column("trial", "str", "", "id of the trial"),
        ),
        (
            _STATUS,
            Column(
                "trained", "bool", "", "whether the network trained in this round; if not, nothing asked for its end"
            ),
            Column(
                "exact",
                "bool",
                "",
                "whether its numbers are the same, bit for bit on one kind of CPU, whatever lineages stood beside it in the pack",
            ),
            Column("density", "float", "share", "kept / prunable parameters, over all pruned layers"),
            "lineage_columns",
            Column("units_counted", "int", "units", "units of layer 1 with a defined rf_width_x_px"),
            "summaries",
            Column("measured", "str", "", "measures, parameters and axes that this row was written with"),
            Column(
                "rows_elsewhere", "str", "", "how many rows other tables have of this lineage and round: `units:10`"
            ),
            *PROVENANCE,
        ),
    ),
    "units": ((*_LINEAGE, *_UNIT), ("unit_columns", *_WRITTEN)),
    "fates": (
        (
            *_LINEAGE,
            *_LAYER,
            Column("fate", "int", "round", "the round whose mask first lacks the weight; 0: it survives"),
        ),
        (
            Column("weights", "int", "weights", "kept weights of this fate in this round"),
            Column("abs_weight_start_mean", "float", "1", "their mean |w| at theta(rewind)"),
            Column("abs_weight_start_sem", "float", "1", "its standard error"),
            Column(
                "abs_weight_end_mean", "float", "1", "their mean |w| after training; null if not trained or diverged"
            ),
            "fate_columns",
            Column("measured", "str", "", "measures of single weights and parameters that this row was written with"),
            *_WRITTEN,
        ),
    ),
    "masks": ((*_LINEAGE, *_UNIT), ("mask_columns", *_WRITTEN)),
    "images": (
        (
            *_LINEAGE,
            Column("name", "str", "", "what it shows: pca, ica, abs_mean, variance, sample, correlation_same ..."),
            Column("number", "int", "", "which one of that name, from 0"),
        ),
        ("image_columns", *_WRITTEN),
    ),
    "histograms": (
        (*_LINEAGE, *_LAYER, Column("name", "str", "", "x against y: weight_cavity has weight and cavity score")),
        ("histogram_columns", *_WRITTEN),
    ),
    "steps": (
        (
            *_LINEAGE,
            Column("step", "int", "updates", "updates made in this round, 0 at its start"),
            Column("unit", "int", "", "row of the first weight matrix, from 0"),
        ),
        ("step_columns", *_WRITTEN),
    ),
    "removals": (
        (
            *(column for column in _LINEAGE if column.name != "round"),
            Column("removal", "int", "", "which removal of the lineage, from 1"),
            Column("round", "int", "prunings", "the round whose mask first lacks the weight"),
        ),
        ("removal_columns", *_WRITTEN),
    ),
    "trials": (
        (
            Column("trial", "str", "", "id of the trial: a hash of data, net, training and pruning"),
            Column("number", "int", "", "order in which the search asked for it, from 0"),
            Column("name", "str", "", "its data in words: NLGP(0.01), Kur(5), t(6), shell, photographs, clone"),
            Column("kind", "str", "", "its kind of data"),
            Column("family", "str", "", "pointwise, elliptical, images or arrays"),
            Column(
                "excess_kurtosis",
                "float",
                "1",
                "exact excess kurtosis of an input within a class, inf where infinite; null where no theory knows it",
            ),
        ),
        (
            Column(
                "status",
                "str",
                "",
                "running (not over), done, diverged (every lineage did), stopped (early), or failed",
            ),
            Column("rounds", "int", "prunings", "the last round reached"),
            Column("goals", "list[float]", "", "values of the sweep's goals"),
            Column("goal_names", "list[str]", "", "what each of them reads"),
            Column("stopped_by", "str", "", "the stop_early that ended it, if one did"),
            Column("lineages", "list[str]", "", "its lineages' ids"),
            Column("description", "json", "", "the trial's canonical form"),
            *_WRITTEN,
        ),
    ),
    "failures": (
        (
            Column("pack", "str", "", "id of the pack"),
            Column("round", "int", "", "round that was being run"),
            Column("trials", "list[str]", "", "trials with a lineage in the pack"),
            Column("lineages", "list[str]", "", "lineages of the pack"),
            Column("error", "str", "", "type and message"),
            Column("trace", "str", "", "where in the code"),
            Column("hint", "str", "", "what to do about it"),
        ),
        _WRITTEN,
    ),
    "findings": (
        (
            Column("figure", "str", "", "name of the figure that makes the claim"),
            Column(
                "number",
                "int",
                "",
                "its place among the figure's claims, from 0; the first that is no control is the main one",
            ),
        ),
        (
            Column("claim", "str", "", "the claim in words"),
            Column("question", "str", "", "claims of one figure and question are corrected together"),
            Column("source", "str", "", "the paper and figure that says so"),
            Column("against", "str", "", "what would count against it"),
            Column("control", "bool", "", "not claimed itself: what the other claims lean on"),
            Column("verdict", "str", "", "holds, contradicted, no difference, undecided or not measured"),
            Column("sign", "int", "", "claimed sign of the effect; 0: no difference beyond the margin"),
            Column(
                "effect", "float", "as `unit` says", "mean over units of replication; of a count the share that holds"
            ),
            Column("low", "float", "as `unit` says", "lower end of the 95 % interval"),
            Column("high", "float", "as `unit` says", "upper end of the 95 % interval"),
            Column("interval", "str", "", "t, exact binomial, or sign test"),
            Column("unit", "str", "", "of the effect"),
            Column("margin", "float", "as `unit` says", "smaller effects do not matter; null: none was stated"),
            Column("held", "int", "", "units of replication in which it holds"),
            Column("of", "int", "", "units of replication with a number"),
            Column("dropped", "int", "", "units of replication without one"),
            Column("what", "str", "", "the unit of replication: nearly always a seed"),
            Column("chance", "float", "probability", "that one unit holds under no effect"),
            Column("expected", "float", "", "units that hold under no effect, on average"),
            Column("p_count", "float", "probability", "exact two-sided test of that count"),
            Column("p", "float", "probability", "two-sided test of the effect"),
            Column("p_holm", "float", "probability", "the same after Holm's correction"),
            Column("claims_corrected", "int", "", "how many claims were corrected together"),
            Column("lacking", "str", "", "why there is nothing to judge"),
            *_WRITTEN,
        ),
    ),
}


def columns(table: str, axes: Mapping[str, str] | None = None) -> list[Column]:
    """Every column of a table. `axes` maps a sweep's axis paths to their types (`float`, `int`, `str`, `bool`, `json`)."""
    before, after = _columns(table)
    of_axes = [Column(path, kind, "", "axis value") for path, kind in (axes or {}).items()]
    return [*before, *(of_axes if table not in ("failures", "findings") else []), *after]


@until_changed
def _columns(table: str) -> tuple[list[Column], list[Column]]:
    before, after = _COLUMNS[table]
    return _spelled_out(before), _spelled_out(after)


def _spelled_out(columns: Sequence[Column | str]) -> list[Column]:
    spelled_out: list[Column] = []
    for column in columns:
        if isinstance(column, Column):
            spelled_out.append(column)
        else:
            spelled_out += _summaries() if column == "summaries" else _of_measures(column)
    return spelled_out


def schema(table: str, axes: Mapping[str, str] | None = None) -> dict[str, pl.DataType]:
    """Column name -> polars type, in order."""
    return {column.name: TYPES[column.type] for column in columns(table, axes)}
