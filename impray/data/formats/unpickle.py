"""Pickles of others, read without letting them call anything: containers, text, bytes, numbers and numpy arrays.

A pickle is a program: it may name any function and call it. Here a name becomes an inert token, and only these
are known, with what each is taken to mean:

    numpy.core.multiarray._reconstruct, numpy.ndarray, numpy.dtype     an array of plain numbers
    numpy.core.multiarray.scalar                                       one plain number
    numpy.core.numeric._frombuffer                                     an array, in protocol 5
    _codecs.encode(text, 'latin1')                                     bytes of Python 3, in protocols 0 to 2

(`numpy.core` is `numpy._core` since numpy 2.) Numpy's own functions are not called either: a dtype with a
forged state makes an array of bytes pass for one of pointers. Arrays are put together here, from bytes, a shape
and the name of a number type, all checked. Any other name is refused before anything is done with it, and so is
every opcode that makes instances, follows persistent ids or looks into the registry of extensions. A length is
held against what is left of the file before memory is asked for.

Python 2's strings come as bytes, its unicode and Python 3's text as str. The unpickler written in Python is used,
because its opcodes can be taken away; it is as fast as the one in C where a file is one large array.

Source: "Restricting globals" in Python's documentation of pickle; the states are those of numpy's __reduce__.
Limits: arrays of objects, records, text, dates or complex numbers are refused, as are sets.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from impray.spec.errors import DataError
from impray.spec.text import cut

_OPCODES = """
    PROTO FRAME STOP MARK POP POP_MARK DUP PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8
    SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8
    EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS
    GLOBAL STACK_GLOBAL REDUCE BUILD
""".split()
_NUMBERS = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
_ORDERS = ("<", ">", "=", "|")
_MOST_AXES = 32
_TOLD = {
    **dict.fromkeys(("PERSID", "BINPERSID"), "a persistent id"),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), "the registry of extensions"),
    **dict.fromkeys(("EMPTY_SET", "ADDITEMS", "FROZENSET"), "a set"),
    **dict.fromkeys(("NEXT_BUFFER", "READONLY_BUFFER"), "a buffer outside the file"),
}
_MALFORMED = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, BufferError, EOFError, LookupError,
    MemoryError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip


class _Refused(Exception):
    """What the file asks for and is not given."""


class _Truncated(Exception):
    """The file ends inside a value."""


def load(path: Path, shown: str) -> Any:
    """What a pickle file holds, its arrays read-only.

    Args:    shown: the file's name in errors.
    Raises:  DataError: it asks for more than the module's first words allow, is truncated, or is no pickle.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(_Whole(file, path.stat().st_size)).load()
    except _Refused as error:
        allowed = "only containers, text and arrays of plain numbers are read from a pickle"
        raise DataError(f"{shown}: refused: {error}; {allowed}, and nothing of this file was run") from None
    except _Truncated as error:
        raise DataError(f"{shown}: is truncated: {error}") from None
    except _MALFORMED as error:
        reason = cut(str(error)) or type(error).__name__
        raise DataError(f"{shown}: is no readable pickle: {reason}") from error
    except OSError as error:
        raise DataError(f"{shown}: cannot be read: {error.strerror}") from error


class _Whole:
    """A file that gives all bytes it is asked for, or raises."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        if count > self._left:
            raise _Truncated(f"{count} more bytes are announced than the {self._left} that are left" if count > 1 else
                             "it ends before the pickle does")  # fmt: skip
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline()
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise _Truncated("it ends inside a line")
        return line


@dataclass(frozen=True)
class _Name:
    """What a global becomes: its name, which can only be compared."""

    name: str


@dataclass
class _Dtype:
    """A number type, on its way."""

    code: str
    order: str = "="

    def numpy(self) -> np.dtype:
        return np.dtype(f"{self.order}{self.code}")


class _Array:
    """An array whose state has not come yet."""


# --- what the names may mean ---


def _dtype(code: object, *flags: object) -> _Dtype:
    name = _text(code)
    if name[:1] == "O":
        raise _Refused("the file asks for an array of objects")
    if name not in _NUMBERS or len(flags) > 2:
        raise _Refused(f"the file asks for an array of type {name!r}")
    return _Dtype(name)


def _with_state(dtype: _Dtype, state: object) -> None:
    if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
        raise _Refused("the file asks for an array of records")
    order = _text(state[1])
    if order not in _ORDERS:
        raise _Refused(f"the file asks for the byte order {order!r}")
    dtype.order = order


def _array(dtype: object, shape: object, fortran: object, content: object) -> np.ndarray:
    if isinstance(content, list):
        raise _Refused("the file asks for an array of objects")
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or not isinstance(content, (bytes, bytearray)):
        raise _Refused("the file makes an array of something else than bytes")
    sides = [side for side in shape if type(side) is int and side >= 0]
    if len(sides) != len(shape) or len(shape) > _MOST_AXES:
        raise _Refused(f"the file asks for an array of shape {shape!r:.80}")
    needed = math.prod(sides) * dtype.numpy().itemsize
    if needed != len(content):
        raise ValueError(f"an array of shape {shape} and type {dtype.code} has {needed} bytes, not {len(content)}")
    flat = np.frombuffer(content, dtype.numpy()) if content else np.empty(0, dtype.numpy())
    flat.flags.writeable = False
    return flat.reshape(sides, order="F" if fortran else "C")


def _empty(kind: object, *_: object) -> _Array:
    if kind != _Name("numpy.ndarray"):
        raise _Refused("the file asks for an array of an unknown class")
    return _Array()


def _of_state(state: object) -> np.ndarray:
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise _Refused("the file asks for an array in an unknown way")
    shape, dtype, fortran, content = state[-4:]  # before them, a version
    return _array(dtype, shape, fortran, content)


def _scalar(dtype: object, content: object) -> object:
    return _array(dtype, (), False, content)[()]


def _from_buffer(content: object, dtype: object, shape: object, order: object) -> np.ndarray:
    return _array(dtype, shape, order == "F", content)


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or _text(encoding) not in ("latin1", "latin-1"):
        raise _Refused("the file asks for bytes in an unknown way")
    return text.encode("latin-1")


def _text(value: object) -> str:
    if isinstance(value, bytes):  # Python 2
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise _Refused("the file gives something else where a name belongs")
    return value


_CALLS: dict[_Name, Callable[..., Any]] = {
    _Name("numpy.dtype"): _dtype,
    _Name("_codecs.encode"): _encode,
    **{_Name(f"numpy.{core}.multiarray._reconstruct"): _empty for core in ("core", "_core")},
    **{_Name(f"numpy.{core}.multiarray.scalar"): _scalar for core in ("core", "_core")},
    **{_Name(f"numpy.{core}.numeric._frombuffer"): _from_buffer for core in ("core", "_core")},
}
_NAMES = frozenset((*_CALLS, _Name("numpy.ndarray")))


# --- the machine ---


def _refusing(opcode: str) -> Callable[[Any], None]:
    def refuse(_: object) -> None:
        raise _Refused(f"the file asks for {opcode}, {_TOLD.get(opcode, 'which makes instances of classes')}")

    return refuse


def _unknown(code: int) -> Callable[[Any], None]:
    def refuse(_: object) -> None:
        raise pickle.UnpicklingError(f"opcode {code:#x} is unknown")

    return refuse


def _plain(key: object) -> object:
    """A key of a dictionary: tuples of tuples that hold each other many times over take for ever to hash."""
    if not isinstance(key, (str, bytes, int, float, type(None))):
        raise _Refused(f"the file has a {type(key).__name__} as a key")
    return key


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a dictionary has a key without a value")
    return {_plain(items[place]): items[place + 1] for place in range(0, len(items), 2)}


class _Unpickler(pickle._Unpickler):
    """Python's own, less most opcodes; names are tokens, and calls go to the functions above."""

    stack: list[Any]
    memo: dict[int, Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]

    def __init__(self, file: _Whole) -> None:
        super().__init__(file, encoding="bytes")

    def find_class(self, module: str, name: str) -> _Name:
        asked = _Name(f"{module}.{name}")
        if asked not in _NAMES:
            raise _Refused(f"the file asks for {asked.name!r:.80}")
        return asked

    def load_reduce(self) -> None:
        arguments, name = self.stack.pop(), self.stack[-1]
        call = _CALLS.get(name) if isinstance(name, _Name) else None
        if call is None:
            raise _Refused("the file calls what cannot be called")
        self.stack[-1] = call(*arguments)

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, _Dtype):
            _with_state(made, state)
        elif isinstance(made, _Array):
            self.stack[-1] = array = _of_state(state)
            self.memo.update({place: array for place, kept in self.memo.items() if kept is made})
        else:
            raise _Refused(f"the file sets the state of a {type(made).__name__}")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_plain(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.stack[-1].update(_pairs(items))

    def load_dict(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.append(_pairs(items))

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch = {
        **{code: _unknown(code) for code in range(256)},
        **{ord(op.code): _refusing(op.name) for op in pickletools.opcodes},
        **{ord(op.code): pickle._Unpickler.dispatch[ord(op.code)] for op in pickletools.opcodes if op.name in _OPCODES},
        pickle.REDUCE[0]: load_reduce,
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }
