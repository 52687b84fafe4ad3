"""impray as it is installed: built from an sdist into a wheel, put into an empty place, and used from an empty folder."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import copytree, ignore_patterns, unpack_archive

import pytest
import yaml
from conftest import tiny

ROOT = Path(__file__).parent.parent
SHIPPED = ("sweeps", "analysis")
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
OWN = """
"A figure beside the sweep."
from impray.figures import Figure, Panel, command, dots
from impray.results.quantities import ACCURACY

FIGURE = Figure(name="mine", title="Mine", question="?", panels=[Panel(of=ACCURACY, mark=dots, x="data.gain")])
command.run(FIGURE, __doc__)
"""


def built(hook, source, to):
    """What a build hook of setuptools makes of a source tree, offline."""
    to.mkdir()
    subprocess.run([sys.executable, "-c", BUILD, hook, str(to)], cwd=source, check=True, capture_output=True)
    (made,) = to.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    try:
        major = int(version("setuptools").split(".")[0])
    except PackageNotFoundError:
        major = 0
    if major < 77:
        pytest.skip("building needs setuptools 77 or later in this environment; nothing is fetched for it")
    folder = tmp_path_factory.mktemp("wheel")
    away = ignore_patterns(".*", "runs", "build", "dist", "tests", "docs", "*.egg-info", "__pycache__")
    copytree(ROOT, folder / "source", ignore=away)
    unpack_archive(built("build_sdist", folder / "source", folder / "sdist"), folder / "unpacked")
    (source,) = (folder / "unpacked").iterdir()
    return built("build_wheel", source, folder / "built")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A command of the installed impray, run from a folder."""
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def impray(*words, folder, code=0):
        command = [sys.executable, "-m", "impray.cli", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    where = subprocess.run(
        [sys.executable, "-c", "import impray; print(impray.__file__)"], cwd=site, env=environment, capture_output=True
    )
    assert Path(where.stdout.decode().strip()).parent.parent == site
    return impray


@pytest.mark.slow
def test_a_wheel_holds_every_shipped_sweep_and_script_and_no_folder_of_its_own_beside_the_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"impray"}
    sources = [
        path for folder in SHIPPED for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml", ".json")
    ]
    assert sources and {f"impray/_shipped/{path.relative_to(ROOT)}" for path in sources} <= names
    others = [path for path in (ROOT / "impray").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {str(path.relative_to(ROOT)) for path in others} <= names


@pytest.mark.slow
def test_an_installed_impray_finds_sweeps_and_figures_from_an_empty_folder(installed, tmp_path):
    assert "sign_of_kurtosis" in installed("sweep", "--list", folder=tmp_path)
    assert "trials: 22; lineages: 660 = " in installed("sweep", "sign_of_kurtosis", "--plan", folder=tmp_path)
    assert installed("schema", folder=tmp_path) == (ROOT / "sweeps" / "sweep.schema.json").read_text()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_installed_impray_draws_shipped_figures_and_those_beside_a_sweep(installed, tmp_path):
    document = tiny(rounds=1, figures=["width_by_gain", "mine"], measures=["accuracy", {"rf_width": {"min_fan_in": 4}}])
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "mine.py").write_text(OWN)
    installed("sweep", "x.yaml", "--where", "here", "--mlflow", "off", folder=tmp_path)
    for name in ("width_by_gain", "mine"):
        assert (tmp_path / "runs" / "x" / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
