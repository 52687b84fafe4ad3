"""Shape and number of classes as files say them: those of the arrays inside, in every format, near and far."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data import dataset_files as files

from impray.data.formats import PLANS, SIZES
from impray.data.formats.said import sizes
from impray.data.stored import open_stored
from impray.spec.data import Arrays, Idx
from impray.spec.errors import DataError
from impray.spec.load import load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))


def told(**description):
    with pytest.raises(DataError) as caught:
        sizes(description)
    return str(caught.value)


def test_a_kind_whose_files_say_something_has_a_reader():
    assert {kind for kind in PLANS if kind.said_by_files} == set(SIZES)
    assert all(kind.said_by_files == {"shape", "class_count"} for kind in SIZES)
    assert all(kind.said_by_files | kind.sources <= kind.model_fields.keys() for kind in PLANS)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_idx(tmp_path, compressed, remote):
    files.idx(tmp_path / "a", counts=(40, 20), sides=(5, 3), classes=2, compressed=compressed)
    path = (tmp_path / "a").as_uri() if remote else str(tmp_path / "a")
    assert sizes({"kind": "idx", "path": path}) == {"shape": [5, 3], "class_count": 2}
    files.idx(tmp_path / "b", counts=(400, 20), sides=(5, 3), classes=26, first_label=1)
    assert sizes({"kind": "idx", "path": str(tmp_path / "b"), "first_label": 1})["class_count"] == 26


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("style", ["npz", "compressed", "fortran", "npy", "lists", "fixed", "columns"])
def test_arrays(tmp_path, style, remote):
    path, labels, *_ = files.arrays(tmp_path, style, count=40, classes=3)
    paths = {"path": path, "labels_path": labels}
    written = {name: place.as_uri() if remote else str(place) for name, place in paths.items() if place}
    found = sizes({"kind": "arrays", **written})
    assert found == {"shape": [6] if path.suffix == ".parquet" else [2, 3], "class_count": 3}
    # What is read is what the conversion takes.
    spec = Arrays.model_validate({**written, **found})
    assert open_stored(spec).train.inputs.shape[1] == 6


def test_classes_are_those_of_both_parts(tmp_path):
    x = np.arange(80.0).reshape(40, 2)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40) % 3, x_test=-x - 1, y_test=np.arange(40) % 4)
    names = dict(inputs_name="x", labels_name="y", held_out_inputs_name="x_test", held_out_labels_name="y_test")
    assert sizes({"kind": "arrays", "path": str(tmp_path / "a.npz"), **names})["class_count"] == 4


def test_other_wrong_fields_do_not_keep_files_from_being_read(tmp_path):
    files.arrays(tmp_path)
    description = {"kind": "arrays", "path": str(tmp_path / "train.npz")}
    assert sizes({**description, "gaussian_blend": 7, "keep_clases": 2})["shape"] == [2, 3]
    assert sizes({**description, "path": 7}) == {} and sizes({"kind": "nlgp"}) == {}


GAPS = [
    (np.arange(12) % 3 + 1, "the labels are 1 to 3; say first_label: 1, or class_count: 4"),
    (np.arange(12) % 2 * 4 + 3, "the labels go up to 7, but there is none of 0; say class_count: 8"),
    (np.arange(12) % 2 * 2, "the labels go up to 2, but there is none of 1; say class_count: 3"),
    (np.zeros(12, int), "must have at least two classes; has 1"),
    (np.arange(12) % 2 - 1, "row 0 has -1 (6 of 12 rows are wrong); must be whole numbers from 0"),
    (np.linspace(0, 1, 12), "row 1 has 0.09"),
    (np.array(["a", "b"] * 6), "must be whole numbers from 0, one per row"),
    (np.full(12, 2**60), "must be whole numbers from 0"),
    (np.zeros(0, int), "must have at least two classes; has 0"),
    (np.array([{}] * 12), "holds objects"),
]


@pytest.mark.parametrize("labels, words", GAPS, ids=[words for _, words in GAPS])
def test_no_number_of_classes_is_guessed(tmp_path, labels, words):
    np.savez(tmp_path / "a.npz", inputs=np.ones((12, 2)), labels=labels)
    message = told(kind="arrays", path=str(tmp_path / "a.npz"))
    assert message.startswith(f"{tmp_path / 'a.npz'}: ") and words in message


@pytest.mark.parametrize(
    "shape, words",
    [
        ((12,), "must be (rows, unit), (rows, row, col) or (rows, channel, row, col)"),
        ((12, 2, 2, 2, 2), "must be (rows, unit)"),
        ((12, 0), "must be (rows, unit)"),
        ((12, 8, 6, 3), "channels come first and seem to be last here"),
        ((12, 8, 6, 1), "channels come first and seem to be last here"),
    ],
)
def test_no_shape_is_guessed(tmp_path, shape, words):
    np.savez(tmp_path / "a.npz", inputs=np.zeros(shape), labels=np.arange(12) % 2)
    assert f"a.npz: inputs: has the shape {shape}; " in told(kind="arrays", path=str(tmp_path / "a.npz"))
    assert words in told(kind="arrays", path=str(tmp_path / "a.npz"))


@pytest.mark.parametrize("style", ["npz", "npy", "lists", "columns"])
def test_missing_and_damaged_files_are_told(tmp_path, style):
    path, labels, *_ = files.arrays(tmp_path, style)
    description = {"kind": "arrays", "path": str(path)} | ({"labels_path": str(labels)} if labels else {})
    content = path.read_bytes()
    for kept in (0, 1, 40):
        path.write_bytes(content[:kept])
        assert told(**description).startswith(f"{path}: cannot be read (truncated?): ")
    path.unlink()
    assert told(**description) == f"{path}: there is no such file"
    path.mkdir()
    assert told(**description) == f"{path}: there is no such file"


def test_lists_that_are_none_are_told(tmp_path):
    path = tmp_path / "a.parquet"
    for inputs, words in (
        (["a"] * 4, "inputs: is of type string; must be lists of numbers"),
        ([None] + [[1.0]] * 3, "inputs: its first row has no list"),
    ):
        pq.write_table(pa.table({"inputs": inputs, "labels": [0, 1, 0, 1]}), path)
        assert words in told(kind="arrays", path=str(path))
    pq.write_table(pa.table({"inputs": [[1.0]] * 4, "labels": [0, 1, None, 1]}), path)
    assert "labels: row 2 has none" in told(kind="arrays", path=str(path))


def test_damaged_idx_files_are_told(tmp_path):
    files.idx(tmp_path, compressed=True)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    content = labels.read_bytes()
    for kept in (0, 3, 15):
        labels.write_bytes(content[:kept])
        assert told(kind="idx", path=str(tmp_path)).startswith(f"{labels}: is ")
    labels.unlink()
    assert "Absent: train-labels-idx1-ubyte" in told(kind="idx", path=str(tmp_path))


# --- a sweep file ---


def test_two_classes_in_the_files_are_two_outputs(tmp_path):
    files.idx(tmp_path / "digits", counts=(40, 20), sides=(6, 6), classes=2)
    path = tmp_path / "sweep.yaml"
    path.write_text(
        f"{{question: q, trial: {{data: {{kind: idx, path: {tmp_path / 'digits'}}}}}, seeds: 1, rounds: 1}}"
    )
    trial = load(path, sizes=sizes).trial
    assert trial.shapes == ((100, 36), (2, 100))
    assert trial.data == Idx(path=str(tmp_path / "digits"), shape=(6, 6), class_count=2)
    wider = load(path, ["data.class_count=10"], sizes=sizes).trial  # asked for: outputs for classes that never occur
    assert wider.outputs == 10 and open_stored(wider.data).class_count[2:].sum() == 0
