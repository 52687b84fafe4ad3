"""Images from files: batches and held-out inputs against slow computations, the clone's moments, and the laws of a pack."""

import math
import multiprocessing
import os
import time

import numpy as np
import pytest
import torch
from data import dataset_files

from impray.data import each_class, images, open_pack, sample
from impray.data.describe import describe
from impray.data.images import clone_table
from impray.data.stored import drop_damaged, open_stored
from impray.spec.data import Arrays, Cifar10, Cifar100, Idx, Imagenet32
from impray.spec.errors import DataError, StorageError

CPU = torch.device("cpu")
CACHED = ("_images", "_clone_table", "_fitted", "_pixels", "_clone_rows")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


def forget():
    for name in CACHED:
        getattr(images, name).cache_clear()


def open_(specs, seeds, batch=7, dtype=torch.float32, round=0):
    pack = open_pack(specs, seeds, batch=batch, dtype=dtype, device=CPU)
    pack.start(round)
    return pack


def train(spec, dtype=torch.float32):
    """All training images of a spec in the order of the files, through the pack's own gather."""
    places = torch.arange(len(images._opened(spec).labels))
    x, y = open_([spec], [0], dtype=dtype).batch({"order": places[None, None]}, 0)
    return x[0], y[0]


def imagenet32(folder):
    return {"path": str(folder), "keep_classes": 3}, Imagenet32, dataset_files.imagenet32(folder, classes=4)[:2]


def cifar10(folder):
    made = dataset_files.cifar10(folder, counts=(20,) * 5 + (50,))
    return {"path": str(folder)}, Cifar10, made


def cifar100(folder):
    made = dataset_files.cifar100(folder, labels="coarse", counts=(200, 80))
    return {"path": str(folder), "labels": "coarse", "keep_classes": 15}, Cifar100, made


def idx(folder):
    made = dataset_files.idx(folder, counts=(60, 40), sides=(5, 4), classes=3)
    return {"path": str(folder), "shape": (5, 4), "class_count": 3}, Idx, made


def arrays(folder, dtype=np.float64, shape=(2, 3, 4), count=60, classes=3, seed=0):
    paths, made = [], []
    for at, name in enumerate(("train", "held_out")):
        path, _, x, y = dataset_files.arrays(
            folder, count=count, shape=shape, classes=classes, dtype=dtype, name=name, seed=2 * seed + at
        )
        paths.append(str(path))
        made.append((x if dtype == np.uint8 else x.astype(np.float32), y))
    asked = {"path": paths[0], "held_out_path": paths[1], "shape": shape, "class_count": classes}
    return asked, Arrays, made


WRITERS = [imagenet32, cifar10, cifar100, idx, arrays]


# --- an independent slow computation ---


def slow(spec, train, part, clones):
    """Rows of `part` = (inputs, labels) one by one, in float32; `clones` are sorted by class."""
    single = np.float32
    x, y = train
    kept = y < spec.classes
    means = np.stack([x[y == label].mean(axis=0, dtype=np.float64) for label in range(spec.classes)])
    if spec.center == "image":
        whole = (
            np.linspace(0, 255, 3072).astype(single) if isinstance(spec, Imagenet32) else x[kept].mean(0, np.float64)
        )
        m = np.broadcast_to(whole.astype(np.float64), means.shape)
    else:
        m = {"class": means, "none": np.zeros_like(means)}[spec.center]
    centred = x[kept] - m[y[kept]]
    s = {"pixel": 255.0, "none": 1.0, "deviation": centred.std()}[spec.scale]
    b = spec.gaussian_blend
    seen, rows, labels = [0] * spec.classes, [], []
    counts = [int((part[1] == label).sum()) for label in range(spec.classes)]
    for image, label in zip(*part, strict=True):
        if label >= spec.classes:
            continue
        row = (image.astype(single) - m[label].astype(single)) / single(s)
        if b > 0:
            clone = clones[sum(counts[:label]) + seen[label]].astype(single)
            share = clone * (clone_table(spec).unit / s).astype(single) * single(math.sqrt(b))
            if spec.center != "class":
                share = share + ((means[label] - m[label]) / s).astype(single) * single(1 - math.sqrt(1 - b))
            row = row * single(math.sqrt(1 - b)) + share
        seen[label] += 1
        rows.append(row)
        labels.append(label)
    return torch.from_numpy(np.stack(rows)), torch.tensor(labels)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
@pytest.mark.parametrize("center", ["image", "class", "none"])
@pytest.mark.parametrize("b", [0.0, 0.3, 1.0])
def test_inputs_equal_a_slow_computation_exactly(writer, center, b, tmp_path):
    asked, kind, (of_train, of_held_out) = writer(tmp_path / "files")
    scale = {"image": "pixel", "class": "pixel", "none": "none"}[center]
    spec = kind(**asked, center=center, scale=scale, gaussian_blend=b, clone=("channel", "joint")[b == 1])
    clones = clone_table(spec) if b else None
    x, y = slow(spec, of_train, of_train, clones and clones.train)
    found_x, found_y = train(spec)
    assert torch.equal(found_x, x) and torch.equal(found_y, y)
    assert found_x.shape[1] == spec.inputs
    x, y = slow(spec, of_train, of_held_out, clones and clones.held_out)
    order = y.argsort(stable=True)
    found_x, found_y = open_([spec], [0]).held_out(0)
    assert torch.equal(found_x, x[order]) and torch.equal(found_y, y[order])


@pytest.mark.parametrize("center", ["image", "class", "none"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64], ids=["bytes", "floats"])
def test_the_deviation_scale_brings_the_variance_of_the_training_inputs_to_1(center, dtype, tmp_path):
    asked, kind, _ = arrays(tmp_path, dtype)
    x, y = train(kind(**asked, center=center, scale="deviation"), torch.float64)
    assert x.var(correction=0).item() == pytest.approx(1, abs=1e-6)  # float32 inputs
    if center != "none":
        means = [x[y == label].mean(0) for label in range(3)] if center == "class" else [x.mean(0)]
        assert max(mean.abs().max() for mean in means) < 1e-12


def test_a_double_pack_reads_the_same_images(tmp_path):
    asked, kind, _ = cifar10(tmp_path)
    spec = kind(**asked, gaussian_blend=0.5)
    single, double = (train(spec, dtype)[0] for dtype in (torch.float32, torch.float64))
    assert double.dtype == torch.float64 and (single - double).abs().max() < 8 * 2.0**-24 * double.abs().max()


# --- the laws of a pack ---


def mixed(folder, **more):
    asked, kind, _ = arrays(folder, np.uint8)
    asked |= {"scale": "pixel", **more}
    specs = [
        kind(**asked, gaussian_blend=(0, 0.3, 1, 0, 0.6)[i % 5], clone=("channel", "joint")[i % 2]) for i in range(14)
    ]
    return [*specs, kind(**asked, gaussian_blend=0.3, draw=1), specs[1]], [i // 3 for i in range(15)] + [0]


@pytest.mark.parametrize("center", ["image", "class"])
@pytest.mark.parametrize("keep", [None, 2])
@pytest.mark.parametrize("together", [False, True], ids=["by order", "by table"])
def test_a_pack_of_16_equals_16_packs_of_one(center, keep, together, tmp_path, monkeypatch):
    specs, seeds = mixed(tmp_path, center=center, keep_classes=keep)
    if together:  # as on CUDA
        by_table = lambda _, all: [[i for i, r in enumerate(all) if r[1].draw == draw] for draw in (0, 1)]  # noqa: E731
        monkeypatch.setattr(images.ImagesPack, "_groups", by_table)
    pack = open_(specs, seeds, round=2)
    x, y = pack.batch(pack.draw(2), 1)
    monkeypatch.undo()
    assert x.shape == (16, 7, 24) and y.dtype == torch.int64
    assert torch.equal(x[1], x[15])
    for net, (spec, seed) in enumerate(zip(specs, seeds, strict=True)):
        alone = open_([spec], [seed], round=2)
        own_x, own_y = alone.batch(alone.draw(2), 1)
        assert torch.equal(x[net], own_x[0]) and torch.equal(y[net], own_y[0])
        assert torch.equal(pack.held_out(net)[0], alone.held_out(0)[0])


def test_nets_of_a_seed_share_their_order_and_nets_without_a_blend_keep_their_numbers(tmp_path):
    asked, kind, _ = arrays(tmp_path, np.uint8)
    pack = open_([kind(**asked), kind(**asked, gaussian_blend=0.5), kind(**asked)], [0, 0, 1])
    raw = pack.draw(1)
    x, y = pack.batch(raw, 0)
    assert raw["order"].shape == (2, 1, 7)
    assert torch.equal(y[0], y[1]) and not torch.equal(x[0], x[1]) and not torch.equal(x[0], x[2])
    assert torch.equal(x[0], torch.from_numpy(open_stored(kind(**asked)).train.inputs[raw["order"][0, 0].numpy()]))


def test_a_stream_does_not_depend_on_how_it_is_asked_for(tmp_path):
    asked, kind, _ = idx(tmp_path)
    whole, parts = (open_([kind(**asked, keep_classes=2)] * 2, [0, 1], batch=2**13 - 1) for _ in range(2))
    assert whole.block == 2
    expected, found = whole.draw(5)["order"], [parts.draw(steps)["order"] for steps in (1, 3, 1)]
    assert torch.equal(torch.cat(found, dim=1), expected)
    kept = len(images._opened(kind(**asked, keep_classes=2)).labels)
    assert expected.min() == 0 and expected.max() == kept - 1 and kept < 60
    whole.start(1)
    assert not torch.equal(whole.draw(5)["order"], expected)


def test_training_images_are_read_where_the_files_are_mapped(tmp_path):
    asked, kind, _ = cifar10(tmp_path)
    key = images._files_key(kind(**asked))
    mapped = images._images(key).stored.train.inputs
    assert images._pixels(key, CPU).data_ptr() == mapped.ctypes.data
    blended = kind(**asked, gaussian_blend=0.5)
    clones = images._clone_rows(images._clone_key(blended), CPU)
    assert clones.data_ptr() == clone_table(blended).train.ctypes.data and clones.dtype == torch.float16
    assert images._pixels(images._files_key(blended), CPU).data_ptr() == mapped.ctypes.data
    other = images._copied(mapped, np.array([3, 1]), CPU)
    assert torch.equal(other, torch.from_numpy(mapped[[3, 1]])) and other.dtype == torch.uint8


# --- the clone ---


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


def of_class(spec, label, split="train"):
    stored = open_stored(spec)
    part = getattr(stored, split)
    return part.inputs[part.labels == label].astype(np.float64)


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
    fitted = images._fitted(images._clone_key(spec))
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
    key = images._clone_key(spec)
    opened, rows = images._opened(spec), images._fitted(key)[1]
    whole = images._fit(key, opened, rows, 1).flatten(1)
    monkeypatch.setattr(images, "_FITTED", 70 * 8)
    few = images._fit(key, opened, rows, 1).flatten(1)
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
    monkeypatch.setattr(images, "_DRAWN", 10**9)
    assert np.array_equal(clone_table(spec).train, first)
    assert not os.path.exists(left)


ALTERED = {"clone": "joint", "clone_images": 20, "draw": 1, "keep_classes": 2}


def test_two_processes_at_once_make_one_clone(tmp_path, monkeypatch):
    asked, kind, _ = arrays(tmp_path, np.uint8)
    spec = kind(**asked, gaussian_blend=0.5)
    images._opened(spec)
    fork = multiprocessing.get_context("fork")  # here, for starting torch again would take seconds
    both, answers, make = fork.Barrier(2), fork.SimpleQueue(), images._make_clones

    def slowly(*args):
        answers.put("made")
        time.sleep(0.3)
        make(*args)

    def run():
        both.wait()
        answers.put(clone_table(spec).train.astype(np.float64).sum())

    monkeypatch.setattr(images, "_make_clones", slowly)
    processes = [fork.Process(target=run) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    found = [answers.get() for _ in range(3)]
    assert answers.empty() and found.count("made") == 1
    assert {answer for answer in found if answer != "made"} == {clone_table(spec).train.astype(np.float64).sum()}


# --- what is kept, and what cannot be ---


def test_the_first_held_out_images_of_the_classes_kept(tmp_path):
    asked, kind, (_, (x, y)) = idx(tmp_path)
    spec = kind(**asked, keep_classes=2, held_out=5, center="none", scale="none")
    found, labels = open_([spec], [0]).held_out(0)
    assert labels.tolist() == [0] * 5 + [1] * 5
    assert torch.equal(found, torch.from_numpy(np.concatenate([x[y == label][:5] for label in (0, 1)])).float())
    blended, limited = (spec.model_copy(update={"gaussian_blend": 0.5, "held_out": n}) for n in (None, 5))
    every, few = (open_([one], [0]).held_out(0) for one in (blended, limited))
    assert torch.equal(torch.cat([every[0][every[1] == label][:5] for label in (0, 1)]), few[0])


def test_held_out_inputs_are_made_in_portions_and_again_when_too_many(tmp_path, monkeypatch):
    asked, kind, _ = arrays(tmp_path, np.uint8)
    specs = [kind(**asked, gaussian_blend=b) for b in (0.0, 0.5)]
    pack = open_(specs, [0, 0])
    kept = [pack.held_out(net)[0] for net in (0, 1)]
    assert pack.held_out(0)[0] is kept[0]
    monkeypatch.setattr(images, "_PORTION", 100)
    monkeypatch.setattr(images, "_HELD_OUT_BYTES", 0)
    pack = open_(specs, [0, 0])
    assert all(torch.equal(pack.held_out(net)[0], kept[net]) for net in (0, 1, 0))
    assert len(pack._held_out) == 1


def test_samples_are_training_images_none_twice_and_fresh_clones(tmp_path):
    asked, kind, (of_train, _) = arrays(tmp_path, np.uint8, shape=(4, 6))
    spec = kind(**asked)
    x, y = sample(spec, 5, seed=0)
    assert x.shape == (15, 4, 6) and x.dtype == torch.float32 and y.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    natural = {label: {row.tobytes() for row in of_train[0][of_train[1] == label]} for label in range(3)}
    rows = [row.numpy().astype(np.uint8).tobytes() for row in x]
    assert len(set(rows)) == 15 and all(row in natural[int(label)] for row, label in zip(rows, y, strict=True))
    assert torch.equal(x, sample(spec, 5, seed=0)[0]) and not torch.equal(x, sample(spec, 5, seed=1)[0])
    assert [len(of_class) for of_class in each_class(spec, 1000)] == np.bincount(of_train[1]).tolist()
    blended = kind(**asked, gaussian_blend=1.0)
    cloned = sample(blended, 5)[0]
    assert torch.equal(cloned, sample(blended, 5)[0]) and not torch.equal(cloned, x)
    for label, found in enumerate(each_class(blended, 1000)):
        own = of_class(spec, label).reshape(-1, 4, 6)
        error = own.std(axis=0, ddof=1) / math.sqrt(len(own))
        assert (np.abs(found.numpy().mean(axis=0) - own.mean(axis=0)) < 4.5 * error).all()


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_every_kind_of_file_describes_itself(writer, tmp_path):
    asked, kind, _ = writer(tmp_path)
    spec = kind(**asked, gaussian_blend=0.5)
    found = describe(spec, 1000)
    assert found["samples"] == len(images._opened(spec).labels) and len(found["classes"]) == spec.classes
    assert all(row["variance"] > 0 for row in found["classes"])
    assert found["samples"] > describe(spec, 2)["samples"] == 2 * spec.classes


def test_a_class_with_too_few_images_for_a_clone_is_named(tmp_path):
    asked, kind, _ = cifar10(tmp_path)
    with pytest.raises(DataError, match=r"the 12 drawn from 100 have fewer of classes \d.*clone_images"):
        open_([kind(**asked, gaussian_blend=0.5, clone_images=12)], [0])
    open_([kind(**asked, clone_images=12)], [0])  # no blend, no clone


def test_impossible_wishes_are_refused_before_training(tmp_path):
    asked, kind, (_, (_, y)) = idx(tmp_path / "idx")
    least = np.bincount(y).min()
    open_([kind(**asked, held_out=int(least))], [0])
    with pytest.raises(DataError, match=rf"held_out = 30 per class .*classes 0, 1, 2; take {least} at most"):
        open_([kind(**asked, held_out=30)], [0])
    asked["class_count"] = 9
    with pytest.raises(DataError, match=r"center: class needs .* none of classes 3, 4, 5, 6, 7 and 1 more"):
        open_([kind(**asked, center="class")], [0])
    with pytest.raises(DataError, match=r"no training image of classes 3, 4"):
        sample(kind(**asked), 2)
    np.savez(tmp_path / "same.npz", inputs=np.full((40, 6), 0.3), labels=np.arange(40) % 2)
    same = {"path": str(tmp_path / "same.npz"), "shape": (6,), "class_count": 2}
    open_([Arrays(**same)], [0])
    with pytest.raises(DataError, match="all training inputs are equal"):
        open_([Arrays(**same, scale="deviation")], [0])


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    asked, kind, _ = arrays(tmp_path, np.uint8)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "_write_clones", full)
    with pytest.raises(StorageError, match=r"clone-[0-9a-f]{16}: cannot be written .*free some space"):
        open_([kind(**asked, gaussian_blend=0.5)], [0])
    assert not list((tmp_path / "cache").rglob("*.unfinished"))


def test_nothing_left_of_the_classes_kept_is_told(tmp_path):
    train, labels, *_ = dataset_files.arrays(tmp_path, "npy", count=12, classes=1)
    other, *_ = dataset_files.arrays(tmp_path, "npy", count=12, classes=1, name="other", seed=1)
    np.save(later := tmp_path / "later_labels.npy", np.full(12, 2))
    asked = {"path": str(train), "labels_path": str(labels), "held_out_path": str(other), "shape": (2, 3)}
    for of_train, of_held_out, what in ((later, labels, "training"), (labels, later, "held-out")):
        paths = {"labels_path": str(of_train), "held_out_labels_path": str(of_held_out)}
        with pytest.raises(DataError, match=f"there is no {what} image of the classes kept"):
            images._opened(Arrays.model_validate({**asked, **paths, "class_count": 3, "keep_classes": 2}))


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
