"""What a sweep leaves out and its files say: filled in before validation, part of ids, told with all other problems."""

import pytest
import yaml

from impray.spec import axes
from impray.spec.errors import DataError, SweepError
from impray.spec.left_out import fill
from impray.spec.load import load, read
from impray.spec.sweep import written
from impray.spec.trial import Trial

BY_PATH = {
    "mnist": {"shape": [28, 28], "class_count": 10},
    "two": {"shape": [28, 28], "class_count": 2},
    "small": {"shape": [6, 6], "class_count": 10},
    "a.npz": {"shape": [3, 8, 8], "class_count": 5},
    "b.npz": {"shape": [3, 8, 8], "class_count": 5},
}


def sizes(description):
    if description["path"] not in BY_PATH:
        raise DataError(f"{description['path']}: there is no such file\nsecond line")
    return BY_PATH[description["path"]]


def sweep(data, space=None, **more):
    document = {"question": "q", "seeds": 1, "rounds": 1, "trial": {"data": data, **more}}
    return yaml.safe_dump(document | ({"search": {"space": space}} if space else {}))


def loaded(data, space=None, **more):
    return read(sweep(data, space, **more), "a sweep", sizes=sizes)


def told(data, space=None, **more):
    with pytest.raises(SweepError) as caught:
        loaded(data, space, **more)
    return [(problem.path, problem.value, problem.right) for problem in caught.value.problems]


def id_of(data):
    return Trial.model_validate({"data": data}).id


# --- ids ---


def test_idx_of_mnists_sizes_keeps_the_id_it_had():
    """Pinned in test_identity: what was released before files were asked."""
    trial = loaded({"kind": "idx", "path": "mnist"}).trial
    assert trial.id == id_of({"kind": "idx", "path": "mnist"})
    assert trial.id == id_of({"kind": "idx", "path": "mnist", "shape": [28, 28], "class_count": 10})


@pytest.mark.parametrize("path", ["two", "small"])
def test_other_sizes_are_part_of_the_id_as_if_they_were_said(path):
    said = BY_PATH[path]
    trial = loaded({"kind": "idx", "path": path}).trial
    assert trial.id == id_of({"kind": "idx", "path": path, **said}) != id_of({"kind": "idx", "path": path})
    assert trial.shapes == ((100, said["shape"][0] * said["shape"][1]), (said["class_count"], 100))


def test_files_that_change_give_another_id(monkeypatch):
    before = loaded({"kind": "arrays", "path": "a.npz"}).trial
    assert before.id == id_of({"kind": "arrays", "path": "a.npz", **BY_PATH["a.npz"]})
    monkeypatch.setitem(BY_PATH, "a.npz", {"shape": [3, 8, 8], "class_count": 6})
    assert loaded({"kind": "arrays", "path": "a.npz"}).trial.id != before.id


@pytest.mark.parametrize("data", [{"kind": "idx", "path": "two"}, {"kind": "arrays", "path": "a.npz"}])
def test_what_is_said_wins_and_what_is_all_said_needs_no_file(data):
    said = {"shape": [4, 4], "class_count": 7}
    assert loaded({**data, "class_count": 7}).trial.data.class_count == 7
    assert loaded({**data, "shape": [4, 4]}).trial.data.input_shape == (4, 4)
    assert loaded({**data, "path": "nowhere.npz", **said}).trial.data.classes == 7
    assert loaded({"kind": "cifar10", "path": "nowhere"}).trial.data.classes == 10


@pytest.mark.parametrize(
    "data", [{"kind": "idx", "path": p} for p in ("mnist", "two")] + [{"kind": "arrays", "path": "a.npz"}]
)
def test_a_written_sweep_loads_as_itself_where_the_files_are_not(tmp_path, data):
    made = loaded(data)
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(written(made)))
    assert load(tmp_path / "sweep.yaml") == load(tmp_path / "sweep.yaml", sizes=_no_files) == made


def _no_files(description):
    raise AssertionError("everything is said")


# --- axes ---


def classes_of(made):
    return [trial.data.classes for _, trial in axes.trials(made)]


def test_files_of_equal_sizes_on_an_axis_share_what_is_read():
    made = loaded({"kind": "arrays", "path": "a.npz"}, {"data.path": ["a.npz", "b.npz"]})
    assert classes_of(made) == [5, 5]


def test_files_of_other_sizes_on_an_axis_are_told():
    ((path, _, right),) = told({"kind": "idx", "path": "mnist"}, {"data.path": ["mnist", "two"]})
    assert path == "search.space.data.path" and "make whole data the axis" in right


def test_whole_data_on_an_axis_are_filled_in_one_by_one():
    space = {
        "data": [{"kind": "idx", "path": "mnist"}, {"kind": "idx", "path": "two"}, {"kind": "arrays", "path": "a.npz"}]
    }
    made = loaded({"kind": "nlgp"}, space)
    assert classes_of(made) == [10, 2, 5]
    assert [trial.data.input_shape for _, trial in axes.trials(made)] == [(28, 28), (28, 28), (3, 8, 8)]


def test_a_kind_on_an_axis_may_not_know_the_fields():
    assert classes_of(loaded({"kind": "idx", "path": "mnist"}, {"data.kind": ["idx", "cifar10"]})) == [10, 10]
    ((path, *_),) = told({"kind": "idx", "path": "two"}, {"data.kind": ["idx", "cifar10"]})
    assert path == "search.space.data.kind"


def test_other_axes_leave_what_is_read_alone():
    made = loaded({"kind": "idx", "path": "two"}, {"data.gaussian_blend": [0, 0.5], "train.lr": [0.1, 0.2]})
    assert classes_of(made) == [2] * 4


# --- problems ---


def test_files_that_cannot_be_read_are_told_with_all_other_problems():
    found = told(
        {"kind": "arrays", "path": "nowhere.npz", "draw": -1}, train={"lr": -1, "steps": 5}, prune={"rewind_step": 9}
    )
    assert [path for path, *_ in found].count("trial.data.path") == 2  # a problem for each line of the reader's
    assert {"trial.data.path", "trial.data.draw", "trial.train.lr"} == {path for path, *_ in found}
    _, value, right = next(problem for problem in found if problem[0] == "trial.data.path")
    assert value == "'nowhere.npz'" and "shape and class_count are left out and cannot be read: nowhere.npz: " in right


def test_one_field_left_out_is_told_as_one():
    found = told({"kind": "idx", "path": "nowhere", "shape": [4, 4]})
    assert found[0][2].startswith("class_count is left out and cannot be read")


@pytest.mark.parametrize(
    "more",
    [
        {"net": {"outputs": 1}, "train": {"loss": "mse"}},
        {"data": {"keep_classes": 7}},
        {"prune": {"fraction": 0.5}},
    ],
)
@pytest.mark.parametrize("data", [{"kind": "idx", "path": "nowhere"}, {"kind": "arrays", "path": "nowhere.npz"}])
def test_unread_files_make_no_other_problem(data, more):
    more = dict(more)
    data = {**data, **more.pop("data", {})}
    assert {path for path, *_ in told(data, **more)} == {"trial.data.path"}


@pytest.mark.parametrize("measure", [{"cavity": {"classes": 10}}, "rf_width"])
@pytest.mark.parametrize("data", [{"kind": "idx", "path": "nowhere"}, {"kind": "arrays", "path": "nowhere.npz"}])
def test_what_only_the_files_can_say_is_not_guessed_at(data, measure):
    """The values that stand in for them are no reason for a problem: there may be 10 classes, or images."""
    document = yaml.safe_load(sweep(data)) | {
        "measures": [measure, {"ipr": {"at": ["start"]}}],
        "search": {"pack": ["x"]},
    }
    with pytest.raises(SweepError) as caught:
        read(yaml.safe_dump(document), "a sweep", sizes=sizes)
    assert {problem.path for problem in caught.value.problems} == {"trial.data.path", "search.pack[0]"}


def test_an_unread_file_on_an_axis_is_told_there():
    found = told({"kind": "idx", "path": "mnist"}, {"data.path": ["mnist", "nowhere"]})
    assert {(path, value) for path, value, _ in found} == {("search.space.data.path", "'nowhere'")}
    found = told({"kind": "nlgp"}, {"data": [{"kind": "nlgp"}, {"kind": "idx", "path": "nowhere"}]})
    assert {path for path, *_ in found} == {"search.space.data[1].path"}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"trial": 3},
        {"trial": {"data": "idx"}},
        {"trial": {"data": {"kind": ["idx"], "path": "mnist"}}},
        {"trial": {"data": {"kind": "idx"}}, "search": {"space": {"data.path": 3, 4: [1]}}},
        {"trial": {"data": {"kind": "nlgp"}}, "search": {"space": {"data": [3, None, {"kind": {}}]}}},
        {"trial": {"data": {"kind": "nlgp"}}, "search": 3},
    ],
)
def test_documents_of_any_form_are_left_to_validation(document):
    assert fill(document, lambda description: {}) == []
    with pytest.raises(SweepError):
        read(yaml.safe_dump(document), "a sweep", sizes=lambda description: {})
