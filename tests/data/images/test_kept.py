"""What is kept of the files, and what cannot be asked of them."""

import math

import numpy as np
import pytest
import torch
from data import dataset_files
from data.images.image_files import WRITERS, arrays, idx, of_class, open_

from impray.data import each_class, images, sample
from impray.data.describe import describe
from impray.spec.data import Arrays
from impray.spec.errors import DataError


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
    monkeypatch.setattr(images.samples, "PORTION", 100)
    monkeypatch.setattr(images.batches, "_HELD_OUT_BYTES", 0)
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
    assert found["samples"] == len(images.kept.opened_images(spec).labels) and len(found["classes"]) == spec.classes
    assert all(row["variance"] > 0 for row in found["classes"])
    assert found["samples"] > describe(spec, 2)["samples"] == 2 * spec.classes


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


def test_nothing_left_of_the_classes_kept_is_told(tmp_path):
    train, labels, *_ = dataset_files.arrays(tmp_path, "npy", count=12, classes=1)
    other, *_ = dataset_files.arrays(tmp_path, "npy", count=12, classes=1, name="other", seed=1)
    np.save(later := tmp_path / "later_labels.npy", np.full(12, 2))
    asked = {"path": str(train), "labels_path": str(labels), "held_out_path": str(other), "shape": (2, 3)}
    for of_train, of_held_out, what in ((later, labels, "training"), (labels, later, "held-out")):
        paths = {"labels_path": str(of_train), "held_out_labels_path": str(of_held_out)}
        with pytest.raises(DataError, match=f"there is no {what} image of the classes kept"):
            images.kept.opened_images(Arrays.model_validate({**asked, **paths, "class_count": 3, "keep_classes": 2}))
