"""Images from files: batches and held-out inputs against slow computations, and the laws of a pack."""

import math

import numpy as np
import pytest
import torch
from data.images.image_files import CPU, WRITERS, arrays, cifar10, idx, open_, train

from impray.data import images
from impray.data.images import clone_table
from impray.data.stored import open_stored
from impray.spec.data import Imagenet32


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


@pytest.mark.some(20)
@pytest.mark.unchecked_shapes
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


def mixed(folder, shape=(2, 3, 4), **more):
    asked, kind, _ = arrays(folder, np.uint8, shape)
    asked |= {"scale": "pixel", **more}
    specs = [
        kind(**asked, gaussian_blend=(0, 0.3, 1, 0, 0.6)[i % 5], clone=("channel", "joint")[i % 2]) for i in range(14)
    ]
    return [*specs, kind(**asked, gaussian_blend=0.3, draw=1), specs[1]], [i // 3 for i in range(15)] + [0]


@pytest.mark.some(8)
@pytest.mark.parametrize("center", ["image", "class"])
@pytest.mark.parametrize("keep", [None, 2])
@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 5, 7)], ids=["few inputs", "one pass"])
@pytest.mark.parametrize("together", [False, True], ids=["by order", "by table"])
def test_a_pack_of_16_equals_16_packs_of_one(center, keep, shape, together, tmp_path, monkeypatch):
    specs, seeds = mixed(tmp_path, shape, center=center, keep_classes=keep)
    if together:  # as on CUDA
        by_table = lambda _, all: [[i for i, r in enumerate(all) if r[1].draw == draw] for draw in (0, 1)]  # noqa: E731
        monkeypatch.setattr(images.batches.ImagesPack, "_groups", by_table)
    pack = open_(specs, seeds, round=2)
    x, y = pack.batch(pack.draw(2), 1)
    monkeypatch.undo()
    assert x.shape == (16, 7, specs[0].inputs) and y.dtype == torch.int64
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
    kept = len(images.kept.opened_images(kind(**asked, keep_classes=2)).labels)
    assert expected.min() == 0 and expected.max() == kept - 1 and kept < 60
    whole.start(1)
    assert not torch.equal(whole.draw(5)["order"], expected)


def test_training_images_are_read_where_the_files_are_mapped(tmp_path):
    asked, kind, _ = cifar10(tmp_path)
    key = images.kept.files_key(kind(**asked))
    mapped = images.kept.kept_images(key).stored.train.inputs
    assert images.gathered.pixels(key, CPU).rows.data_ptr() == mapped.ctypes.data
    blended = kind(**asked, gaussian_blend=0.5)
    clones = images.gathered.clone_rows(images.kept.clone_key(blended), CPU).rows
    assert clones.data_ptr() == clone_table(blended).train.ctypes.data and clones.dtype == torch.float16
    assert images.gathered.pixels(images.kept.files_key(blended), CPU).rows.data_ptr() == mapped.ctypes.data
    other = images.mapped.copied(mapped, np.array([3, 1]), CPU)
    assert torch.equal(other, torch.from_numpy(mapped[[3, 1]])) and other.dtype == torch.uint8
