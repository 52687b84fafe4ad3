"""Data sets from files, converted once into plain arrays that all processes of a machine share.

    <cache>/<kind>-<fingerprint>/    train_inputs.bin, held_out_inputs.bin      [image, input], row by row, no header
                                     train_labels.npy, held_out_labels.npy      [image] int64, from 0
                                     mean.npy, class_count.npy, class_sum.npy, class_square_sum.npy
                                     complete.json, digests.json                   written last: sources, counts, sizes; digests

The cache is IMPRAY_CACHE, XDG_CACHE_HOME/impray or ~/.cache/impray. Inputs are mapped into memory read-only, so the processes
of a machine share one copy in the page cache, and opening costs no pass over the data.

The fingerprint hashes the sources' names, sizes and times of change, the first and the last MiB of each, what the spec asks
of the conversion, and the converter's version. A change in the middle of a file that keeps its size and its time is not
seen: that is the price of opening in milliseconds.

One process converts, under a lock that the kernel lets go when the process dies; the others wait. The folder is made under another
name, synced and moved into place, so what a killed conversion leaves is never taken for a data set: the next one removes it.
Sources are read one after another, in portions where the format allows it. A pickle is in memory as a whole: 0.8 GiB for a process that
converts ImageNet32, 1.2 GiB if Python 3 wrote it in protocol 2, 2.4 GiB in protocol 0.

Nothing is filtered, centred or scaled here: all classes and all held-out inputs are kept, in the units of the files.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy.lib.format import open_memmap

from impray.cache import cache
from impray.data import digests, overlap
from impray.data.formats import PLANS
from impray.data.formats.files import infos
from impray.data.formats.plan import Part, Plan, Rows
from impray.spec.data import FileData
from impray.spec.errors import DataError, StorageError

# Of what is converted to what; another one converts everything again. 2: held-out rows that are training rows are refused, and
# the index of pandas is no input; what was converted before had not been looked at.
_VERSION = 2
_END = 2**20  # bytes of a source's two ends that enter the fingerprint
_COMPLETE = "complete.json"
_SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class Split:
    """Inputs and labels, image by image, in the order of the files."""

    inputs: UInt8[np.memmap, "image input"] | Float32[np.memmap, "image input"]  # read-only; channels first
    labels: Int64[np.ndarray, " image"]  # from 0


@dataclass(frozen=True)
class ConvertedData:
    """A converted data set: all classes and all held-out inputs, in the units of the files.

    The sums are over the training inputs as they are, not centred: exact for bytes. A class may have no inputs.
    """

    train: Split
    held_out: Split
    mean: Float32[np.ndarray, " input"]  # the training mean; for imagenet32, that of its first batch
    class_count: Int64[np.ndarray, " class"]
    class_sum: Float64[np.ndarray, "class input"]
    class_square_sum: Float64[np.ndarray, "class input"]
    fingerprint: str
    folder: Path  # of this data set in the cache; derived files, such as clones, may be put there

    @property
    def content(self) -> str:
        """Names what is in it, wherever the files lie and however old they are: a hash of its sums and held-out labels."""
        parts = (self.mean, self.class_count, self.class_sum, self.class_square_sum, self.held_out.labels)
        digest = hashlib.blake2b(digest_size=8)
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        some = self.held_out.inputs[:: max(1, len(self.held_out.inputs) // 1000)]
        digest.update(np.ascontiguousarray(some).tobytes())
        return digest.hexdigest()


def open_stored(spec: FileData) -> ConvertedData:
    """The data set of a spec, before `keep_classes` and `held_out`; converted if it is not yet in the cache.

    Raises: DataError: source files are missing or not as their format wants; names every one that was found so.
            StorageError: the cache cannot be written.
    """
    plan = PLANS[type(spec)](spec)
    fingerprint = _fingerprint(plan)
    folder = cache() / f"{plan.kind}-{fingerprint}"
    if not _is_whole(folder):
        with locked(folder.with_name(f"{folder.name}.lock")):
            if not _is_whole(folder):  # another process may have converted it meanwhile
                _convert(plan, fingerprint, folder)
    return open_folder(folder)


def drop_damaged(spec: FileData) -> list[str]:
    """Remove what a disk has changed of a spec's data set, and of its clones, in the cache: it is converted, or drawn, again.

    Returns: the damaged files.
    """
    plan = PLANS[type(spec)](spec)
    folder = cache() / f"{plan.kind}-{_fingerprint(plan)}"
    clones = [path for path in folder.iterdir() if path.name.startswith("clone-")] if folder.is_dir() else []
    told = []
    for place in [folder, *clones]:
        if place.is_dir() and not place.name.endswith(".unfinished") and (names := digests.damaged(place)):
            told += [str(place / name) for name in names]
            with writing(place), locked(place.with_name(f"{place.name}.lock")):
                dead = place.with_name(
                    f"{place.name}.unfinished"
                )  # in one step: half a folder would be taken for a whole one
                shutil.rmtree(dead, ignore_errors=True)
                os.replace(place, dead)
                shutil.rmtree(dead, ignore_errors=True)
    return told


def open_folder(folder: Path) -> ConvertedData:
    """A converted data set, from its folder in the cache alone.

    Raises: DataError: the folder holds no whole one.
    """
    if not _is_whole(folder):
        raise DataError(f"{folder}: holds no whole converted data set")
    description = json.loads((folder / _COMPLETE).read_text())
    train, held_out = (_split(folder, split, description) for split in _SPLITS)
    mean, count = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("mean", "class_count"))
    sums = [np.load(folder / f"{name}.npy", "r", allow_pickle=False) for name in ("class_sum", "class_square_sum")]
    return ConvertedData(train, held_out, mean, count, sums[0], sums[1], description["fingerprint"], folder)


def _split(folder: Path, split: str, description: dict[str, Any]) -> Split:
    shape = (description["images"][split], description["inputs"])
    inputs = np.memmap(folder / f"{split}_inputs.bin", description["type"], "r", shape=shape)
    return Split(inputs, np.load(folder / f"{split}_labels.npy", allow_pickle=False))


def _is_whole(folder: Path) -> bool:
    """Whether all files are there, as long as they were written."""
    try:
        description = json.loads((folder / _COMPLETE).read_text())
        return all((folder / name).stat().st_size == size for name, size in description["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _fingerprint(plan: Plan) -> str:
    asked = {"version": _VERSION, "kind": plan.kind, "inputs": plan.inputs, "classes": plan.classes, **plan.asked}
    hashed = hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8)
    for name, size, changed, file in _sources(plan):
        hashed.update(json.dumps([name, size, changed]).encode())
        hashed.update(file.ends(size, _END))
    return hashed.hexdigest()


def _sources(plan: Plan) -> list[tuple[str, int, int, Any]]:
    """Name, size, time of change in ns and place of each source."""
    described = zip(plan.files, (infos([file])[0] for file in plan.files), strict=True)
    return [(file.name, info.size, info.mtime_ns or 0, file) for file, info in described]


# --- conversion ---


def _convert(plan: Plan, fingerprint: str, folder: Path) -> None:
    aside = folder.with_name(f"{folder.name}.unfinished")
    with writing(folder):
        for leftover in (aside, folder):  # of a killed conversion; of a data set that lost a file
            if leftover.exists():
                shutil.rmtree(leftover)
        aside.mkdir(parents=True)
        try:
            made = _Made(plan, aside)
            _fill(made, plan, aside)
            if _fingerprint(plan) != fingerprint:
                raise DataError(f"{plan.files[0].shown} or one beside it: changed while it was read; run this again")
            _write_json(aside / _COMPLETE, {**made.finish(), "fingerprint": fingerprint, "sources": _told(plan)})
            digests.write(aside)
            os.replace(aside, folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    sync(folder.parent)


def _fill(made: _Made, plan: Plan, aside: Path) -> None:
    """Carries all parts over. After a problem the other files are still read, so that theirs are told too."""
    problems: list[str] = []
    for part in plan.parts:
        try:
            _carry(part, made, aside, only_look=bool(problems))
        except StorageError:
            raise
        except DataError as error:
            problems += str(error).splitlines()
    if problems:
        raise DataError("\n".join(problems))


def _carry(part: Part, made: _Made, aside: Path, only_look: bool) -> None:
    with ExitStack() as stack:
        files = [stack.enter_context(file.here(aside)) for file in part.files]
        for rows in _reading(part.rows(files), files[0].shown):
            if not only_look:
                made.add(rows, part.held_out, files[0].shown)


def _reading(rows: Iterator[Rows], shown: str) -> Iterator[Rows]:
    """Keeps a disk that cannot be read apart from a cache that cannot be written."""
    try:
        yield from rows
    except OSError as error:
        raise DataError(f"{shown}: cannot be read: {error.strerror}") from error


class _Made:
    """A data set that is being written."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan, self._folder = plan, folder
        self._labels: dict[str, list[np.ndarray]] = {split: [] for split in _SPLITS}
        self._digests: dict[str, list[np.ndarray]] = {split: [] for split in _SPLITS}
        self._type: np.dtype | None = None
        self._mean: np.ndarray | None = None
        shape = (plan.classes, plan.inputs)
        self._sum = open_memmap(folder / "class_sum.npy", "w+", np.float64, shape)
        self._square_sum = open_memmap(folder / "class_square_sum.npy", "w+", np.float64, shape)

    def add(self, rows: Rows, held_out: bool, shown: str) -> None:
        if rows.mean is not None:
            self._mean = rows.mean
        self._type = self._type or rows.inputs.dtype
        if rows.inputs.dtype != self._type:
            raise DataError(f"{shown}: its inputs are {rows.inputs.dtype}, those of the first file {self._type}")
        if rows.held_out is None:
            self._append("held_out" if held_out else "train", rows.inputs, rows.labels)
        else:
            self._append("train", rows.inputs[~rows.held_out], rows.labels[~rows.held_out])
            self._append("held_out", rows.inputs[rows.held_out], rows.labels[rows.held_out])

    def _append(self, split: str, inputs: np.ndarray, labels: np.ndarray) -> None:
        with (self._folder / f"{split}_inputs.bin").open("ab") as file:
            file.write(np.ascontiguousarray(inputs).data)
        self._labels[split].append(labels)
        self._digests[split].append(overlap.digests(inputs))
        if split == "train" and len(labels):
            self._count(inputs, labels)

    def _count(self, inputs: np.ndarray, labels: np.ndarray) -> None:
        # Imported here: only conversions need it. A sparse product adds up each class's rows without sorting them.
        from scipy.sparse import csr_array

        # Bytes are added exactly; see MOST_ROWS. In 32 bits that takes a quarter of the time of float64.
        numbers = inputs.astype(np.uint32 if inputs.dtype == np.uint8 else np.float64)
        present, places = np.unique(labels, return_inverse=True)
        ones = np.ones(len(labels), numbers.dtype)
        of_class = csr_array((ones, (places, np.arange(len(labels)))), shape=(len(present), len(labels)))
        self._sum[present] += of_class @ numbers
        self._square_sum[present] += of_class @ np.square(numbers, out=numbers)

    def finish(self) -> dict[str, Any]:
        """Writes what is left, syncs all files, and tells what is in them.

        Raises: DataError: the held-out rows are training rows.
        """
        in_both = self._in_both_parts()
        labels = {split: np.concatenate(parts) for split, parts in self._labels.items()}
        count = np.bincount(labels["train"], minlength=self._plan.classes)
        mean = self._sum.sum(axis=0) / len(labels["train"]) if self._mean is None else self._mean
        for split in _SPLITS:
            np.save(self._folder / f"{split}_labels.npy", labels[split])
        np.save(self._folder / "class_count.npy", count)
        np.save(self._folder / "mean.npy", mean.astype(np.float32))
        for sums in (self._sum, self._square_sum):
            sums.flush()
        files = sorted(self._folder.iterdir())
        for file in files:
            sync(file)
        return {
            "version": _VERSION,
            "kind": self._plan.kind,
            "inputs": self._plan.inputs,
            "classes": self._plan.classes,
            "type": str(self._type),
            "images": {split: len(labels[split]) for split in _SPLITS},
            "held_out_in_train": in_both,
            "files": {file.name: file.stat().st_size for file in files},
        }

    def _in_both_parts(self) -> int:
        train, held_out = (np.concatenate(self._digests[split]) for split in _SPLITS)
        in_both = overlap.shared(train, held_out)
        if overlap.leaks(train, held_out):
            files = dict.fromkeys(file.shown for part in self._plan.parts if part.held_out for file in part.files)
            where = ", ".join(files or dict.fromkeys(file.shown for file in self._plan.files))
            raise DataError(
                f"{where}: {in_both} of {len(held_out)} held-out inputs are, byte for byte, training inputs, far more often "
                "than training inputs repeat; accuracy on them would say nothing: hold out other rows"
            )
        return in_both


def _told(plan: Plan) -> list[dict[str, Any]]:
    return [{"file": file.shown, "size": size, "changed_ns": changed} for _, size, changed, file in _sources(plan)]


# --- the disk ---


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for an advisory lock, which the kernel lets go when its process dies."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with path.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises: StorageError: what goes wrong with the cache, and what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "free some space and run this again" if full else "make it writable"
        raise StorageError(
            f"{path}: cannot be written ({error.strerror}); {mend}, or set IMPRAY_CACHE to another folder"
        ) from error
