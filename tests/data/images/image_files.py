"""Files of images as the tests write them, opened as a pack opens them, and what is remembered of them."""

import numpy as np
import torch
from data import dataset_files

from impray.data import images, open_pack
from impray.data.stored import open_stored
from impray.spec.data import Arrays, Cifar10, Cifar100, Idx, Imagenet32

CPU = torch.device("cpu")


CACHED = (
    images.kept.kept_images,
    images.clones._clone_table,
    images.fitted.fitted_rows,
    images.gathered.pixels,
    images.gathered.clone_rows,
)


def forget():
    for function in CACHED:
        function.cache_clear()


def open_(specs, seeds, batch=7, dtype=torch.float32, round=0):
    pack = open_pack(specs, seeds, batch=batch, dtype=dtype, device=CPU)
    pack.start(round)
    return pack


def train(spec, dtype=torch.float32):
    """All training images of a spec in the order of the files, through the pack's own gather."""
    places = torch.arange(len(images.kept.opened_images(spec).labels))
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


def of_class(spec, label, split="train"):
    stored = open_stored(spec)
    part = getattr(stored, split)
    return part.inputs[part.labels == label].astype(np.float64)
