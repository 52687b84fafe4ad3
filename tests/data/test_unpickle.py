"""Foreign pickles: what numpy wrote is read, and nothing that a file names is ever called."""

import builtins
import copyreg
import io
import os
import pickle
import pickletools
import resource
import struct
import subprocess
import types

import numpy as np
import pytest
from data.dataset_files import pickled

from impray.data.formats.unpickle import _OPCODES, load
from impray.spec.errors import DataError

PROTOCOLS = [(3, protocol) for protocol in range(6)] + [(2, protocol) for protocol in range(3)]


def read(tmp_path, content: bytes):
    path = tmp_path / "batch"
    path.write_bytes(content)
    try:
        return load(path, "the/batch")
    finally:
        path.unlink()  # some disks wait for what is written over another file


def refused(tmp_path, content: bytes, what: str = "") -> str:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith("the/batch: ") and what in str(caught.value), str(caught.value)
    return str(caught.value)


def same(found, expected):
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        return all(same(found[key], value) for key, value in expected.items())
    if isinstance(expected, (list, tuple)):
        assert type(found) is type(expected) and len(found) == len(expected)
        return all(same(one, other) for one, other in zip(found, expected, strict=True))
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype and found.shape == expected.shape
        return np.array_equal(found, expected)
    return type(found) is type(expected) and found == expected


# --- what is read ---


@pytest.mark.parametrize("python, protocol", PROTOCOLS)
def test_arrays_numbers_and_containers_come_back_as_they_were(tmp_path, python, protocol):
    random = np.random.default_rng(0)
    content = {
        "bytes": random.integers(0, 256, (5, 300), dtype=np.uint8),
        "turned": np.asfortranarray(random.integers(0, 256, (5, 3), dtype=np.uint8)),
        "strided": np.arange(24).reshape(4, 6)[::2, 1::2],
        "big_endian": np.arange(4, dtype=">i4"),
        "labels": [1, 1000, 70_000, -5, 2**70],
        "numbers": [np.int64(3), np.float32(0.5), True, None, 0.25],
        "mean": np.linspace(0, 255, 7),
        "nothing": [(), [], {}, (1,), (1, 2), (1, 2, 3, 4)],
    }
    found = read(tmp_path, pickled(content, protocol, python))
    if python == 2:  # its text is bytes
        found = {key.decode(): value for key, value in found.items()}
    assert same(found, content)
    assert not found["bytes"].flags.writeable


@pytest.mark.parametrize("protocol", range(6))
def test_bytes_and_text_come_back_as_they_were(tmp_path, protocol):
    content = ["text", "t\u00e9xt \u4e00", b"bytes", bytes(range(256)) * 2, {b"data": 1, "data": 2}]
    assert same(read(tmp_path, pickled(content, protocol)), content)


@pytest.mark.parametrize("protocol", range(6))
def test_an_array_in_two_places_is_read_once(tmp_path, protocol):
    mean = np.arange(3.0)
    found = read(tmp_path, pickled({"mean": mean, "again": [mean, mean]}, protocol))
    assert found["mean"] is found["again"][0] is found["again"][1]


@pytest.mark.parametrize("kind", ["bool", "i1", "u2", "<i8", ">u8", "f2", "<f4", ">f8"])
def test_every_plain_number_type_is_read(tmp_path, kind):
    array = np.arange(6).reshape(2, 3).astype(kind)
    assert same(read(tmp_path, pickled(array, 2)), array)
    assert same(read(tmp_path, pickled(array, 5)), array)


def test_names_of_numpy_before_and_since_2_are_known(tmp_path):
    content = pickled(np.arange(3), 2)
    assert b"numpy._core" in content
    assert same(read(tmp_path, content.replace(b"numpy._core", b"numpy.core")), np.arange(3))
    content = pickled(np.arange(3), 5)
    renamed = content.replace(b"\x8c\x13numpy._core.numeric", b"\x8c\x12numpy.core.numeric")
    assert renamed != content
    length = struct.unpack("<Q", content[3:11])[0]
    assert same(read(tmp_path, renamed[:3] + struct.pack("<Q", length - 1) + renamed[11:]), np.arange(3))


# --- what is refused ---


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def touch(marker):
    return f"open({str(marker)!r}, 'w').close()"


PAYLOADS = {
    "posix.system": lambda marker: Calls(os.system, f"touch {marker}"),
    "builtins.eval": lambda marker: Calls(builtins.eval, touch(marker)),
    "builtins.exec": lambda marker: Calls(builtins.exec, touch(marker)),
    "builtins.open": lambda marker: Calls(builtins.open, str(marker), "w"),
    "builtins.getattr": lambda marker: Calls(builtins.getattr, np, "load"),
    "subprocess.Popen": lambda marker: Calls(subprocess.Popen, ["touch", str(marker)]),
    "numpy.load": lambda marker: Calls(np.load, str(marker), None, True),
    "numpy.memmap": lambda marker: Calls(np.memmap, str(marker), "uint8", "w+", 0, (4,)),
    "numpy.fromfile": lambda marker: Calls(np.fromfile, str(marker)),
    "pickle.loads": lambda marker: Calls(pickle.loads, b"N."),
    "builtins.bytearray": lambda marker: Calls(bytearray, 2**40),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("asked", PAYLOADS)
def test_a_call_of_anything_else_is_refused_before_it_happens(tmp_path, asked, protocol):
    marker = tmp_path / "was_here"
    payload = PAYLOADS[asked](marker)
    name = asked.split(".")[1]
    for content in (payload, {"data": np.arange(3), "labels": [payload]}, {"mean": (1, payload)}):
        if asked == "builtins.getattr":  # `np` itself cannot be pickled; any object will do
            payload.call = (builtins.getattr, ("text", "upper"))
        message = refused(tmp_path, pickled(content, protocol), "refused: the file asks for")
        assert name in message and "nothing of this file was run" in message
    assert not marker.exists()


def test_it_would_have_happened(tmp_path):
    marker = tmp_path / "was_here"
    pickle.loads(pickled(PAYLOADS["builtins.eval"](marker)))
    assert marker.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_instances_are_refused(tmp_path, protocol):
    for content in (types.SimpleNamespace(a=1), pytest.approx, 1j, {1, 2}, frozenset((1,)), ValueError("x")):
        if protocol == 4 and isinstance(content, (set, frozenset)):
            refused(tmp_path, pickled(content, protocol), "a set")
        refused(tmp_path, pickled(content, protocol), "refused")


NUMPY = b"cnumpy\nndarray\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(" + NUMPY + b"(I0\ntS'b'\ntR"
DTYPE = b"cnumpy\ndtype\n(S'%s'\nI0\nI1\ntR(I3\nS'%s'\nNNNI-1\nI-1\nI0\ntb"

OPCODES = {
    "a persistent id of text": (b"Pname\n.", "persistent id"),
    "a persistent id": (b"K\x01Q.", "persistent id"),
    "an extension of 1 byte": (b"\x82\x01.", "registry of extensions"),
    "an extension of 2 bytes": (b"\x83\x01\x00.", "registry of extensions"),
    "an extension of 4 bytes": (b"\x84\x01\x00\x00\x00.", "registry of extensions"),
    "an instance": (b"(S'x'\nios\nsystem\n.", "INST"),
    "an object": (b"(" + NUMPY + b"K\x01o.", "OBJ"),
    "a new object": (NUMPY + b"K\x01\x85\x81.", "NEWOBJ"),
    "a new object with names": (b"\x80\x04" + NUMPY + b")}\x92.", "NEWOBJ_EX"),
    "a buffer from elsewhere": (b"\x97.", "buffer outside the file"),
    "a name of several words": (b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.", "numpy.ndarray.__class__"),
    "a word of an admitted module": (b"cnumpy\nload\n.", "numpy.load"),
    "a module in a module": (b"cnumpy.ndarray\n__class__\n.", "numpy.ndarray.__class__"),
    "a call of a class": (NUMPY + b"(I5\ntR.", "calls what cannot be called"),
    "a call of a number": (b"K\x01K\x02\x85R.", "calls what cannot be called"),
    "a state of a name": (NUMPY + b"}S'__reduce__'\nK\x01sb.", "sets the state"),
    "a state of a dictionary": (b"}}b.", "sets the state"),
    "an array of another class": (b"cnumpy.core.multiarray\n_reconstruct\n(K\x01(I0\ntS'b'\ntR.", "unknown class"),
    "a codec": (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "bytes in an unknown way"),
    "an array of objects": (RECONSTRUCT + b"(I1\n(I1\nt" + DTYPE % (b"O8", b"|") + b"I00\n(Nltb.", "array of objects"),
    "a list for an array": (RECONSTRUCT + b"(I1\n(I1\nt" + DTYPE % (b"u1", b"|") + b"I00\n(K\x01ltb.", "of objects"),
    "records": (b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.", "type 'V8'"),
    "text": (b"cnumpy\ndtype\n(S'S8'\nI0\nI1\ntR.", "type 'S8'"),
    "a name in words": (b"cnumpy\ndtype\n(S'uint8'\nI0\nI1\ntR.", "type 'uint8'"),
    "fields": (
        b"cnumpy\ndtype\n(S'u8'\nI0\nI1\ntR(I3\nS'|'\nN(S'a'\ntN}I-1\nI-1\nI0\ntb.",
        "array of records",
    ),
    "a byte order": (DTYPE % (b"u1", b"O") + b".", "byte order"),
    "a negative side": (RECONSTRUCT + b"(I1\n(I-1\nt" + DTYPE % (b"u1", b"|") + b"I00\nS''\ntb.", "of shape"),
    "too many sides": (
        RECONSTRUCT + b"(I1\n(" + b"I1\n" * 40 + b"t" + DTYPE % (b"u1", b"|") + b"I00\nS'a'\ntb.",
        "shape",
    ),
    "fewer bytes than its shape": (
        RECONSTRUCT + b"(I1\n(I9\nt" + DTYPE % (b"f8", b"<") + b"I00\nS'a'\ntb.",
        "72 bytes",
    ),
    "huge": (RECONSTRUCT + b"(I1\n(I9999999999999999\nt" + DTYPE % (b"f8", b"<") + b"I00\nS'a'\ntb.", "bytes, not 1"),
}


@pytest.mark.parametrize("what", OPCODES)
def test_what_numpy_never_writes_is_refused(tmp_path, what):
    content, words = OPCODES[what]
    refused(tmp_path, content, words)


def test_a_dtype_with_a_forged_state_makes_no_pointers(tmp_path):
    """With numpy's own functions this file gives an array whose elements are addresses, and reading one crashes."""
    forged = b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
    refused(tmp_path, RECONSTRUCT + b"(I1\n(I1\nt" + forged + b"I00\nS'AAAAAAAA'\ntb.", "array of objects")


def test_an_extension_that_is_registered_and_in_use_is_refused(tmp_path):
    copyreg.add_extension("os", "system", 77)
    try:
        assert pickle.loads(b"\x82\x4d.") is os.system  # from now on Python keeps it, and asks no find_class
        refused(tmp_path, b"\x82\x4d.", "registry of extensions")
    finally:
        copyreg.remove_extension("os", "system", 77)


def test_a_lying_length_asks_for_no_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in (
        b"\x8e" + struct.pack("<Q", 2**40) + b"a.",  # bytes
        b"\x96" + struct.pack("<Q", 2**40) + b"a.",  # a byte array
        b"\x8d" + struct.pack("<Q", 2**40) + b"a.",  # text
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",  # a frame
        b"T" + struct.pack("<i", 2**31 - 1) + b"a.",
        b"\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",  # a whole number
    ):
        refused(tmp_path, content, "truncated")
    assert read(tmp_path, b"Nr\xff\xff\xff\xff.") is None  # a memo in a far place
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_other_files_are_told(tmp_path):
    refused(tmp_path, b"\x80\x02\xff.", "opcode 0xff is unknown")
    for content in (b"", b"\x1f\x8b\x08 gzip", b"PK\x03\x04 zip", b"\x93NUMPY", b"text\n", b"\x80\x09N.", b"."):
        refused(tmp_path, content)
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "none", "none")


# --- no file whatever does more than raise DataError ---


@pytest.mark.parametrize("python, protocol", PROTOCOLS)
def test_every_truncated_file_is_told(tmp_path, python, protocol):
    content = pickled(
        {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 300, 70_000]}, protocol, python
    )
    for length in range(len(content)):
        refused(tmp_path, content[:length], "truncated")


@pytest.mark.parametrize("python, protocol", PROTOCOLS)
def test_no_damage_raises_anything_else(tmp_path, python, protocol):
    content = pickled(
        {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 300, 70_000]}, protocol, python
    )
    random = np.random.default_rng(protocol)
    for _ in range(400):
        damaged = np.frombuffer(content, np.uint8).copy()
        places = random.integers(0, len(damaged), 3)
        damaged[places] = random.integers(0, 256, 3)
        try:
            read(tmp_path, damaged.tobytes())
        except DataError:
            pass


def test_pickle_and_numpy_write_only_what_is_known():
    """The opcodes of a batch, told by Python's own tool: nothing was forgotten when the others were taken away."""
    content = {"data": np.arange(300) % 99, "labels": [1, 2**40, 0.5], "mean": np.int64(1), "b": b"a" * 300}
    for python, protocol in PROTOCOLS:
        asked = {op.name for op, _, _ in pickletools.genops(io.BytesIO(pickled(content, protocol, python)))}
        assert asked <= set(_OPCODES)
