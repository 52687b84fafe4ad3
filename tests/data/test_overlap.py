"""Held-out rows that are training rows are refused; rows that merely repeat, as they do in both parts alike, are not."""

import shutil

import numpy as np
import pytest
from data import dataset_files as files

from impray.data import overlap, stored
from impray.data.stored import open_stored
from impray.spec.data import Arrays, Cifar10, Idx
from impray.spec.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))


def leaks(train, held_out):
    return overlap.leaks(overlap.digests(train), overlap.digests(held_out))


def normal(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)


SIZES = [(8, 2), (20, 5), (100, 25), (100, 100), (500, 1000)]


@pytest.mark.parametrize("bits", [1, 3, 6, 9, 12])
@pytest.mark.parametrize("train, held_out", SIZES)
def test_independent_rows_are_no_leak_however_often_they_repeat(bits, train, held_out):
    for seed in range(20):
        rows = np.random.default_rng(seed).integers(0, 2, (train + held_out, bits), dtype=np.uint8)
        one, other = rows[:train], rows[train:]
        same = sorted(map(bytes, one)) == sorted(map(bytes, other))
        assert leaks(one, other) == (same and len(np.unique(one, axis=0)) > 1)


@pytest.mark.parametrize("held_out", [5, 50, 500])
def test_rows_drawn_twice_are_no_leak_when_both_parts_have_them(held_out):
    rows = np.random.default_rng(0).permutation(np.repeat(normal(500), 2, axis=0))
    assert not leaks(rows[held_out:], rows[:held_out])


@pytest.mark.parametrize("train, held_out", [(5, 5), (100, 100), (1000, 1000), (20, 5), (1000, 10), (500, 499)])
def test_training_rows_in_any_order_are_no_held_out_rows(train, held_out):
    rows = normal(train)
    assert leaks(rows, np.random.default_rng(1).permutation(rows)[:held_out])


def test_a_share_well_above_a_tenth_is_a_leak_and_one_below_is_none():
    train, held_out = normal(1000), normal(500, seed=1)
    for copied, expected in ((0, False), (1, False), (50, False), (125, True), (500, True)):
        held_out[:copied] = train[:copied]
        assert leaks(train, held_out) == expected
        assert overlap.shared(overlap.digests(train), overlap.digests(held_out)) == copied


def test_equal_digests_are_equal_rows():
    rows = np.random.default_rng(0).integers(0, 3, (200, 4), dtype=np.uint8)
    found = overlap.digests(rows)
    equal = (rows[:, None] == rows[None]).all(axis=2)
    assert np.array_equal(found[:, None] == found[None], equal)


# --- in every format, with the files named ---


def refused(spec):
    with pytest.raises(DataError) as caught:
        open_stored(spec)
    return str(caught.value)


@pytest.mark.parametrize("style", ["npz", "npy", "lists", "columns"])
def test_a_copy_of_the_training_file_under_another_name_is_refused(tmp_path, style):
    path, labels, *_ = files.arrays(tmp_path, style)
    copies = {from_: from_.with_stem(f"{from_.stem}_copy") for from_ in (path, labels) if from_}
    for from_, to in copies.items():
        shutil.copy(from_, to)
    both = {"path": path, "held_out_path": copies[path]}
    both |= {"labels_path": labels, "held_out_labels_path": copies[labels]} if labels else {}
    spec = Arrays(shape=(2, 3), class_count=3, **{name: str(value) for name, value in both.items()})
    message = refused(spec)
    assert message.startswith(f"{copies[path]}")
    assert ": 20 of 20 held-out inputs are, byte for byte, training inputs" in message


def test_the_same_rows_as_two_arrays_of_one_file_are_refused_whatever_their_labels(tmp_path):
    x, y = normal(30), np.arange(30) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y, x_test=x[::-1], y_test=y)
    names = {"inputs_name": "x", "labels_name": "y", "held_out_inputs_name": "x_test", "held_out_labels_name": "y_test"}
    spec = Arrays(path=str(tmp_path / "a.npz"), shape=(5,), class_count=2, **names)
    assert refused(spec).startswith(f"{tmp_path / 'a.npz'}: 30 of 30 held-out inputs")


def test_copied_files_of_published_formats_are_refused(tmp_path):
    files.cifar10(tmp_path, "binary", counts=(30,) * 6)
    inner = tmp_path / "cifar-10-batches-bin"
    shutil.copy(inner / "data_batch_2.bin", inner / "test_batch.bin")
    assert "test_batch.bin: 30 of 30 held-out inputs" in refused(Cifar10(path=str(tmp_path)))
    files.idx(tmp_path / "digits", counts=(40, 40))
    for what in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        shutil.copy(tmp_path / "digits" / f"train-{what}", tmp_path / "digits" / f"t10k-{what}")
    assert "40 of 40 held-out inputs" in refused(Idx(path=str(tmp_path / "digits")))


def test_a_refused_data_set_is_not_kept(tmp_path):
    files.arrays(tmp_path)
    shutil.copy(tmp_path / "train.npz", tmp_path / "copy.npz")
    paths = {"path": str(tmp_path / "train.npz"), "held_out_path": str(tmp_path / "copy.npz")}
    for _ in range(2):
        refused(Arrays(shape=(2, 3), class_count=3, **paths))


def test_what_was_converted_without_being_looked_at_is_converted_again(tmp_path, monkeypatch):
    files.arrays(tmp_path)
    shutil.copy(tmp_path / "train.npz", tmp_path / "copy.npz")
    paths = {"path": str(tmp_path / "train.npz"), "held_out_path": str(tmp_path / "copy.npz")}
    spec = Arrays(shape=(2, 3), class_count=3, **paths)
    with monkeypatch.context() as earlier:
        earlier.setattr(stored, "_VERSION", 1)
        earlier.setattr(overlap, "leaks", lambda train, held_out: False)
        open_stored(spec)
    refused(spec)
