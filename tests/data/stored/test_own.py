"""idx files and arrays of one's own, and what is told of wrong ones."""

import gzip

import numpy as np
import pytest
from data import dataset_files as files
from data.stored.held import assert_holds, told

from impray.data.stored import open_stored
from impray.spec.data import Arrays, Idx
from impray.spec.errors import DataError

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
    (X.astype(object), Y, ": cannot be read (truncated?): inputs: it holds objects"),
    (X, Y.astype(object), ": cannot be read (truncated?): labels: it holds objects"),
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


def test_of_a_relative_path_the_folder_is_told_that_it_starts_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("mine.npz", "below/mine.npz"):
        said = told(Arrays(path=path, shape=(2, 3), class_count=3))
        assert said.startswith(f"{path}: there is no such file in {tmp_path}")
    assert str(tmp_path) in told(Idx(path="mnist"))


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
        ({"a": [1.0] * 4, "b": [1.0] * 4, "labels": list("abcd")}, "labels: is of type string; must be numbers"),
    ]:
        pq.write_table(pa.table(columns), path)
        assert words in told(spec)


def test_train_and_held_out_files_have_one_type(tmp_path):
    path, *_ = files.arrays(tmp_path, dtype=np.uint8)
    other, *_ = files.arrays(tmp_path, dtype=np.float32, name="other")
    message = told(Arrays(path=str(path), held_out_path=str(other), shape=(2, 3), class_count=3))
    assert message == f"{other}: its inputs are float32, those of the first file uint8"
