"""Plugins that are installed packages: found by their entry points, imported when asked for, and the same on Ray's actors."""

import os
import subprocess
import sys
import time

import pytest
from conftest import assert_same_tables, sweep_into
from plugins import written
from typer.testing import CliRunner

from impray.cli.app import app
from impray.results.tables import scan
from impray.spec import families
from impray.spec.errors import SweepError
from impray.spec.load import load
from impray.spec.plugins import joined
from impray.spec.plugins.loading import installed

FAMILY_OF = {
    "my_measures": "measures",
    "my_rules": "rules",
    "my_data": "data",
    "my_nets": "nets",
    "my_figures": "figures",
}


@pytest.fixture
def found_anew():
    installed.cache_clear()
    yield
    installed.cache_clear()


@pytest.fixture
def distribution(tmp_path, monkeypatch, found_anew):
    """A function that puts a module with an entry point on the path, as an installed package is."""

    def put(name, text, family="measures", point="PLUGIN"):
        (tmp_path / f"of_{name}.py").write_text(text)
        info = tmp_path / f"of_{name}-3.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: of-{name}\nVersion: 3.1\n")
        (info / "entry_points.txt").write_text(f"[impray.{family}]\n{name} = of_{name}:{point}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, f"of_{name}", raising=False)  # another test's
        installed.cache_clear()

    return put


def test_an_installed_member_joins_when_it_is_asked_for(tmp_path, distribution):
    distribution("mine", written.MEASURE)
    assert "of_mine" not in sys.modules
    load(written.sweep_with(tmp_path, plugins=[]))
    assert "of_mine" not in sys.modules and "mine.kept" not in families.measures.members
    sweep = load(written.sweep_with(tmp_path, plugins=[], measures=["mine.kept"]))
    assert sweep.measures[0].name == "mine.kept"
    assert families.measures.member("mine.kept").source == "of-mine 3.1"
    (parcel,) = joined.sent(sweep)
    assert parcel["text"] is None and parcel["version"] == "1"


def test_another_version_on_an_actor_is_told(tmp_path, distribution):
    distribution("mine", written.MEASURE)
    sweep = load(written.sweep_with(tmp_path, plugins=[], measures=["mine.kept"]))
    (parcel,) = joined.sent(sweep)
    with pytest.raises(joined.PluginError, match="version 1 on this machine .* and 2 where"):
        joined.receive([{**parcel, "version": "2"}])
    with pytest.raises(joined.PluginError, match="not installed on this machine"):
        joined.receive([{**parcel, "name": "absent"}])


BROKEN = {
    "cannot be imported": ("import nothing_of_that_name\n", "PLUGIN", "ModuleNotFoundError"),
    "no such object": (written.MEASURE, "PLUGGIN", "AttributeError"),
    "not a plugin": (written.MEASURE, "kept", "no impray.plugin.Plugin"),
    "another name": (
        written.MEASURE.replace('Plugin(version="1"', 'Plugin(name="other", version="1"'),
        "PLUGIN",
        "other",
    ),
}


@pytest.mark.parametrize("text, point, words", BROKEN.values(), ids=BROKEN)
def test_a_broken_one_is_told_where_it_is_asked_for_and_nowhere_else(tmp_path, distribution, text, point, words):
    name = f"broken_{list(BROKEN.values()).index((text, point, words))}"
    distribution(name, text, point=point)
    load(written.sweep_with(tmp_path, plugins=[]))
    with pytest.raises(SweepError) as error:
        load(written.sweep_with(tmp_path, plugins=[], measures=[f"{name}.kept"]))
    (problem,) = error.value.problems
    assert f"of-{name.replace('_', '-')}" in str(problem).replace("_", "-") and words in str(problem)
    answer = CliRunner().invoke(app, ["families", "measures"])
    assert answer.exit_code == 0 and "cannot be used: " in answer.output and words in answer.output


# -- on Ray ------------------------------------------------------------------------------------------------------------

SWEEP = {
    "trial.data": {"kind": "my_data.stripe", "held_out": 30},
    "trial.net": {"kind": "my_nets.funnel", "widest": 8},
    "trial.train": {"steps": 300, "batch": 8},
    "methods": ["imp", "my_rules.noisy"],
    "measures": ["accuracy", "fan_in", {"my_measures.sparsity": {"power": 2}}],
    "figures": ["my_figures.by_round"],
    "rounds": 8,
}


@pytest.mark.slow
@pytest.mark.ray
def test_a_file_goes_to_the_actors(tmp_path, local_ray, monkeypatch):
    from impray.service.ray import pool

    monkeypatch.setattr(pool, "disconnect", lambda: None)
    written.of_docs(tmp_path)
    names = [f"{name}.py" for name in FAMILY_OF]
    sweep = load(written.sweep_with(tmp_path, names, **{**SWEEP, "rounds": 2, "trial.train": {"steps": 5, "batch": 4}}))
    sweep_into(tmp_path / "here", sweep)
    for name in names:
        (tmp_path / name).unlink()  # only what was read when the sweep was can reach them
    report, said = sweep_into(tmp_path / "ray", sweep, "ray")
    assert report.count("failed") == 0, said
    assert_same_tables(tmp_path / "here", tmp_path / "ray", ("rounds", "units", "fates"))


@pytest.mark.slow
@pytest.mark.ray
def test_a_plugin_that_only_the_driver_has_fails_with_words(tmp_path, local_ray, monkeypatch, distribution):
    from impray.results import outcomes
    from impray.service.ray import pool

    monkeypatch.setattr(pool, "disconnect", lambda: None)
    distribution("mine", written.MEASURE)
    sweep = load(written.sweep_with(tmp_path, plugins=[], measures=["mine.kept"]))
    report, _ = sweep_into(tmp_path / "ray", sweep, "ray")
    assert report.count("failed") == 1
    assert "of-mine 3.1 is not installed on this machine" in outcomes.failure_lines(tmp_path / "ray", trace=False)[0]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The plugins of docs/plugins.md as a package, installed into a folder of its own that is on the path."""
    source, there = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    (source / "tiny_package").mkdir()
    written.of_docs(source / "tiny_package")
    (source / "tiny_package" / "__init__.py").write_text("")
    groups = "".join(
        f'[project.entry-points."impray.{family}"]\n{name} = "tiny_package.{name}:PLUGIN"\n'
        for name, family in FAMILY_OF.items()
    )
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "tiny-package"\nversion = "0.1"\n{groups}[tool.setuptools]\npackages = ["tiny_package"]\n'
    )
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*pip, "--target", str(there), str(source)], check=True, capture_output=True, timeout=120)
    path = os.pathsep.join([str(there), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def start(folder, environment, *options):
    command = [sys.executable, "-m", "impray.cli", "sweep", "sweep_of_mine.yaml", "--mlflow", "off", *options]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams)


@pytest.mark.ray
@pytest.mark.slow
def test_an_installed_package_through_actors_killed_and_resumed(tmp_path, environment):
    file = written.sweep_with(tmp_path, plugins=[], **SWEEP)
    file.write_text(file.read_text().replace("plugins: []\n", ""))
    first = start(tmp_path, environment)
    deadline = time.monotonic() + 90
    while len(list(tmp_path.rglob("tables/rounds/*.parquet"))) < 2:
        assert first.poll() is None and time.monotonic() < deadline, first.communicate()[0]
        time.sleep(0.01)
    first.kill()
    first.wait()
    assert len(list(tmp_path.rglob("tables/rounds/*.parquet"))) < 9, "it was killed too late to show anything"
    second = start(tmp_path, environment)
    said, _ = second.communicate(timeout=240)
    assert second.returncode == 0, said
    assert (tmp_path / "runs" / "sweep_of_mine" / "figures" / "my_figures_by_round.png").exists(), said
    whole = start(tmp_path, environment, "--where", "here", "--out", "whole", "--no-figures")
    said, _ = whole.communicate(timeout=240)
    assert whole.returncode == 0, said
    one, other = (tmp_path / out / "sweep_of_mine" for out in ("runs", "whole"))
    assert_same_tables(one, other, ("rounds", "units", "fates", "trials"))
    assert set(scan("rounds", one).collect()["method"]) == {"imp", "my_rules.noisy"}
