"""The clone's moments, and its files."""

import math
import multiprocessing
import os
import time

import numpy as np
import pytest
import torch
from data.images.image_files import arrays, cifar10, forget, idx, of_class, open_, train

from impray.data import images
from impray.data.images import clone_table
from impray.data.stored import drop_damaged, open_stored
from impray.spec.data import Arrays
from impray.spec.errors import DataError, StorageError


def skewed(folder, count=40_000, classes=2):
    """Images of 2 x 2 x 2 bytes, skewed, correlated within and across channels, other means for every class."""
    random = np.random.default_rng(5)
    labels = np.arange(count) % classes
    mixes = random.normal(size=(classes, 8, 8))
    x = np.einsum("si,sij->sj", random.exponential(6, size=(count, 8)), mixes[labels])
    x = np.clip(np.rint(x + 128), 0, 255).astype(np.uint8)
    folder.mkdir(exist_ok=True)
    np.savez(folder / "skewed.npz", inputs=x.reshape(-1, 2, 2, 2), labels=labels)
    return {"path": str(folder / "skewed.npz"), "shape": (2, 2, 2), "class_count": classes, "held_out_fraction": 0.25}


def drawn(spec, label, split="train"):
    """Clones of a class in the units of the files."""
    clones, labels = clone_table(spec), getattr(open_stored(spec), split).labels
    rows = np.sort(labels[labels < spec.classes]) == label
    return getattr(clones, split)[rows] * clones.unit + of_class(spec, label).mean(axis=0)


@pytest.mark.parametrize("clone", ["channel", "joint"])
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_a_clone_has_the_mean_and_covariance_of_its_class_and_no_excess_kurtosis(clone, split, tmp_path):
    spec = Arrays(**skewed(tmp_path), gaussian_blend=1.0, clone=clone, clone_images=None)
    for label in range(2):
        natural, found = of_class(spec, label), drawn(spec, label, split)
        count, variance = len(found), natural.var(axis=0)
        assert count == (getattr(open_stored(spec), split).labels == label).sum() > 4_000
        expected = np.cov(natural.T)
        if clone == "channel":
            expected = expected * np.kron(np.eye(2), np.ones((4, 4)))
        # Gaussian sampling errors; float16's are 2^-22 of the variance. 2 x 36 covariances: 4.5 of them.
        error = np.sqrt((expected**2 + np.outer(variance, variance)) / count)
        assert (np.abs(np.cov(found.T) - expected) < 4.5 * error).all()
        assert (np.abs(found.mean(0) - natural.mean(0)) < 4.5 * np.sqrt(variance / count)).all()
        assert (np.abs(fourth(standard(found))) < 4 * math.sqrt(24 / count)).all()
        assert (fourth(standard(natural)) > 0.5).all()


def test_the_blend_keeps_mean_and_covariance_and_takes_the_higher_cumulants_away(tmp_path):
    asked = skewed(tmp_path)
    at_0, labels = train(Arrays(**asked), torch.float64)
    for b in (0.25, 0.5, 1.0):
        x = train(Arrays(**asked, gaussian_blend=b, clone="joint", clone_images=None), torch.float64)[0]
        for label in range(2):
            natural, found = (part[labels == label].numpy() for part in (at_0, x))
            count, expected, variance = len(found), np.cov(natural.T), natural.var(axis=0)
            centred = found - found.mean(0)
            products = centred[:, :, None] * centred[:, None, :]
            error = products.std(axis=0) / math.sqrt(count)
            # The natural images are the same ones: what differs has at most the errors of x and of them.
            assert (np.abs(np.cov(found.T) - expected) < 4.5 * math.sqrt(2) * error).all()
            assert (np.abs(found.mean(0) - natural.mean(0)) < 4.5 * np.sqrt(b * variance / count)).all()
            # Cumulants of order k are (1 - b)^(k/2) times the images'; errors from the spread of z^k.
            for k, cumulant in ((3, third), (4, fourth)):
                z = centred / found.std(0)
                error = (z**k).std(0) / math.sqrt(count) + k * np.abs(cumulant(z)) / math.sqrt(count)
                assert (np.abs(cumulant(z) - (1 - b) ** (k / 2) * cumulant(standard(natural))) < 4.5 * 2 * error).all()


def standard(x):
    return (x - x.mean(0)) / x.std(0)


def third(z):
    return (z**3).mean(0)


def fourth(z):
    return (z**4).mean(0) - 3


@pytest.mark.parametrize("clone", ["channel", "joint"])
def test_clones_of_few_images_span_what_these_span_and_share_their_mean(clone, tmp_path):
    asked, kind, _ = arrays(tmp_path, np.uint8, shape=(2, 4, 5), count=600)
    spec = kind(**asked, clone=clone, clone_images=18, gaussian_blend=1.0)
    fitted = images.fitted.fitted_rows(images.kept.clone_key(spec))
    stored = open_stored(spec)
    assert sum(map(len, fitted)) == 18 and all((stored.train.labels[rows] == c).all() for c, rows in enumerate(fitted))
    for label, rows in enumerate(fitted):
        unit = clone_table(spec).unit
        own = (stored.train.inputs[rows] - of_class(spec, label).mean(0)) / unit
        found = clone_table(spec).train[np.sort(stored.train.labels) == label].astype(np.float64)
        for inputs in (slice(0, 20), slice(20, 40)) if clone == "channel" else (slice(0, 40),):
            mean = own[:, inputs].mean(axis=0)
            basis = np.linalg.svd(own[:, inputs] - mean)[2][: len(rows) - 1]
            away = found[:, inputs] - mean
            assert np.linalg.matrix_rank(away @ basis.T) == len(rows) - 1
            outside = np.linalg.norm(away - away @ basis.T @ basis, axis=1)
            # float16 rounds by 2^-11 of each value at most, float32 by much less.
            assert (outside < 1.1 * 2.0**-11 * np.linalg.norm(found[:, inputs], axis=1)).all()
        # The draw's mean is that of the fitted images: the shift that the head tells of.
        error = own.std(axis=0, ddof=1) / math.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - own.mean(axis=0)) < 4.5 * error + 1e-3).all()


@pytest.mark.parametrize("clone", ["channel", "joint"])
def test_many_images_are_condensed_to_few_of_the_same_mean_and_covariance(clone, tmp_path, monkeypatch):
    spec = Arrays(**skewed(tmp_path, count=800), clone=clone)
    key = images.kept.clone_key(spec)
    opened, rows = images.kept.opened_images(spec), images.fitted.fitted_rows(key)[1]
    whole = images.fitted._fit(key, opened, rows, 1).flatten(1)
    monkeypatch.setattr(images.fitted, "_FITTED", 70 * 8)
    few = images.fitted._fit(key, opened, rows, 1).flatten(1)
    assert len(whole) == len(rows) > 200 and len(few) == (8 if clone == "channel" else 16)
    within = torch.block_diag(*[torch.ones(4, 4)] * 2).bool() if clone == "channel" else torch.ones(8, 8).bool()
    assert torch.allclose(few.mean(0), whole.mean(0), atol=1e-5)  # float32
    assert torch.allclose(torch.cov(few.T)[within], torch.cov(whole.T)[within], rtol=1e-4, atol=1e-5)


def test_the_clone_is_a_function_of_what_names_its_files(tmp_path, cache, monkeypatch):
    asked, kind, _ = arrays(tmp_path, np.uint8)
    spec = kind(**asked, gaussian_blend=0.5)
    first = clone_table(spec).train.copy()
    same = [kind(**asked, gaussian_blend=1.0, center="class", held_out=2), kind(**asked, clone_images=60)]
    other = [kind(**asked, **{name: value}) for name, value in ALTERED.items()]
    names = {clone_table(one).train.filename for one in (spec, *same)}
    assert len(names) == 1 and len({clone_table(one).train.filename for one in other} | names) == 1 + len(other)
    # The first rows are of class 0. It does not know which other classes are kept, as long as all are fitted.
    alike = [np.array_equal(clone_table(one).train[:5], first[:5]) for one in other]
    assert alike == [name == "keep_classes" for name in ALTERED]
    (folder,) = {os.path.dirname(name) for name in names}
    forget()
    left = f"{folder}.unfinished"  # by a maker that was killed
    os.rename(folder, left)
    monkeypatch.setattr(images.fitted, "_DRAWN", 10**9)
    assert np.array_equal(clone_table(spec).train, first)
    assert not os.path.exists(left)


ALTERED = {"clone": "joint", "clone_images": 20, "draw": 1, "keep_classes": 2}


def test_two_processes_at_once_make_one_clone(tmp_path, monkeypatch):
    asked, kind, _ = arrays(tmp_path, np.uint8)
    spec = kind(**asked, gaussian_blend=0.5)
    images.kept.opened_images(spec)
    fork = multiprocessing.get_context("fork")  # here, for starting torch again would take seconds
    both, answers, make = fork.Barrier(2), fork.SimpleQueue(), images.clones._make_clones

    def slowly(*args):
        answers.put("made")
        time.sleep(0.3)
        make(*args)

    def run():
        both.wait()
        answers.put(clone_table(spec).train.astype(np.float64).sum())

    monkeypatch.setattr(images.clones, "_make_clones", slowly)
    processes = [fork.Process(target=run) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    found = [answers.get() for _ in range(3)]
    assert answers.empty() and found.count("made") == 1
    assert {answer for answer in found if answer != "made"} == {clone_table(spec).train.astype(np.float64).sum()}


def test_a_class_with_too_few_images_for_a_clone_is_named(tmp_path):
    asked, kind, _ = cifar10(tmp_path)
    with pytest.raises(DataError, match=r"the 12 drawn from 100 have fewer of classes \d.*clone_images"):
        open_([kind(**asked, gaussian_blend=0.5, clone_images=12)], [0])
    open_([kind(**asked, clone_images=12)], [0])  # no blend, no clone


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    asked, kind, _ = arrays(tmp_path, np.uint8)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.clones, "_write_clones", full)
    with pytest.raises(StorageError, match=r"clone-[0-9a-f]{16}: cannot be written .*free some space"):
        open_([kind(**asked, gaussian_blend=0.5)], [0])
    assert not list((tmp_path / "cache").rglob("*.unfinished"))


@pytest.mark.parametrize("position", [0.3, 0.9])
def test_what_a_disk_changed_in_the_cache_is_made_again(tmp_path, position):
    """A flipped bit in converted inputs, labels, sums or clones was trained on before, with exit code 0."""
    asked, kind, _ = idx(tmp_path / "there")
    spec = kind(**asked, gaussian_blend=0.5)
    clones = clone_table(spec)
    folder = open_stored(spec).folder
    right = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert {path.suffix for path in right} == {".bin", ".npy", ".json"} and len(right) > 10
    assert drop_damaged(spec) == []
    del clones
    for path, content in right.items():
        at = int(position * len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        assert [name.rpartition("/")[2] for name in drop_damaged(spec)] in (
            [path.name],
            ["digests.json"],
            [path.name] * 2,
        ), path
        forget()
        clone_table(spec)
        assert {p: p.read_bytes() for p in right} == right, path
