"""ImageNet32 and CIFAR from their files, and what is told of wrong ones."""

import os

import numpy as np
import pytest
from data import dataset_files as files
from data.stored.held import assert_holds, told
from pydantic import ValidationError

from impray.data.formats import PLANS
from impray.data.stored import open_stored
from impray.spec import families
from impray.spec.data import Arrays, Cifar10, Cifar100, FileData, Idx, Imagenet32


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
    assert "not a zip file" in lines[3] and "refused: the file asks for 'posix.system'" in lines[4]


def test_arrays_of_objects_are_refused_in_npz_too(there):
    files.imagenet32(there, "npz")
    rewritten(there / "val_data.npz", labels=np.array([1, "x"] * 2 + [None], object))
    assert "labels: it holds objects" in told(Imagenet32(path=str(there)))


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
