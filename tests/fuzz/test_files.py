"""Damaged data files of every format are converted, or refused with their name: no trace, no end, no memory that a header asks for."""

import io
import pickle
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from data import dataset_files
from fuzz.mutations import damaged
from fuzz.watched import SEED, cases, watched

from impray.data.formats.said import sizes
from impray.data.stored import open_stored
from impray.spec import families
from impray.spec.errors import DataError
from impray.spec.wording import tag_of

SPECS = {tag_of(spec): spec for spec in families.data.specs}
ARRAYS = {"shape": [2, 3], "class_count": 3}


def _made(folder: Path) -> dict[str, dict]:
    """A small data set in each format, in a folder of its own; what a sweep would say of it."""
    (folder / "idx.gz").mkdir(parents=True)
    dataset_files.idx(folder / "idx", counts=(80, 20), sides=(6, 6))
    dataset_files.idx(folder / "idx.gz", counts=(80, 20), sides=(6, 6), compressed=True)
    dataset_files.cifar10(folder / "cifar10")
    dataset_files.cifar10(folder / "cifar10.bin", "binary")
    dataset_files.cifar100(folder / "cifar100")
    dataset_files.imagenet32(folder / "imagenet32", "mixed", counts=(2,) * 11)
    said = {name: {"kind": name.partition(".")[0], "path": str(folder / name)} for name in
            ("idx", "idx.gz", "cifar10", "cifar10.bin", "cifar100", "imagenet32")}  # fmt: skip
    for name in ("idx", "idx.gz"):
        said[name]["shape"] = [6, 6]
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(20, 2, 3)), rng.integers(0, 3, 20)
    for name in ("npz", "npy", "parquet"):
        (folder / name).mkdir()
        said[name] = {"kind": "arrays", "path": str(folder / name / f"a.{name}"), **ARRAYS}
    np.savez_compressed(folder / "npz" / "a.npz", inputs=inputs, labels=labels)
    np.save(folder / "npy" / "a.npy", inputs)
    np.save(folder / "npy" / "l.npy", labels)
    said["npy"]["labels_path"] = str(folder / "npy" / "l.npy")
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"inputs": inputs.reshape(20, 6).tolist(), "labels": labels})
    pq.write_table(table, folder / "parquet" / "a.parquet")
    return said


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))


def opened(said: dict) -> bool:
    """Whether a data set can be opened; False where it is refused, with the name of something in it."""
    try:
        sizes({name: value for name, value in said.items() if name not in ("shape", "class_count")})
        open_stored(SPECS[said["kind"]].model_validate(said))
        return True
    except DataError as error:
        assert str(Path(said["path"]).parent if said["kind"] == "arrays" else said["path"])[:100] in str(error), error
        assert all(len(line) < 700 for line in str(error).splitlines()), error
        return False


@pytest.mark.slow
def test_damaged_files_are_refused_or_read(tmp_path):
    made = _made(tmp_path / "sets")
    assert all(opened(said) for said in made.values())
    refused = 0
    for case in cases(300):
        rng = random.Random(f"{SEED}/files/{case}")
        name = rng.choice(list(made))
        files = sorted(path for path in (tmp_path / "sets" / name).rglob("*") if path.is_file())
        file = rng.choice(files)
        whole = file.read_bytes()
        file.write_bytes(lying(whole, name, rng) if rng.random() < 0.4 else damaged(whole, rng))
        try:
            with watched(f"case {case}: {file.name}", 5.0):
                refused += not opened(made[name])
        except Exception as error:
            raise AssertionError(f"case {case}: {file}: {type(error).__name__}: {error}") from error
        finally:
            file.write_bytes(whole)
    assert refused > len(cases(300)) / 3


def lying(content: bytes, name: str, rng: random.Random) -> bytes:
    """A file whose header says something else than it holds."""
    if content.startswith(b"\x93NUMPY"):
        shape = rng.choice([(2**40, 6), (21, 2, 3), (19, 2, 3), (-1, 6), (2**62, 2**62), (), (0, 6)])
        kind = rng.choice(["<f8", "|O", "<U9999999", "<c16", "|u1", "<M8[ns]", "garbage"])
        return _npy(f"{{'descr': '{kind}', 'fortran_order': {rng.random() < 0.3}, 'shape': {shape}, }}", content[128:])
    if content[:4] in (b"\x00\x00\x08\x03", b"\x00\x00\x08\x01"):
        place = rng.randrange(4, 16 if content[3] == 3 else 8)
        return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]
    if content[:2] == b"PK":
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.namelist():
                new.writestr(member, lying(old.read(member), name, rng))
        return file.getvalue()
    if content[:4] == b"PAR1":
        place = rng.randrange(len(content) - 400, len(content))
        return content[:place] + rng.randbytes(4) + content[place + 4 :]
    if content[:1] == b"\x80":
        return pickle.dumps(
            rng.choice(
                [[], {}, {b"data": 1, b"labels": []}, {"data": np.zeros((2, 3072), "u1"), "labels": [2**70, 1]}, 7]
            )
        )
    return content + rng.randbytes(rng.randint(1, 4000))


def _npy(header: str, rest: bytes) -> bytes:
    text = header.ljust(118 - 1).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + rest


GARBAGE = {
    "text": b"\xff" * 200,
    "deep": b"(" * 100,
    "unended": b"{'descr': '<f8', 'fortran_order': False, 'shape': (",
    "an expression": b"{'descr': '<f8', 'fortran_order': False, 'shape': (2 ** 40,), }",
}


@pytest.mark.parametrize("header", GARBAGE, ids=str)
def test_a_header_of_garbage_is_refused(tmp_path, header):
    text = GARBAGE[header].ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64))
    np.save(tmp_path / "l.npy", np.zeros(2, int))
    said = {"kind": "arrays", "path": str(tmp_path / "a.npy"), "labels_path": str(tmp_path / "l.npy"), **ARRAYS}
    assert not opened(said)


@pytest.mark.parametrize("change", [-8, 8])
def test_an_array_is_as_long_as_its_header_says(tmp_path, change):
    made = _made(tmp_path / "sets")["npy"]
    file = Path(made["path"])
    content = file.read_bytes()
    file.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(DataError, match="960 bytes"):
        open_stored(SPECS["arrays"].model_validate(made))


def test_labels_that_inflate_to_more_than_memory_are_not_inflated(tmp_path, monkeypatch):
    from impray.data.formats import numpy_files

    monkeypatch.setattr(numpy_files, "memory", lambda: 2**20)
    np.savez_compressed(tmp_path / "a.npz", inputs=np.zeros((2**17, 6), np.uint8), labels=np.zeros(2**17, int))
    assert (tmp_path / "a.npz").stat().st_size < 2**13
    assert not opened({"kind": "arrays", "path": str(tmp_path / "a.npz"), **ARRAYS})


def test_a_pickle_of_keys_that_take_for_ever_to_hash_is_refused(tmp_path):
    doubling = b"\x80\x02}" + b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(60)) + b"K\x01s."
    _made(tmp_path / "sets")
    (tmp_path / "sets" / "cifar10" / "cifar-10-batches-py" / "data_batch_1").write_bytes(doubling)
    with watched("keys", 5.0):
        assert not opened({"kind": "cifar10", "path": str(tmp_path / "sets" / "cifar10")})
