"""Tiny files in the exact formats of the data sets, and what is in them."""

import gzip
import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


class Python2Pickler(pickle._Pickler):
    """Protocols 0 to 2 as Python 2 and its numpy wrote them: byte strings for str, numpy.core for numpy._core."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, obj):
        if self.bin and len(obj) < 256:
            self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(obj)) + obj)
        elif self.bin:
            self.write(pickle.BINSTRING + struct.pack("<i", len(obj)) + obj)
        else:
            self.write(pickle.STRING + repr(obj)[1:].encode() + b"\n")
        if id(obj) not in self.memo:  # one byte, which Python has only once
            self.memoize(obj)

    def save_text(self, obj):
        self.save_bytes(obj.encode("ascii"))

    def save_function(self, obj, name=None):
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{obj.__name__}\n".encode())
        self.memoize(obj)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_text
    dispatch[type(np.frombuffer)] = save_function
    dispatch[type(lambda: 0)] = save_function


def pickled(content, protocol=2, python=3) -> bytes:
    if python == 3:
        return pickle.dumps(content, protocol)
    file = io.BytesIO()
    Python2Pickler(file, protocol).dump(content)
    return file.getvalue()


def images(count, inputs=3072, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, inputs), dtype=np.uint8)


def labels_of(count, classes, seed=0):
    return np.random.default_rng(seed + 1000).integers(0, classes, count)


def _batches(counts, classes):
    return [(images(count, seed=at), labels_of(count, classes, seed=at)) for at, count in enumerate(counts)]


def _joined(batches):
    train, held_out = batches[:-1], batches[-1]
    return (
        (np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train])),
        held_out,
    )


def imagenet32(folder: Path, style="pickle", counts=(7,) * 10 + (5,), classes=1000, protocol=2, python=3, array=False):
    """Ten batches and val_data; gives (inputs, labels from 0) of both parts and the mean image.

    `style`: pickle, npz or mixed; `array`: labels as an array rather than a list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    batches = _batches(counts, classes)
    mean = np.linspace(0, 255, 3072)
    for at, (x, y) in enumerate(batches):
        name = f"train_data_batch_{at + 1}" if at < len(batches) - 1 else "val_data"
        labels = y + 1 if array or style == "npz" else [int(label) + 1 for label in y]
        content = {"data": x, "labels": labels} | ({"mean": mean} if at < len(batches) - 1 else {})
        if style == "npz" or (style == "mixed" and at % 2):
            np.savez(folder / f"{name}.npz", **content)
        else:
            (folder / name).write_bytes(pickled(content, protocol, python))
    return *_joined(batches), mean.astype(np.float32)


def cifar10(folder: Path, style="python", counts=(6,) * 5 + (4,), python=2):
    """The folder cifar-10-batches-py or -bin below `folder`."""
    batches = _batches(counts, 10)
    inner = folder / ("cifar-10-batches-py" if style == "python" else "cifar-10-batches-bin")
    inner.mkdir(parents=True, exist_ok=True)
    for at, (x, y) in enumerate(batches):
        name = f"data_batch_{at + 1}" if at < 5 else "test_batch"
        if style == "python":
            content = {
                "batch_label": name,
                "labels": [int(label) for label in y],
                "data": x,
                "filenames": ["a"] * len(y),
            }
            (inner / name).write_bytes(pickled(content, 2, python))
        else:
            (inner / f"{name}.bin").write_bytes(np.column_stack([y.astype(np.uint8), x]).tobytes())
    return _joined(batches)


def cifar100(folder: Path, style="python", labels="fine", counts=(9, 5), python=2):
    """The folder cifar-100-python or -binary below `folder`; gives the labels asked for."""
    made = [(x, y, y // 5) for x, y in _batches(counts, 100)]
    inner = folder / ("cifar-100-python" if style == "python" else "cifar-100-binary")
    inner.mkdir(parents=True, exist_ok=True)
    for name, (x, fine, coarse) in zip(("train", "test"), made, strict=True):
        if style == "python":
            content = {"data": x, "fine_labels": fine.tolist(), "coarse_labels": coarse.tolist(), "filenames": ["a"]}
            (inner / name).write_bytes(pickled(content, 2, python))
        else:
            columns = [coarse.astype(np.uint8), fine.astype(np.uint8), x]
            (inner / f"{name}.bin").write_bytes(np.column_stack(columns).tobytes())
    return _joined([(x, fine if labels == "fine" else coarse) for x, fine, coarse in made])


def idx(
    folder: Path,
    counts=(12, 7),
    sides=(28, 28),
    classes=10,
    compressed=False,
    dotted=False,
    first_label=0,
    marked=False,
):
    """The four files of MNIST; gives (inputs, labels from 0) of both parts.

    marked: the first row of an image is white in class 1, else black.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for at, (split, count) in enumerate(zip(("train", "t10k"), counts, strict=True)):
        x, y = images(count, sides[0] * sides[1], seed=at), labels_of(count, classes, seed=at)
        if marked:
            x[:, : sides[1]] = 255 * (y == 1)[:, None]
        header = struct.pack(">IIII", 2051, count, *sides)
        _idx_file(folder, f"{split}-images-idx3-ubyte", header + x.tobytes(), compressed, dotted)
        header = struct.pack(">II", 2049, count)
        _idx_file(
            folder,
            f"{split}-labels-idx1-ubyte",
            header + (y + first_label).astype(np.uint8).tobytes(),
            compressed,
            dotted,
        )
        made.append((x, y))
    return made[0], made[1]


def _idx_file(folder, name, content, compressed, dotted):
    name = name.replace("-idx", ".idx") if dotted else name
    path = folder / (f"{name}.gz" if compressed else name)
    path.write_bytes(gzip.compress(content) if compressed else content)


def arrays(folder: Path, style="npz", count=20, shape=(2, 3), classes=3, dtype=np.float64, name="train", seed=0):
    """One file (two for npy) of own arrays; gives (path, labels path or None, inputs, labels).

    `style`: npz, compressed, fortran, npy, lists, fixed (Parquet lists of one size) or columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    x = random.integers(0, 200, (count, *shape)).astype(dtype) if np.dtype(dtype).kind in "uib" else None
    x = random.normal(size=(count, *shape)).astype(dtype) if x is None else x
    y = random.integers(0, classes, count)
    flat = x.reshape(count, -1)
    if style == "npy":
        path, labels_path = folder / f"{name}.npy", folder / f"{name}_labels.npy"
        np.save(path, x)
        np.save(labels_path, y)
        return path, labels_path, flat, y
    if style in ("npz", "compressed", "fortran"):
        path = folder / f"{name}.npz"
        save = np.savez_compressed if style == "compressed" else np.savez
        save(path, inputs=np.asfortranarray(x) if style == "fortran" else x, labels=y)
        return path, None, flat, y
    path = folder / f"{name}.parquet"
    if style == "columns":
        names = [f"x{at}" for at in range(flat.shape[1])]
        table = pa.table({"words": ["w"] * count} | dict(zip(names, flat.T.copy(), strict=True)) | {"labels": y})
    else:
        values = pa.array(flat.ravel())
        lists = (
            pa.FixedSizeListArray.from_arrays(values, flat.shape[1])
            if style == "fixed"
            else pa.ListArray.from_arrays(np.arange(0, flat.size + 1, flat.shape[1], dtype=np.int32), values)
        )
        table = pa.table({"inputs": lists, "labels": y})
    pq.write_table(table, path, row_group_size=7)
    return path, None, flat, y
