"""The page of a sweep: every metric has its place, imp and its controls in one chart."""

import json
import sqlite3

import pytest
from fake_sweep import Fake, client
from mlflow import MlflowClient

from impray.results import mlflow
from impray.results.mlflow import charts
from impray.results.mlflow.identity import identity
from impray.results.mlflow.points import SPREAD, _metric_columns
from impray.results.provenance import read_sweep

pytestmark = pytest.mark.usefixtures("quick")


def tags(fake, uri=None):
    return client(fake, uri).get_experiment_by_name(fake.folder.name).tags


def state(fake):
    return charts._unpacked(tags(fake)[charts.TAG + charts.key(identity(fake.paths))])["state"]


@pytest.mark.slow
def test_every_metric_is_in_a_chart_with_its_column_for_the_other_methods(fake):
    fake.round(0, 1, loss=1.0)
    mlflow.sync(fake.folder)
    metrics = {key for run in client(fake).search_runs([mlflow.prepare(fake.folder)]) for key in run.data.metrics}
    cards = state(fake)["compareRunCharts"]
    shown = [card for card in cards if not card.get("deleted")]
    lines = [set(card["selectedMetricKeys"]) for card in shown if card["type"] == "LINE"]
    assert set.union(*lines) == metrics and sum(map(len, lines)) == len(metrics)
    assert all({key.rpartition("/")[2] for key in line} == set(fake.methods) for line in lines)
    # MLflow adds a chart of its own for a metric that is no card's first.
    assert {card["metricKey"] for card in cards} == metrics
    sections = {section["uuid"] for section in state(fake)["compareRunSections"]}
    assert {card["metricSectionId"] for card in cards} <= sections
    assert len({card["uuid"] for card in cards}) == len(cards)


def test_the_charts_are_written_once_and_mended(fake, monkeypatch):
    mlflow.sync(fake.folder)
    tag, before, written = charts.TAG + charts.key(identity(fake.paths)), tags(fake), []
    write = MlflowClient.set_experiment_tag
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", lambda *of: (written.append(of[2]), write(*of)))
    mlflow.sync(fake.folder)
    assert written == [] and tags(fake) == before
    for value in ("{}", "[]", '{"state": 1}', "deflate;x", before[tag].replace('"state"', '"stale"')):
        with sqlite3.connect(fake.paths.mlflow) as database:
            database.execute("update experiment_tags set value = ? where key = ?", (value, tag))
        mlflow.sync(fake.folder)
        assert charts.same(tags(fake)[tag], before[tag])


def test_a_note_that_someone_wrote_stays(fake):
    mlflow.sync(fake.folder)
    link = charts.query(identity(fake.paths))
    assert link in tags(fake)["mlflow.note.content"] and link in mlflow.ui_page(fake.folder)
    client(fake).set_experiment_tag(mlflow.prepare(fake.folder), "mlflow.note.content", "mine")
    mlflow.sync(fake.folder)
    assert tags(fake)["mlflow.note.content"] == "mine"


def test_sweeps_of_one_title_keep_their_own_charts_in_one_experiment(fake, tmp_path):
    uri = f"sqlite:///{tmp_path}/shared.db"
    other = Fake(tmp_path / "other" / "fake", gains=(0.5,))
    other.round(0, 0)
    for each in (fake, other):
        mlflow.sync(each.folder, uri)
    keys = {charts.TAG + charts.key(identity(each.paths)) for each in (fake, other)}
    assert len(keys) == 2 and keys <= tags(fake, uri).keys()


def test_before_anything_is_exported_the_page_is_named_without_charts(fake):
    mlflow.prepare(fake.folder)
    assert "viewStateShareKey" not in mlflow.ui_page(fake.folder)


@pytest.mark.parametrize(("methods", "fits"), [(3, True), (6, True), (200, False)])
def test_no_tag_is_longer_than_a_server_takes(fake, methods, fits):
    names = [f"method{n}" for n in range(methods)]
    metrics = [f"{column}{end}/{of}" for column in _metric_columns() for end in ("", SPREAD) for of in names]
    found = charts.view(read_sweep(fake.paths), metrics, "a" * 32, 1)
    assert (found is not None) == fits
    assert found is None or len(found) <= 20_000 and json.loads(found)["name"]
