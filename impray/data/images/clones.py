"""The clone's files: made once per machine, beside the converted files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from impray.data import digests
from impray.data.base import generator, remembered
from impray.data.images.fitted import drawn_clones, fit_size, fitted_rows
from impray.data.images.kept import Images, clone_key, files_key, kept_images
from impray.data.stored import locked, sync, writing
from impray.spec.data import FileData

_CPU = torch.device("cpu")
_FORMAT = 1  # of the clone's files and of all that decides their numbers


@dataclass(frozen=True)
class Clones:
    """Clones of the training and held-out images of the classes kept, each sorted by class: (clone - mu_c) / unit."""

    train: Float[np.ndarray, "image input"]  # memory maps of float16
    held_out: Float[np.ndarray, "held_out_image input"]
    unit: Float[np.ndarray, " input"]


def clone_table(spec: FileData) -> Clones:
    """The clone of a spec; made if its files are not there yet, by one process while others wait.

    Raises: DataError: a class has fewer than two images to fit a Gaussian to; the disk is full or cannot be written.
    """
    return _clone_table(clone_key(spec))


@remembered(2)
def _clone_table(key: FileData) -> Clones:
    images, fitted = kept_images(files_key(key)), fitted_rows(key)
    folder = images.stored.folder / f"clone-{_clone_name(key, images)}"
    if not folder.exists():
        with locked(folder.with_suffix(".lock")):
            if not folder.exists():  # another process may have made it meanwhile
                with writing(folder):
                    _make_clones(key, images, fitted, folder)
    train, held_out = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("train", "held_out"))
    return Clones(train, held_out, np.load(folder / "unit.npy"))


def _clone_name(key: FileData, images: Images) -> str:
    asked = {
        "format": _FORMAT,
        "files": images.stored.fingerprint,
        "clone": key.clone,
        "clone_images": fit_size(key, images),
        "draw": key.draw,
        "classes": key.classes,
        "shape": key.input_shape,
    }
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8).hexdigest()


def _make_clones(key: FileData, images: Images, fitted: Sequence[np.ndarray], folder: Path) -> None:
    """Writes them aside, class after class, and moves the folder into place."""
    # One name for all makers: under the lock, what is there was left by one that died.
    aside = folder.with_suffix(".unfinished")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    held_out = np.bincount(images.held_out_labels, minlength=key.classes)
    try:
        np.save(aside / "unit.npy", images.unit)
        for name, stream, counts in (("train", "clone", images.count), ("held_out", "held_out_clone", held_out)):
            _write_clones(key, images, fitted, counts, stream, aside / f"{name}.npy")
        for file in aside.iterdir():
            sync(file)
        digests.write(aside)
        os.replace(aside, folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_clones(
    key: FileData,
    images: Images,
    fitted: Sequence[np.ndarray],
    counts: Int[np.ndarray, " class"],
    stream: str,
    path: Path,
) -> None:
    """One file from its first byte to its last: the disk sees each page once."""
    header = {"descr": "<f2", "fortran_order": False, "shape": (int(counts.sum()), key.inputs)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for label, count in enumerate(counts):
            # The label takes the round's place: every class has a stream of its own.
            random = generator(_CPU, key.draw, stream, label)
            for drawn in drawn_clones(key, images, fitted[label], label, int(count), random):
                file.write(drawn.half().numpy().data)
