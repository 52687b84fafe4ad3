"""What MLflow's page of a sweep shows at first: a chart per measure with a line per trial and method, and a bar chart per goal.

By itself MLflow draws one chart per metric, and imp stands in another than its controls. Charts are kept in each reader's browser,
but a view can be saved for all: as a tag of the experiment, which an address names and the page's menu "Views" lists. In it a
trial is a colour, a method a kind of dash. The form is read off MLflow 3.17; a server that does not know it shows its own charts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from impray.results import goals, leaderboard
from impray.results.mlflow.points import GOAL, SPREAD, group_of
from impray.spec.sweep import Sweep

TAG = "mlflow.sharedViewState."
NAME = "methods side by side"
_PACKED = "deflate;"
_LENGTH = 20_000  # of a tag's value, 5,000 before MLflow 2.18
_DASHES = ("solid", "dash", "dot", "longdash", "dashdot", "longdashdot")  # of the metrics of a chart, in their order
_LAST = ("Model metrics", "System metrics")  # MLflow's own sections, which it expects at the end


def key(name: str) -> str:
    """The view's name in addresses: of a sweep's identity, as sweeps of one title share an experiment."""
    return f"impray-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def query(name: str) -> str:
    """Of the address of the experiment's page. An order or a filter beside the view would turn the view off."""
    return f"viewStateShareKey={key(name)}&compareRunsMode=CHART"


def view(sweep: Sweep, metrics: Iterable[str], parent: str, start: int) -> str | None:
    """The tag's value; None where a server would not take it, which some 2,000 metrics reach.

    Args:    metrics: names of all metrics of the sweep's trials. parent: MLflow's id of the sweep's own run, which is unfolded.
             start: when the sweep began, in ms; views are listed by it.
    """
    charts, sections = _charts(sweep, sorted(set(metrics)))
    asked = sweep.search.goals
    order = f"metrics.`{GOAL}/{goals.label(asked[0])}`" if asked else "tags.`impray.number`"
    columns = [f"params.`{path}`" for path in sweep.search.space]
    state = {
        "orderByKey": order,
        "orderByAsc": not asked or asked[0].direction == "min",
        "selectedColumns": [*columns, *(f"metrics.`{GOAL}/{goals.label(goal)}`" for goal in asked)],
        "runsExpanded": {parent: True},
        "runsHiddenMode": "FIRST_10_RUNS",
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
        "compareRunCharts": charts,
        "compareRunSections": sections,
    }
    packed = json.dumps({"name": NAME, "createdAt": start, "updatedAt": start, "state": _packed(state)})
    return packed if len(packed) <= _LENGTH else None


def same(stored: str | None, wanted: str) -> bool:
    """Whether two values of the tag say the same; zlib packs otherwise from version to version."""
    try:
        return stored is not None and _unpacked(stored) == _unpacked(wanted)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return False


def _packed(state: dict[str, Any]) -> str:
    text = json.dumps(state, separators=(",", ":"))
    return _PACKED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _unpacked(value: str) -> Any:
    saved = json.loads(value)
    state = zlib.decompress(base64.b64decode(saved["state"].removeprefix(_PACKED), validate=True))
    return {**saved, "state": json.loads(state)}


def _charts(sweep: Sweep, metrics: Sequence[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    measured = [metric.rpartition("/")[0] for metric in metrics if group_of(metric) != GOAL]
    columns = sorted({column for column in measured if not column.endswith(SPREAD)})
    first = [column for column in leaderboard.SHOWN if column in columns]
    rest = [column for column in columns if column not in first]
    spreads = [column + SPREAD for column in (*first, *rest) if column + SPREAD in measured]
    parts = [
        ("goals", [_bar(metric) for metric in metrics if metric.startswith(f"{GOAL}/")]),
        (NAME, [_line(column, sweep.methods, metrics) for column in first]),
        ("more of the table rounds", [_line(column, sweep.methods, metrics) for column in rest]),
        ("standard error over seeds", [_line(column, sweep.methods, metrics) for column in spreads]),
    ]
    parts = [(name, cards) for name, cards in parts if cards]
    charts = [
        card | {"uuid": f"{name} {place}", "metricSectionId": name, "isGenerated": False}
        for name, cards in parts
        for place, card in enumerate(cards)
    ]
    # MLflow adds a chart for each metric that has none of its own name. One that was deleted counts.
    charted = {card["metricKey"] for card in charts}
    charts += [
        {"type": "LINE", "metricKey": metric, "uuid": metric, "metricSectionId": _LAST[0]}
        | {"isGenerated": True, "deleted": True}
        for metric in metrics
        if metric not in charted
    ]
    open = {"goals", NAME}
    # Legends are long, and cut before they come to the method.
    dashes = ", ".join(f"{dash} {method}" for dash, method in zip(_DASHES, sweep.methods, strict=False))
    titles = {NAME: dashes} if len(sweep.methods) > 1 else {}
    sections = [
        # Two beside each other: of three, the legends are cut.
        {"uuid": name, "name": titles.get(name, name), "display": name in open, "isReordered": True, "columns": 2}
        for name, _ in parts
    ]
    return charts, [
        *sections,
        *({"uuid": name, "name": name, "display": False, "isReordered": False} for name in _LAST),
    ]


def _line(column: str, methods: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    of_column = [metric for metric in metrics if metric.rpartition("/")[0] == column]
    order = {f"{column}/{method}": place for place, method in enumerate(methods)}
    there = sorted(of_column, key=lambda metric: order.get(metric, len(order)))
    return {
        "type": "LINE",
        "metricKey": there[0],
        "selectedMetricKeys": there,
        "displayName": column,
        "deleted": False,
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "range": {},
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _bar(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric, "displayName": metric.partition("/")[2], "deleted": False}
