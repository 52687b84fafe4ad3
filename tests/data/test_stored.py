"""Data sets from files: every format in its variants, what is wrong with files, and one conversion for all."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data import dataset_files as files
from pydantic import ValidationError

from impray.data import stored
from impray.data.formats import PLANS
from impray.data.formats.plan import MOST_ROWS, NUMBERS, portions
from impray.data.stored import open_folder, open_stored
from impray.spec import families
from impray.spec.data import Arrays, Cifar10, Cifar100, FileData, Idx, Imagenet32
from impray.spec.errors import DataError, StorageError

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    monkeypatch.setenv("IMPRAY_CACHE", str(place))
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a test's disk need not survive a power failure
    return place


@pytest.fixture
def there(tmp_path):
    return tmp_path / "there"


def assert_holds(data, train, held_out, classes):
    """The converted arrays are those written, and the sums are exact."""
    for split, (x, y) in ((data.train, train), (data.held_out, held_out)):
        assert isinstance(split.inputs, np.memmap) and not split.inputs.flags.writeable
        assert (
            split.inputs.dtype == (np.uint8 if x.dtype == np.uint8 else np.float32) and split.labels.dtype == np.int64
        )
        assert np.array_equal(split.inputs, x.astype(split.inputs.dtype)) and np.array_equal(split.labels, y)
    x, y = np.asarray(data.train.inputs, np.float64), data.train.labels
    assert data.class_count.tolist() == np.bincount(y, minlength=classes).tolist()
    for found, numbers in ((data.class_sum, x), (data.class_square_sum, x**2)):
        expected = np.zeros((classes, x.shape[1]))
        np.add.at(expected, y, numbers)
        assert found.dtype == np.float64
        if data.train.inputs.dtype == np.uint8:
            assert np.array_equal(found, expected)
        else:  # added in another order
            assert np.abs(found - expected).max() <= len(x) * np.finfo(float).eps * np.abs(numbers).max() * len(x)
    assert data.mean.dtype == np.float32 and data.folder.is_dir() and data.folder.name.endswith(data.fingerprint)


def told(spec) -> str:
    """The message of the error, and nothing left behind."""
    with pytest.raises(DataError) as caught:
        open_stored(spec)
    assert not isinstance(caught.value, StorageError)
    assert [path for path in stored.cache().glob("*") if path.suffix != ".lock"] == []
    return str(caught.value)


def test_every_kind_from_files_has_a_plan():
    assert set(PLANS) == {kind for kind in families.data.specs if issubclass(kind, FileData)}


# --- what can be asked ---


OF_ARRAYS = {"path": "a.npz", "shape": (4,), "class_count": 3}
IMPOSSIBLE = [
    (Imagenet32, {}, "path"),
    (Imagenet32, {"path": ""}, "path"),
    (Imagenet32, {"path": "a", "keep_classes": 1}, "keep_classes"),
    (Imagenet32, {"path": "a", "keep_classes": 1001}, "keep_classes: must be at most 1000, the classes in the files"),
    (Cifar100, {"path": "a", "keep_classes": 21, "labels": "coarse"}, "keep_classes: must be at most 20"),
    (Cifar10, {"path": "a", "held_out": 0}, "held_out"),
    (Cifar10, {"path": "a", "clone_images": 1}, "clone_images"),
    (Idx, {"path": "a", "shape": (0, 3)}, "must have sides of 1 or more"),
    (Arrays, OF_ARRAYS | {"shape": (1, 2, 3, 4)}, r"must be \[unit\], \[row, col\] or \[channel, row, col\]"),
    (Arrays, OF_ARRAYS | {"path": "a.csv"}, "must end in .npz, .npy or .parquet"),
    (Arrays, OF_ARRAYS | {"path": "a.npy"}, "labels_path: is missing: a .npy file holds inputs only"),
    (Arrays, OF_ARRAYS | {"labels_path": "b.npy"}, "labels_path: is for a .npy file in path"),
    (Arrays, OF_ARRAYS | {"held_out_path": "a.npy"}, "held_out_labels_path: is missing"),
    (
        Arrays,
        OF_ARRAYS | {"held_out_labels_path": "a.npy"},
        "held_out_labels_path: is for a .npy file in held_out_path",
    ),
    (Arrays, OF_ARRAYS | {"held_out_fraction": 1.0}, "held_out_fraction"),
]


@pytest.mark.parametrize("kind, fields, words", IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
def test_what_cannot_be_is_refused_before_any_file_is_read(kind, fields, words):
    with pytest.raises(ValidationError, match=words):
        kind(**fields)


def test_shapes_and_classes_are_those_of_the_kind_or_the_fields():
    assert Imagenet32(path="a").inputs == 3072 and Imagenet32(path="a").classes == 1000
    assert Imagenet32(path="a", keep_classes=7).classes == 7 and Cifar10(path="a").classes == 10
    assert [Cifar100(path="a", labels=labels).classes for labels in ("fine", "coarse")] == [100, 20]
    assert Idx(path="a").input_shape == (28, 28) and Idx(path="a", class_count=26).classes == 26
    assert Arrays(**OF_ARRAYS).center == Arrays(**OF_ARRAYS).scale == "none" and not Arrays(**OF_ARRAYS).is_image


# --- imagenet32 ---


@pytest.mark.parametrize("python, protocol", [(2, 0), (2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)])
def test_imagenet32_pickles(there, python, protocol):
    train, held_out, mean = files.imagenet32(there, counts=(2,) * 11, protocol=protocol, python=python)
    data = open_stored(Imagenet32(path=str(there)))
    assert_holds(data, train, held_out, 1000)
    assert np.array_equal(data.mean, mean)


@pytest.mark.parametrize("style, array", [("npz", True), ("mixed", True), ("mixed", False)])
def test_imagenet32_npz(there, style, array):
    train, held_out, mean = files.imagenet32(there, style, array=array)
    data = open_stored(Imagenet32(path=str(there)))
    assert_holds(data, train, held_out, 1000)
    assert np.array_equal(data.mean, mean)


def test_classes_and_held_out_inputs_that_are_not_asked_for_stay_in_the_cache(there):
    train, held_out, _ = files.imagenet32(there)
    whole = open_stored(Imagenet32(path=str(there)))
    part = open_stored(Imagenet32(path=str(there), keep_classes=2, held_out=1, center="class", gaussian_blend=0.5))
    assert part.folder == whole.folder
    assert_holds(part, train, held_out, 1000)


def test_imagenet32_tells_all_that_is_missing_and_where_it_is_published(there):
    files.imagenet32(there)
    for name in ("train_data_batch_3", "train_data_batch_10", "val_data"):
        (there / name).unlink()
    message = told(Imagenet32(path=str(there)))
    assert message.startswith(f"{there}: imagenet32 needs train_data_batch_1 to train_data_batch_10 and val_data")
    assert "Absent: train_data_batch_3, train_data_batch_10, val_data. " in message and "image-net.org" in message


def test_a_missing_folder_and_a_file_in_its_place_are_told(there):
    assert "there is no such folder" in told(Imagenet32(path=str(there)))
    there.write_bytes(b"tar")
    assert "is a file; unpack it" in told(Cifar10(path=str(there)))


def rewritten(path, **changes):
    content = dict(np.load(path)) | changes
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


WRONG_BATCHES = [
    ({"labels": np.arange(0, 7)}, ": labels: row 0 has 0 (1 of 7 rows are wrong); must be whole numbers 1 to 1000"),
    ({"labels": np.full(7, 1001)}, ": labels: row 0 has 1001 (7 of 7 rows are wrong)"),
    ({"labels": np.full(7, 1.5)}, ": labels: row 0 has 1.5"),
    ({"labels": np.array(["a"] * 7)}, ": labels: is <U1 (7,); must be whole numbers 1 to 1000"),
    ({"labels": np.ones((7, 2), int)}, ": labels: is int64 (7, 2)"),
    ({"labels": np.arange(1, 7)}, ": 6 labels for 7 images; must be as many"),
    ({"data": np.zeros((7, 12288), np.uint8)}, ": data is uint8 (7, 12288); must be uint8 (images, 3072)"),
    ({"data": np.zeros((7, 3072))}, ": data is float64 (7, 3072)"),
    ({"data": np.zeros((0, 3072), np.uint8), "labels": np.zeros(0, int)}, ": holds no images"),
    ({"data": None}, ": has no data; it holds labels, mean"),
    ({"mean": None}, ": has no mean; it holds data, labels"),
    ({"mean": np.zeros(1024)}, ": mean is float64 (1024,); must be numbers (3072,)"),
    ({"mean": np.full(3072, np.nan)}, ": mean is not finite"),
]


@pytest.mark.parametrize("changes, words", WRONG_BATCHES, ids=[words for _, words in WRONG_BATCHES])
def test_a_wrong_batch_is_told_with_the_value_found(there, changes, words):
    files.imagenet32(there, "npz")
    rewritten(there / "train_data_batch_1.npz", **changes)
    assert told(Imagenet32(path=str(there))).startswith(f"{there}/train_data_batch_1.npz{words}")


def test_problems_of_all_files_are_told_at_once(there):
    files.imagenet32(there, "mixed")
    content = (there / "train_data_batch_3").read_bytes()
    (there / "train_data_batch_3").write_bytes(content[: len(content) // 2])
    rewritten(there / "train_data_batch_6.npz", data=np.zeros((3, 5)), labels=np.zeros(4, int))
    (there / "train_data_batch_8.npz").write_bytes((there / "train_data_batch_8.npz").read_bytes()[:-500])
    (there / "val_data").write_bytes(files.pickled(os.system))
    lines = told(Imagenet32(path=str(there))).splitlines()
    assert [line.partition(": ")[0].rpartition("/")[2] for line in lines] == [
        "train_data_batch_3",
        "train_data_batch_6.npz",
        "train_data_batch_6.npz",
        "train_data_batch_8.npz",
        "val_data",
    ]
    assert "is truncated" in lines[0] and "labels: row 0 has 0" in lines[1] and "data is float64 (3, 5)" in lines[2]
    assert "no readable .npz file" in lines[3] and "refused: the file asks for 'posix.system'" in lines[4]


def test_arrays_of_objects_are_refused_in_npz_too(there):
    files.imagenet32(there, "npz")
    rewritten(there / "val_data.npz", labels=np.array([1, "x"] * 2 + [None], object))
    assert "Object arrays cannot be loaded" in told(Imagenet32(path=str(there)))


def test_a_pickle_of_something_else_is_told(there):
    files.imagenet32(there)
    (there / "val_data").write_bytes(files.pickled([1, 2]))
    assert "val_data: holds no dictionary; must be one with data, labels" in told(Imagenet32(path=str(there)))


# --- cifar ---


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("style, python", [("python", 2), ("python", 3), ("binary", 3)])
def test_cifar10(there, style, python, above):
    train, held_out = files.cifar10(there, style, python=python)
    (inner,) = there.iterdir()
    data = open_stored(Cifar10(path=str(there if above else inner)))
    assert_holds(data, train, held_out, 10)
    assert np.allclose(data.mean, train[0].mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("labels", ["fine", "coarse"])
@pytest.mark.parametrize("style", ["python", "binary"])
def test_cifar100(there, style, labels):
    train, held_out = files.cifar100(there, style, labels)
    data = open_stored(Cifar100(path=str(there), labels=labels))
    assert_holds(data, train, held_out, 100 if labels == "fine" else 20)


def test_pickled_and_binary_cifar_hold_the_same(tmp_path):
    files.cifar10(tmp_path / "a", "python")
    files.cifar10(tmp_path / "b", "binary")
    one, other = (open_stored(Cifar10(path=str(tmp_path / name))) for name in "ab")
    assert np.array_equal(one.train.inputs, other.train.inputs) and one.folder != other.folder


def test_wrong_cifar_files_are_told(there):
    files.cifar10(there, "binary")
    inner = there / "cifar-10-batches-bin"
    first, second = inner / "data_batch_1.bin", inner / "data_batch_2.bin"
    first.write_bytes(first.read_bytes()[:-1])
    second.write_bytes(b"\x0a" + second.read_bytes()[1:])
    lines = told(Cifar10(path=str(there))).splitlines()
    size = 6 * 3073 - 1
    assert lines == [
        f"{there}/cifar-10-batches-bin/data_batch_1.bin: has {size} bytes, 5 records and 3072 bytes; "
        "must be whole records of 3073 bytes",
        f"{there}/cifar-10-batches-bin/data_batch_2.bin: labels: row 0 has 10 (1 of 6 rows are wrong); "
        "must be whole numbers 0 to 9",
    ]


def test_missing_cifar_files_are_those_of_the_nearer_layout(there):
    files.cifar10(there, "binary")
    (there / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    message = told(Cifar10(path=str(there)))
    assert "Absent: test_batch.bin. " in message and "~kriz/cifar.html" in message
    message = told(Cifar100(path=str(there)))
    assert "Absent: train, test. " in message and "the same as .bin in cifar-100-binary" in message


# --- idx ---


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_idx(there, compressed, dotted):
    train, held_out = files.idx(there, compressed=compressed, dotted=dotted)
    assert_holds(open_stored(Idx(path=str(there))), train, held_out, 10)


def test_idx_of_other_sizes(there):
    train, held_out = files.idx(there, sides=(3, 5), classes=4)
    assert_holds(open_stored(Idx(path=str(there), shape=(3, 5), class_count=4)), train, held_out, 4)


def test_wrong_idx_files_are_told(there):
    images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
    files.idx(there)
    assert told(Idx(path=str(there), shape=(28, 27))).splitlines() == [
        f"{there}/{split}-images-idx3-ubyte: images of 28 x 28 px; data.shape asks for 28 x 27"
        for split in ("train", "t10k")
    ]
    whole = {name: (there / name).read_bytes() for name in (images, labels)}
    count = (13).to_bytes(4, "big")
    for name, content, words in [
        (images, whole[images][:-1], f"{images}: is truncated: it ends 1 bytes before its header says"),
        (images, whole[images] + b"x", f"{images}: is longer than its header says"),
        (images, whole[images][:10], f"{images}: is truncated: it ends 6 bytes before"),
        (images, whole[labels], f"{images}: begins with 2049, which stands for labels; images"),
        (images, b"text" * 9, f"{images}: begins with 1952807028; images of unsigned bytes begin with 2051"),
        (labels, whole[labels][:4] + count + whole[labels][8:], "13 labels for 12 images of "),
        (labels, whole[labels] + b"x", f"{labels}: is longer"),
        (labels, whole[labels][:8] + b"\x0a" * 12, f"{labels}: row 0 has 10 (12 of 12 rows are wrong); must be"),
    ]:
        (there / name).write_bytes(content)
        assert words in told(Idx(path=str(there)))
        (there / name).write_bytes(whole[name])
    (there / labels).unlink()
    assert f"Absent: {labels}. " in told(Idx(path=str(there)))


def test_damaged_gzip_is_told(there):
    files.idx(there, compressed=True)
    for path in (there / "train-images-idx3-ubyte.gz", there / "t10k-labels-idx1-ubyte.gz"):
        whole = path.read_bytes()
        for content in (whole[:-9], whole[:-8] + bytes(8), gzip.decompress(whole)):
            path.write_bytes(content)
            assert told(Idx(path=str(there))).startswith(f"{path}: is no readable gzip file (truncated?): ")
        path.write_bytes(b"")
        assert told(Idx(path=str(there))) == f"{path}: is truncated: it ends 4 bytes before its header says"
        path.write_bytes(whole)


# --- own arrays ---


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int32, ">f4", bool])
@pytest.mark.parametrize("style", ["npz", "compressed", "fortran", "npy", "lists", "fixed", "columns"])
def test_arrays_with_a_held_out_file(tmp_path, style, dtype):
    if style in ("lists", "fixed", "columns") and dtype == ">f4":
        dtype = "<f4"  # Parquet has one byte order
    path, labels, *train = files.arrays(tmp_path, style, dtype=dtype)
    other, other_labels, *held_out = files.arrays(tmp_path, style, dtype=dtype, count=6, name="other", seed=1)
    paths = {"path": path, "labels_path": labels, "held_out_path": other, "held_out_labels_path": other_labels}
    spec = Arrays(shape=(2, 3), class_count=3, **{name: str(path) for name, path in paths.items() if path})
    assert_holds(open_stored(spec), train, held_out, 3)


@pytest.mark.parametrize("style", ["npz", "npy", "lists", "columns"])
def test_arrays_in_many_portions(tmp_path, monkeypatch, style):
    monkeypatch.setattr("impray.data.formats.plan.NUMBERS", 18)
    path, labels, x, y = files.arrays(tmp_path, style, count=20)
    spec = Arrays(path=str(path), labels_path=labels and str(labels), shape=(2, 3), class_count=3)
    data = open_stored(spec)
    assert len(data.held_out.labels) == 4 and len(data.train.labels) == 16
    places = [np.flatnonzero((x.astype(np.float32) == row).all(axis=1)) for row in data.held_out.inputs]
    held_out = np.isin(np.arange(20), np.concatenate(places))
    assert_holds(data, (x[~held_out], y[~held_out]), (x[held_out], y[held_out]), 3)


def test_the_held_out_share_is_drawn_by_draw(tmp_path):
    path, _, x, _ = files.arrays(tmp_path, count=50)
    spec = Arrays(path=str(path), shape=(2, 3), class_count=3)
    one, same, other, less = (
        open_stored(spec.model_copy(update=update))
        for update in ({}, {"keep_classes": 2}, {"draw": 1}, {"held_out_fraction": 0.001})
    )
    assert one.folder == same.folder and len({one.folder, other.folder, less.folder}) == 3
    assert len(one.held_out.labels) == 10 and len(less.held_out.labels) == 1
    assert not np.array_equal(one.held_out.inputs, other.held_out.inputs)
    assert np.array_equal(
        np.sort(np.concatenate([one.train.inputs, one.held_out.inputs]), axis=0), np.sort(x.astype("f4"), axis=0)
    )


def test_names_of_arrays_can_be_chosen(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((4, 2)), y=[0, 1, 0, 1])
    spec = Arrays(path=str(tmp_path / "a.npz"), shape=(2,), class_count=2, inputs_name="x", labels_name="y")
    assert len(open_stored(spec).train.labels) == 3
    message = told_of(spec, inputs_name="inputs", labels_name="labels")
    assert message.endswith("a.npz: has no array inputs and no labels; it holds x, y")


def told_of(spec, **changes):
    with pytest.raises(DataError) as caught:
        open_stored(spec.model_copy(update=changes))
    return str(caught.value)


def with_nan(x):
    x = x.copy()
    x[7, 1, 2] = np.nan
    return x


X, Y = np.ones((12, 2, 3)), np.arange(12) % 3
WRONG_ARRAYS = [
    (with_nan(X), Y, ": the inputs of row 7 are not all finite (as float32)"),
    (X * 1e300, Y, ": the inputs of row 0 are not all finite (as float32)"),
    (X * 1j, Y, ": inputs: is of type complex128; must be real numbers"),
    (X.astype(str), Y, ": inputs: is of type <U32; must be real numbers"),
    (X.astype(object), Y, ": inputs: is of type object; must be real numbers"),
    (X, Y.astype(object), ": is no readable .npz file (truncated?): Object arrays cannot be loaded"),
    (X[:, :, :2], Y, ": inputs: has the shape (12, 2, 2); must be (rows, 2, 3) or (rows, 6)"),
    (X, Y + 1, ": labels: row 2 has 3 (4 of 12 rows are wrong); must be whole numbers 0 to 2"),
    (X, Y + 0.5, ": labels: row 0 has 0.5"),
    (X, Y - 1, ": labels: row 0 has -1"),
    (X, Y.astype(str), ": labels: is <U21 (12,); must be whole numbers 0 to 2, one per row"),
    (X, Y[:-1], ": labels: 11 labels for 12 inputs; must be as many"),
    (X[:1], Y[:1], ": holds 1 inputs; there must be some for both parts"),
    (X[:0], Y[:0], ": holds no inputs"),
]


@pytest.mark.parametrize("x, y, words", WRONG_ARRAYS, ids=[words for *_, words in WRONG_ARRAYS])
def test_wrong_arrays_are_told(there, x, y, words):
    path = there.with_suffix(".npz")
    np.savez(path, inputs=x, labels=y)
    assert told(Arrays(path=str(path), shape=(2, 3), class_count=3)).startswith(f"{path}{words}")


def test_channels_last_are_told(there):
    path = there.with_suffix(".npz")
    np.savez(path, inputs=np.zeros((4, 8, 6, 3), np.uint8), labels=np.zeros(4, int))
    assert "channels come first" in told(Arrays(path=str(path), shape=(3, 8, 6), class_count=3))


def test_truncated_and_missing_arrays_are_told(tmp_path):
    for style in ("npz", "npy", "lists"):
        path, labels, *_ = files.arrays(tmp_path, style)
        spec = Arrays(path=str(path), labels_path=labels and str(labels), shape=(2, 3), class_count=3)
        content = path.read_bytes()
        for kept in (0, 1, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:kept])
            assert told(spec).startswith(f"{path}: ")
        path.unlink()
        assert told(spec) == f"{path}: there is no such file"


def test_a_npy_file_called_npz_and_the_other_way_round_are_told(tmp_path):
    npz, npy = tmp_path / "a.npz", tmp_path / "b.npy"
    np.savez(tmp_path / "b.npz", inputs=np.ones((4, 2)), labels=[0, 1, 0, 1])
    (tmp_path / "b.npz").rename(npy)
    np.save(tmp_path / "a.npy", np.ones((4, 2)))
    (tmp_path / "a.npy").rename(npz)
    assert "it is one array without a name" in told(Arrays(path=str(npz), shape=(2,), class_count=2))
    spec = Arrays(path=str(npy), labels_path=str(npy), shape=(2,), class_count=2)
    assert "it holds several arrays; call it .npz" in told(spec)


def test_a_flipped_byte_in_an_npz_is_told(there):
    path, *_ = files.arrays(there)
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    assert "Bad CRC-32" in told(Arrays(path=str(path), shape=(2, 3), class_count=3))


def test_wrong_parquet_is_told(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    spec = Arrays(path=str(path), shape=(2,), class_count=3)
    labels = [0, 1, 2, 0]
    for columns, words in [
        ({"inputs": [[1.0, 2.0]] * 4}, "has no column labels; it has inputs"),
        ({"inputs": [[1.0, 2.0]] * 3 + [[1.0]], "labels": labels}, "inputs: row 3 has 1; must be lists of 2 numbers"),
        ({"inputs": [[1.0, 2.0]] * 3 + [None], "labels": labels}, "inputs: row 3 has none; must be lists of 2 numbers"),
        ({"inputs": [[1.0, 2.0]] * 3 + [[1.0, None]], "labels": labels}, "inputs: row 3 has gaps"),
        ({"inputs": [[1.0, float("inf")]] * 4, "labels": labels}, "the inputs of row 0 are not all finite"),
        ({"inputs": ["text"] * 4, "labels": labels}, "inputs: is of type string; must be lists of 2 numbers"),
        ({"inputs": [["a", "b"]] * 4, "labels": labels}, "must be lists of 2 numbers"),
        (
            {"a": [1.0] * 4, "words": ["x"] * 4, "labels": labels},
            "has no column inputs, and 1 numeric columns but labels",
        ),
        ({"a": [1.0] * 4, "b": [1.0, None, 1.0, 1.0], "labels": labels}, "b: row 1 has none"),
        ({"a": [1.0] * 4, "b": [1.0] * 4, "labels": [0, 1, None, 1]}, "labels: row 2 has none"),
        ({"a": [1.0] * 4, "b": [1.0] * 4, "labels": [0, 1, 3, 1]}, "labels: row 2 has 3"),
        ({"a": [1.0] * 4, "b": [1.0] * 4, "labels": list("abcd")}, "labels: is object (4,); must be whole numbers"),
    ]:
        pq.write_table(pa.table(columns), path)
        assert words in told(spec)


def test_train_and_held_out_files_have_one_type(tmp_path):
    path, *_ = files.arrays(tmp_path, dtype=np.uint8)
    other, *_ = files.arrays(tmp_path, dtype=np.float32, name="other")
    message = told(Arrays(path=str(path), held_out_path=str(other), shape=(2, 3), class_count=3))
    assert message == f"{other}: its inputs are float32, those of the first file uint8"


# --- elsewhere ---


def test_uris_are_read_through_pyarrow_and_leave_no_copy(there, cache):
    train, held_out = files.idx(there, compressed=True)
    data = open_stored(Idx(path=there.as_uri()))
    assert_holds(data, train, held_out, 10)
    assert [path for path in cache.rglob("*") if "source" in path.name] == []
    train, held_out, _ = files.imagenet32(there, "mixed")
    assert_holds(open_stored(Imagenet32(path=there.as_uri() + "/")), train, held_out, 1000)
    (path, _, *train), (other, _, *held_out) = files.arrays(there), files.arrays(there / "other", seed=1)
    spec = Arrays(path=path.as_uri(), held_out_path=other.as_uri(), shape=(2, 3), class_count=3)
    assert_holds(open_stored(spec), train, held_out, 3)


def test_uris_that_lead_nowhere_are_told_without_their_secrets(there, monkeypatch):
    assert f"{there.as_uri()}: there is no such folder" in told(Idx(path=there.as_uri()))
    assert "ftp://host/folder: cannot be reached" in told(Idx(path="ftp://me:secret@host/folder?key=secret"))
    assert "secret" not in told(Idx(path="ftp://me:secret@host/folder?key=secret"))


# --- once ---


def test_a_second_opening_converts_nothing_and_reads_only_the_ends_of_sources(there, monkeypatch):
    files.idx(there, counts=(3000, 7))
    first = open_stored(Idx(path=str(there)))
    monkeypatch.setattr(stored, "_convert", None)
    monkeypatch.setattr(stored, "_END", 2**20)
    second = open_stored(Idx(path=str(there)))
    assert second.folder == first.folder and np.array_equal(second.train.inputs, first.train.inputs)
    shutil.rmtree(there)
    assert np.array_equal(open_folder(first.folder).train.labels, first.train.labels)


def test_a_changed_source_has_another_fingerprint(there):
    files.idx(there)
    path = there / "t10k-labels-idx1-ubyte"
    prints = [open_stored(Idx(path=str(there))).fingerprint]
    content = bytearray(path.read_bytes())
    content[-1] = (content[-1] + 1) % 10
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = open_stored(Idx(path=str(there)))
    prints.append(changed.fingerprint)
    os.utime(path, ns=(0, 0))
    prints.append(open_stored(Idx(path=str(there))).fingerprint)
    assert len(set(prints)) == 3 and changed.held_out.labels[-1] == content[-1]
    moved = there.rename(there.with_name("elsewhere"))
    assert open_stored(Idx(path=str(moved))).fingerprint == prints[-1]


def test_a_source_that_changes_while_it_is_read_is_told(there, monkeypatch):
    files.idx(there)
    fill = stored._fill

    def meanwhile(*arguments):
        fill(*arguments)
        os.utime(there / "t10k-labels-idx1-ubyte", ns=(0, 0))

    monkeypatch.setattr(stored, "_fill", meanwhile)
    assert "changed while it was read; run this again" in told(Idx(path=str(there)))


def test_what_was_converted_is_told_in_complete_json(there):
    files.idx(there)
    data = open_stored(Idx(path=str(there)))
    said = json.loads((data.folder / "complete.json").read_text())
    assert said["images"] == {"train": 12, "held_out": 7} and said["fingerprint"] == data.fingerprint
    assert [Path(source["file"]).name for source in said["sources"]][:1] == ["train-images-idx3-ubyte"]
    assert said["files"]["train_inputs.bin"] == 12 * 784


def test_a_data_set_that_lost_a_file_is_converted_again(there):
    train, held_out = files.idx(there)
    for name in ("complete.json", "mean.npy", "train_inputs.bin"):
        folder = open_stored(Idx(path=str(there))).folder
        os.truncate(folder / name, 1)
        with pytest.raises(DataError, match="holds no whole converted data set"):
            open_folder(folder)
        assert_holds(open_stored(Idx(path=str(there))), train, held_out, 10)


CHILD = """
import sys, time, types
from pathlib import Path
import impray
package = types.ModuleType("impray.data")  # its own first words import torch: seconds, for nothing here
package.__path__ = [str(Path(impray.__file__).parent / "data")]
sys.modules["impray.data"] = package
from impray.data import stored
from impray.spec import families
from impray.spec.data import Imagenet32

there, log, slow = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
convert, carry = stored._convert, stored._carry

def logged(*arguments):
    with log.open("a") as file:
        file.write("converted ")
    convert(*arguments)

def slowly(*arguments, **named):
    carry(*arguments, **named)
    time.sleep(slow)

stored._convert, stored._carry = logged, slowly
print(stored.open_stored(Imagenet32(path=str(there))).train.inputs.sum())
"""


def child(there, log, slow):
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, "-c", CHILD, str(there), str(log), str(slow)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_that_open_at_once_convert_once(there, tmp_path):
    (x, _), *_ = files.imagenet32(there)
    log = tmp_path / "log"
    children = [child(there, log, 0.03) for _ in range(2)]
    assert [int(each.communicate()[0]) for each in children] == [int(x.sum())] * 2
    assert log.read_text() == "converted "


def test_a_killed_conversion_leaves_nothing_that_looks_whole(there, tmp_path, cache):
    train, held_out, _ = files.imagenet32(there)
    killed = child(there, tmp_path / "log", 30)
    until = time.monotonic() + 60
    while not list(cache.glob("*.unfinished/train_inputs.bin")) and time.monotonic() < until:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (left,) = cache.glob("*.unfinished")
    assert (left / "train_inputs.bin").stat().st_size > 0 and not (left / "complete.json").exists()
    assert [path for path in cache.iterdir() if path.suffix not in (".unfinished", ".lock")] == []
    assert_holds(open_stored(Imagenet32(path=str(there))), train, held_out, 1000)
    assert not left.exists()


def test_a_read_only_cache_serves_what_is_in_it_and_names_the_variable_otherwise(there, cache, monkeypatch):
    files.idx(there)
    open_stored(Idx(path=str(there)))
    in_the_way = cache / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("IMPRAY_CACHE", str(in_the_way / "cache"))
    with pytest.raises(StorageError, match="IMPRAY_CACHE"):
        open_stored(Idx(path=str(there)))


def test_a_full_disk_is_told_and_leaves_nothing(there, cache, monkeypatch):
    files.idx(there)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored._Made, "_append", full)
    with pytest.raises(StorageError, match="No space left on device.*free some space"):
        open_stored(Idx(path=str(there)))
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    assert stored.cache() == tmp_path / "cache"
    monkeypatch.delenv("IMPRAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert stored.cache() == Path("/xdg/impray")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert stored.cache() == Path("/home/me/.cache/impray")


@pytest.mark.parametrize("inputs", [1, 784, 3072, 2**23])
def test_portions_cover_all_rows_and_keep_sums_of_squared_bytes_below_32_bits(inputs):
    parts = list(portions(100_000, inputs)) if inputs < 2**23 else list(portions(3, inputs))
    assert parts[0].start == 0 and all(one.stop == other.start for one, other in zip(parts, parts[1:], strict=False))
    assert all((part.stop - part.start) * 255**2 < 2**32 for part in parts) and MOST_ROWS * 255**2 < 2**32
    assert all((part.stop - part.start) * inputs <= max(NUMBERS, inputs) for part in parts)
