"""Names, labels and file names that users' data come with: Keras, MedMNIST, pandas, EMNIST, torchvision."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data import dataset_files as files
from data.stored.held import assert_holds
from pydantic import ValidationError

from impray.data.stored import open_stored
from impray.spec.data import Arrays, Idx
from impray.spec.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))


def part(count, seed):
    return files.images(count, 6, seed).reshape(count, 2, 3), np.arange(count) % 3


TRAIN, HELD_OUT = part(24, 0), part(9, 1)


def flat(of_part):
    return of_part[0].reshape(len(of_part[0]), -1), of_part[1]


KERAS = ("x_train", "y_train", "x_test", "y_test")
MEDMNIST = ("train_images", "train_labels", "val_images", "val_labels")


def named(names):
    fields = ("inputs_name", "labels_name", "held_out_inputs_name", "held_out_labels_name")
    return dict(zip(fields, names, strict=True))


def told(spec):
    with pytest.raises(DataError) as caught:
        open_stored(spec)
    return str(caught.value)


# --- held-out arrays ---


@pytest.mark.parametrize("names", [KERAS, MEDMNIST])
@pytest.mark.parametrize("column", [False, True])
def test_one_npz_holds_both_parts_under_names_of_their_own(tmp_path, names, column):
    shape = (-1, 1) if column else (-1,)
    arrays = (TRAIN[0], TRAIN[1].reshape(shape), HELD_OUT[0], HELD_OUT[1].reshape(shape))
    np.savez(tmp_path / "a.npz", **dict(zip(names, arrays, strict=True)))
    spec = Arrays(path=str(tmp_path / "a.npz"), shape=(2, 3), class_count=3, **named(names))
    assert_holds(open_stored(spec), flat(TRAIN), flat(HELD_OUT), 3)


@pytest.mark.parametrize("style", ["npz", "parquet"])
def test_a_held_out_file_may_have_names_of_its_own(tmp_path, style):
    paths = {}
    for field, (x, y), names in (("path", TRAIN, KERAS[:2]), ("held_out_path", HELD_OUT, KERAS[2:])):
        path = tmp_path / f"{field}.{style}"
        if style == "npz":
            np.savez(path, **dict(zip(names, (x, y), strict=True)))
        else:
            pq.write_table(pa.table(dict(zip(names, (pa.array(list(x.reshape(len(x), -1))), y), strict=True))), path)
        paths[field] = str(path)
    spec = Arrays(shape=(2, 3), class_count=3, **paths, **named(KERAS))
    assert_holds(open_stored(spec), flat(TRAIN), flat(HELD_OUT), 3)


@pytest.mark.parametrize("style", ["npz", "lists", "columns"])
@pytest.mark.parametrize("marks", [bool, np.int64, np.float32])
def test_a_column_marks_the_held_out_rows(tmp_path, style, marks):
    (x, y), held_out = flat(TRAIN), np.arange(24) % 4 == 1
    columns = {"labels": y, "is_test": held_out.astype(marks)}
    path = tmp_path / ("a.npz" if style == "npz" else "a.parquet")
    if style == "npz":
        np.savez(path, inputs=x, **columns)
    elif style == "lists":
        pq.write_table(pa.table({"inputs": pa.array(list(x)), **columns}), path)
    else:
        pq.write_table(pa.table({**{f"x{at}": x[:, at] for at in range(6)}, **columns}), path, row_group_size=5)
    data = open_stored(Arrays(path=str(path), shape=(2, 3), class_count=3, held_out_rows_name="is_test"))
    # Columns of bytes stay bytes only where all of them are: the marks must not be among the inputs.
    assert_holds(data, (x[~held_out], y[~held_out]), (x[held_out], y[held_out]), 3)


@pytest.mark.parametrize(
    "marks, words",
    [
        (np.arange(24), "must be true or 1 for a row that is held out"),
        (np.array(["test"] * 24), "must be true or 1 for a row that is held out"),
        (np.zeros(24, bool), "marks no row"),
        (np.ones(24, bool), "marks every row"),
        (np.arange(20) % 2, "20 marks for 24 inputs"),
    ],
)
def test_marks_that_divide_nothing_are_told(tmp_path, marks, words):
    np.savez(tmp_path / "a.npz", inputs=TRAIN[0], labels=TRAIN[1], m=marks)
    message = told(Arrays(path=str(tmp_path / "a.npz"), shape=(2, 3), class_count=3, held_out_rows_name="m"))
    assert message.startswith(f"{tmp_path / 'a.npz'}: m: ") and words in message


OF_ONE = {"shape": (4,), "class_count": 3}
SAME_ROWS = [
    ({"path": "a.npz", "held_out_path": "a.npz"}, "held_out_path: is path too"),
    ({"path": "a.npz", "held_out_path": "./b/../a.npz"}, "held_out_path: is path too"),
    ({"path": "s3://b/a.npz", "held_out_path": "s3://b/a.npz"}, "held_out_path: is path too"),
    ({"path": "a.parquet", "held_out_path": "a.parquet"}, "held_out_path: is path too.*held_out_rows_name"),
    ({"path": "a.parquet", "held_out_path": "a.parquet", **named(KERAS)}, "held_out_path: is path too"),
    (
        {"path": "a.npy", "labels_path": "b.npy", "held_out_path": "a.npy", "held_out_labels_path": "c.npy"},
        "held_out_path: is path too",
    ),
    (
        {"path": "a.npy", "labels_path": "b.npy", "held_out_path": "c.npy", "held_out_labels_path": "b.npy"},
        "held_out_labels_path: is labels_path too",
    ),
    ({"path": "a.npz", **named(("x", "y", "x", "z"))}, "held_out_inputs_name: is inputs_name too"),
    ({"path": "a.npz", **named(("x", "y", "z", "y"))}, "held_out_labels_name: must be another array than labels_name"),
    ({"path": "a.npz", "held_out_inputs_name": "x"}, "held_out_labels_name: is missing"),
    ({"path": "a.npz", "held_out_labels_name": "x"}, "held_out_inputs_name: is missing"),
    ({"path": "a.parquet", **named(KERAS)}, "held_out_inputs_name: is for a .npz file"),
    ({"path": "a.npy", "labels_path": "b.npy", "held_out_rows_name": "m"}, "held_out_rows_name: is for a .npz"),
    ({"path": "a.npy", "labels_path": "b.npy", **named(KERAS)}, "held_out_inputs_name: is for a .npz"),
    ({"path": "a.npz", "held_out_path": "b.npz", "held_out_rows_name": "m"}, "held_out_path says already which"),
    ({"path": "a.npz", **named(KERAS), "held_out_rows_name": "m"}, "held_out_inputs_name says already which"),
]


@pytest.mark.parametrize("fields, words", SAME_ROWS, ids=range(len(SAME_ROWS)))
def test_names_that_would_hold_out_training_rows_are_refused_before_any_file_is_read(fields, words):
    with pytest.raises(ValidationError, match=words):
        Arrays(**OF_ONE, **fields)


def test_one_file_named_twice_with_two_names_is_two_parts(tmp_path):
    np.savez(tmp_path / "a.npz", **dict(zip(KERAS, (*TRAIN, *HELD_OUT), strict=True)))
    path = str(tmp_path / "a.npz")
    spec = Arrays(path=path, held_out_path=path, shape=(2, 3), class_count=3, **named(KERAS))
    assert_holds(open_stored(spec), flat(TRAIN), flat(HELD_OUT), 3)


# --- labels ---


@pytest.mark.parametrize("style", ["npz", "npy", "lists", "fixed"])
def test_labels_in_a_column_of_one_are_labels(tmp_path, style):
    x, y = flat(TRAIN)
    fields = {"path": tmp_path / f"a.{style}"}
    if style == "npz":
        np.savez(fields["path"], inputs=x, labels=y[:, None])
    elif style == "npy":
        fields["labels_path"] = tmp_path / "b.npy"
        np.save(fields["path"], x)
        np.save(fields["labels_path"], y[:, None])
    else:
        fields["path"] = tmp_path / "a.parquet"
        kind = pa.list_(pa.int64(), 1) if style == "fixed" else pa.list_(pa.int64())
        table = pa.table({"inputs": pa.array(list(x)), "labels": pa.array(y[:, None].tolist(), kind)})
        pq.write_table(table, fields["path"], row_group_size=5)
    spec = Arrays(shape=(2, 3), class_count=3, **{name: str(path) for name, path in fields.items()})
    data = open_stored(spec)
    assert len(data.train.labels) + len(data.held_out.labels) == len(y)
    assert (data.class_count + np.bincount(data.held_out.labels, minlength=3)).tolist() == [8, 8, 8]


@pytest.mark.parametrize("labels", [np.zeros((24, 2), int), np.zeros((24, 1, 1), int), np.zeros((1, 24), int)])
def test_labels_of_other_shapes_are_told(tmp_path, labels):
    np.savez(tmp_path / "a.npz", inputs=TRAIN[0], labels=labels)
    assert f"labels: is int64 {labels.shape}" in told(Arrays(path=str(tmp_path / "a.npz"), shape=(2, 3), class_count=3))


def test_labels_may_count_from_another_number(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=TRAIN[0], labels=TRAIN[1] + 5)
    spec = Arrays(path=str(tmp_path / "a.npz"), shape=(2, 3), class_count=3, first_label=5)
    data = open_stored(spec)
    assert set(data.train.labels) == {0, 1, 2}
    message = told(spec.model_copy(update={"first_label": 6}))
    assert "labels: row 0 has 5 (8 of 24 rows are wrong); must be whole numbers 6 to 8" in message


# --- pandas ---


@pytest.mark.parametrize("name", [None, "row", "x1"])
@pytest.mark.parametrize("metadata", [True, False])
def test_the_index_of_pandas_is_no_input(tmp_path, name, metadata):
    """As pandas writes a sorted frame: without a name the index is __index_level_0__; the metadata name it in any case."""
    x, y = flat(TRAIN)
    index = name or "__index_level_0__"
    if name is not None and not metadata:
        pytest.skip("nothing tells such a column from an input")
    names = ["x1" if at == 1 and name != "x1" else f"p{at}" for at in range(6)]
    table = pa.table({**dict(zip(names, x.T.copy(), strict=True)), "labels": y, index: np.arange(24)})
    said = {"pandas": json.dumps({"index_columns": [index], "columns": []})} if metadata else None
    pq.write_table(table.replace_schema_metadata(said), tmp_path / "a.parquet")
    data = open_stored(Arrays(path=str(tmp_path / "a.parquet"), shape=(6,), class_count=3))
    both = np.concatenate([data.train.inputs, data.held_out.inputs])
    assert both.dtype == np.uint8 and sorted(map(bytes, both)) == sorted(map(bytes, x))


def test_an_index_that_is_a_range_or_asked_for_changes_nothing(tmp_path):
    x, y = flat(TRAIN)
    table = pa.table({**{f"p{at}": x[:, at] for at in range(6)}, "labels": y})
    said = {
        "pandas": json.dumps({"index_columns": [{"kind": "range", "name": None, "start": 0, "stop": 24, "step": 1}]})
    }
    pq.write_table(table.replace_schema_metadata(said), tmp_path / "a.parquet")
    assert open_stored(Arrays(path=str(tmp_path / "a.parquet"), shape=(6,), class_count=3)).class_count.sum() > 0
    said = {"pandas": json.dumps({"index_columns": ["labels"]})}
    pq.write_table(table.replace_schema_metadata(said), tmp_path / "b.parquet")
    assert open_stored(Arrays(path=str(tmp_path / "b.parquet"), shape=(6,), class_count=3)).class_count.sum() > 0


# --- idx ---


def emnist(folder, compressed=False):
    """The four files of EMNIST letters: labels from 1, names of their own."""
    made = files.idx(folder, counts=(60, 30), sides=(4, 4), classes=26, compressed=compressed, first_label=1)
    for path in list(folder.iterdir()):
        name = path.name.replace("train-", "emnist-letters-train-").replace("t10k-", "emnist-letters-test-")
        path.rename(folder / name)
    return made


LETTERS = {"train_name": "emnist-letters-train", "held_out_name": "emnist-letters-test", "first_label": 1}


@pytest.mark.parametrize("compressed", [False, True])
def test_emnist_letters(tmp_path, compressed):
    train, held_out = emnist(tmp_path / "e", compressed)
    spec = Idx(path=str(tmp_path / "e"), shape=(4, 4), class_count=26, **LETTERS)
    assert_holds(open_stored(spec), train, held_out, 26)
    assert "row" in told(spec.model_copy(update={"first_label": 2}))
    message = told(Idx(path=str(tmp_path / "e")))
    assert "Absent: train-images-idx3-ubyte" in message
    message = told(spec.model_copy(update={"train_name": "emnist-balanced-train"}))
    assert "Absent: emnist-balanced-train-images-idx3-ubyte, emnist-balanced-train-labels-idx1-ubyte." in message


@pytest.mark.parametrize("above", ["", "MNIST", "MNIST/raw"])
def test_mnist_is_found_where_torchvision_puts_it(tmp_path, above):
    train, held_out = files.idx(tmp_path / "MNIST" / "raw")
    assert_holds(open_stored(Idx(path=str(tmp_path / above))), train, held_out, 10)


def test_two_data_sets_below_one_folder_are_not_chosen_between(tmp_path):
    files.idx(tmp_path / "MNIST" / "raw")
    files.idx(tmp_path / "FashionMNIST" / "raw", counts=(13, 8))
    message = told(Idx(path=str(tmp_path)))
    assert "holds more than one data set" in message and "MNIST/raw" in message and "FashionMNIST/raw" in message
    train, held_out = files.idx(tmp_path, counts=(14, 9))  # what lies in the named folder itself is meant
    assert_holds(open_stored(Idx(path=str(tmp_path))), train, held_out, 10)


def test_the_two_parts_of_idx_have_two_names():
    with pytest.raises(ValidationError, match="held_out_name: is train_name too"):
        Idx(path="a", held_out_name="train")
    with pytest.raises(ValidationError, match="train_name"):
        Idx(path="a", train_name="../train")
