"""A fake sweep with an MLflow store: making one takes seconds, copying it does not."""

import shutil
import sqlite3

import pytest
from fake_sweep import Fake

from impray.results import mlflow
from impray.results.mlflow import store as making


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """An empty store: making one takes seconds, copying it does not."""
    fake = Fake(tmp_path_factory.mktemp("empty") / "fake")
    mlflow.prepare(fake.folder)
    return fake.paths.mlflow


@pytest.fixture
def fake(tmp_path, store):
    """A fake sweep with one of three rounds; its store has MLflow's tables already."""
    fake = Fake(tmp_path / "fake")
    shutil.copy(store, fake.paths.mlflow)
    with sqlite3.connect(fake.paths.mlflow) as database:
        database.execute("delete from experiment_tags")
        database.execute("delete from experiments where name = 'fake'")
    fake.round(0, 0)
    fake.round(1, 0)
    return fake


@pytest.fixture
def quick(monkeypatch, store):
    """New stores are copies of an empty one."""

    def copy(file, artifacts):
        shutil.copy(store, file)
        with sqlite3.connect(file) as database:
            database.execute("delete from experiment_tags")
            database.execute("delete from experiments where name = 'fake'")

    monkeypatch.setattr(making, "_migrate", copy)
