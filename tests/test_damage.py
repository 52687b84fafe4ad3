"""Every file of a finished folder in turn is removed, cut, flipped, emptied or replaced by a folder. Running again then ends with
the right rows, or with an error that names the file: never with exit 0 and other numbers."""

import re
import shutil

import pytest
import yaml
from conftest import assert_same_tables, rows_of, tiny
from typer.testing import CliRunner

from impray.cli import app
from impray.results import status, tables
from impray.results.paths import Paths, aside
from impray.results.undone import undone

SMALL = {
    "seeds": 1,
    "rounds": 1,
    "methods": ["imp", "random"],
    "measures": [
        "accuracy",
        "fan_in",
        {"cavity": {"min_fan_in": 2}},
        {"masks": {"most_connected": 2}},
        {"inputs": {"examples": 1}},
        {"course": {"record_every": 10}},
    ],
}
RUN = ("--where", "here", "--mlflow", "off")


def run(*words, figures=False):
    """A sweep; where figures are drawn, in a process of their own, each run takes seconds more."""
    return CliRunner().invoke(app, ["sweep", *map(str, words), *RUN, *(() if figures else ("--no-figures",))])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(YAML, folder) of a finished sweep, and of the same one before its files were merged."""
    top = tmp_path_factory.mktemp("whole")
    file = top / "small.yaml"
    file.write_text(yaml.safe_dump(tiny(**SMALL)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "compact", lambda *_: None)
        assert run(file, "--out", top / "many", figures=True).exit_code == 0
    shutil.copytree(top / "many", top / "merged")
    tables.compact(top / "merged" / "small")
    return file, {"many": top / "many", "merged": top / "merged"}


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    """Two bits, at a third and near the end."""
    content = bytearray(path.read_bytes())
    for at in (len(content) // 3, len(content) * 9 // 10):
        content[at] ^= 0x04
    path.write_bytes(bytes(content))


def replace_by_a_folder(path):
    path.unlink()
    path.mkdir()
    (path / "inside").write_bytes(b"x")


def empty(path):
    path.write_bytes(b"")


def gone(path):
    path.unlink()


DAMAGES = [cut, flip, replace_by_a_folder, empty, gone]
NAMES = ["cut", "flipped", "a folder", "empty", "gone"]


def each(damages, fast):
    """Damages as parameters; those that are not fast are slow, together they take minutes."""
    return [
        pytest.param(damage, id=name, marks=() if damage in fast else pytest.mark.slow)
        for damage, name in zip(DAMAGES, NAMES, strict=True)
        if damage in damages
    ]


def listed(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def one_of_each(folder):
    """A file of every kind: of several that differ in their number or lineage only, the last."""
    kinds = {
        (path.parent.name if path.parts[1] == "tables" else "", re.sub(r"[0-9a-f]{6,}|\d+", "#", str(path))): path
        for path in listed(folder)
    }
    return list(kinds.values())


@pytest.mark.parametrize(
    "damage", each([cut, flip, replace_by_a_folder, gone], fast=[])
)  # readers are shown empty ones
def test_running_again_gives_the_right_rows_or_names_the_file(finished, tmp_path, damage):
    _again(finished, tmp_path, "merged", damage)


@pytest.mark.slow
def test_running_again_over_files_that_were_not_merged_gives_the_right_rows_or_names_the_file(finished, tmp_path):
    _again(finished, tmp_path, "many", flip)


def _again(finished, tmp_path, form, damage):
    file, folders = finished
    whole = folders[form]
    hidden = 0
    for path in one_of_each(whole):
        out = tmp_path / "out"
        shutil.copytree(whole, out)
        if damage in (cut, flip) and (out / path).stat().st_size == 0:
            shutil.rmtree(out)
            continue  # a lock: nothing is in it
        damage(out / path)
        drawn = path.parts[1] not in ("tables", "checkpoints")  # there what is damaged is no reason to draw anew
        told = run(file, "--out", out, figures=drawn)
        if told.exit_code == 0:
            assert_same_tables(whole / "small", out / "small")
            assert (
                rows_of(out / "small", "trials")
                .drop("number")
                .equals(rows_of(whole / "small", "trials").drop("number"), null_equal=True)
            ), path
            if damage is gone:  # what was mended once stays so
                again = run(file, "--out", out, figures=drawn)
                assert again.exit_code == 0 and "nothing to do" in again.stdout, (path, again.output)
        else:
            hidden += 1
            assert told.exit_code == 2 and path.name in told.output, (path, told.output)
        shutil.rmtree(out)
    # Only a folder in the place of a lock cannot be mended by running again.
    assert hidden == 0 or damage is replace_by_a_folder


@pytest.mark.slow
@pytest.mark.parametrize("damage", each(DAMAGES, fast=[cut]))
def test_a_reader_says_what_is_broken_and_what_mends_it(finished, tmp_path, damage):
    _, folders = finished
    for path in [p for p in listed(folders["merged"]) if p.parts[1] in ("tables", "provenance.json", "sweep.yaml")]:
        out = tmp_path / "out"
        shutil.copytree(folders["merged"], out)
        damage(out / path)
        told = CliRunner().invoke(app, ["status", str(out / "small")])
        read = {"trials", "rounds", "failures"}
        if path.parts[1] == "tables" and path.parts[2] not in read or not (out / path).exists():
            shutil.rmtree(out)
            continue  # not read by this command; what is gone is computed again, and was never there for a reader
        assert told.exit_code == 2 and path.name in told.output, (path, told.output)
        if path.name == "sweep.yaml":
            shutil.rmtree(out)
            continue
        words = told.output.split("impray sweep ")[1].split(" sets it aside")[0].split()
        assert run(*words).exit_code == 0
        assert_same_tables(folders["merged"] / "small", Paths(out / "small").folder)
        shutil.rmtree(out)


def checkpoints(folder):
    return [path for path in listed(folder) if path.suffix == ".safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("damage", each(DAMAGES, fast=[flip]))
def test_a_sweep_goes_on_over_damaged_checkpoints_to_the_same_numbers(finished, tmp_path, damage):
    """Every checkpoint is broken at once, and then two more rounds are asked for: they need all that was in them."""
    file, folders = finished
    for out in ("right", "damaged"):
        shutil.copytree(folders["merged"], tmp_path / out)
    broken = checkpoints(tmp_path / "damaged")
    assert {path.stem.split("-")[0] for path in broken} == {"end", "at3", "round", "cavity"}
    for path in broken:
        damage(tmp_path / "damaged" / path)
    longer = ("--set", "rounds=3", "--out")
    assert run(file, *longer, tmp_path / "right").exit_code == 0
    told = run(file, *longer, tmp_path / "damaged")
    assert told.exit_code == 0, told.output
    assert_same_tables(tmp_path / "right" / "small", tmp_path / "damaged" / "small")
    set_aside = aside(Paths(tmp_path / "damaged" / "small"))
    if damage is gone:
        assert not set_aside
    else:
        assert f"{len(set_aside)} damaged files" in told.output and set_aside[0] in told.output
        assert all(any(path.name in name for name in set_aside) for path in broken if path.stem != "cavity-001")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["many", "merged"])
def test_no_lost_file_of_rows_goes_unnoticed(finished, tmp_path, form):
    """All files of one table at once: rows of `units` alone were once lost for good, with exit 0."""
    file, folders = finished
    names = [path.name for path in (folders[form] / "small" / "tables").iterdir() if any(path.iterdir())]
    assert {"rounds", "units", "fates", "masks", "images", "steps", "histograms", "trials"} <= set(names)
    for name in names:
        out = tmp_path / "out"
        shutil.copytree(folders[form], out)
        shutil.rmtree(out / "small" / "tables" / name)
        assert run(file, "--out", out).exit_code == 0
        assert_same_tables(folders[form] / "small", out / "small")
        shutil.rmtree(out)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["many", "merged"])
def test_a_trial_whose_rows_were_lost_is_not_told_as_done(finished, tmp_path, form):
    _, folders = finished
    whole = folders[form] / "small"
    count = rows_of(whole, "trials").height
    assert undone(whole) == frozenset() and f"{count} of {count} trials done;" in status.lines(whole)[0]
    names = [path.name for path in (whole / "tables").iterdir() if any(path.iterdir()) and path.name != "trials"]
    assert {"rounds", "units", "fates", "masks", "images", "steps", "histograms"} <= set(names)
    for name in names:
        out = tmp_path / name
        shutil.copytree(whole, out)
        shutil.rmtree(out / "tables" / name)
        assert undone(out) == set(rows_of(whole, "trials")["trial"]), name
        head, *rest = status.lines(out)
        assert head.startswith(f"0 of {count} trials done, {count} {status.UNDONE}") and len(rest) == 1


@pytest.mark.slow
def test_axes_survive_a_provenance_that_goes_while_packs_run(finished, tmp_path, monkeypatch):
    file, folders = finished
    right, out = folders["merged"] / "small", tmp_path / "out"
    begun = tables.write

    def write(paths, *given):
        paths.provenance.path.unlink(missing_ok=True)
        begun(paths, *given)

    monkeypatch.setattr(tables, "write", write)
    assert run(file, "--out", out).exit_code == 0
    assert_same_tables(right, out / "small")
    assert rows_of(out / "small", "rounds")["data.gain"].null_count() == 0
    assert Paths(out / "small").provenance.is_file()


@pytest.mark.slow
def test_another_base_trial_is_refused_where_the_sweeps_own_yaml_is_gone_too(finished, tmp_path):
    file, folders = finished
    out = tmp_path / "out"
    shutil.copytree(folders["merged"], out)
    for change in (lambda path: path.unlink(), lambda path: path.write_text("question: ?")):
        change(out / "small" / "sweep.yaml")
        told = run(file, "--out", out, "--set", "train.lr=0.3")
        assert told.exit_code == 2 and "trial.train.lr" in told.output
        assert run(file, "--out", out).exit_code == 0


@pytest.mark.slow
def test_a_sweep_yaml_that_was_changed_by_hand_is_not_believed(finished, tmp_path):
    file, folders = finished
    out = tmp_path / "out"
    shutil.copytree(folders["merged"], out)
    said = out / "small" / "sweep.yaml"
    said.write_text(said.read_text().replace("lr: 0.2", "lr: 0.3"))
    told = CliRunner().invoke(app, ["top", str(out / "small")])
    assert told.exit_code == 2 and "sweep.yaml" in told.output
    assert run(file, "--out", out).exit_code == 0 and "lr: 0.2" in said.read_text()
