"""Covariances and designs that users bring: .npy files, read in full and looked at before a number is made of them.

A path is one of this machine or a URI (`impray.data.formats.files`). Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from impray.data.formats.files import File, Place
from impray.data.formats.numpy_files import header_of
from impray.data.formats.opened import UNREADABLE
from impray.scratch import scratch
from impray.spec.errors import DataError
from impray.spec.text import cut

_ROUNDING = 1e-8  # of the largest entry (eigenvalue): a file may have been written in single precision


def covariance_in(path: str, features: int) -> Float64[np.ndarray, "feature feature"]:
    """A covariance from its file.

    Raises:  DataError: there is no such file, or its matrix is not symmetric or not positive semi-definite.
    """
    matrix = _read(path, (features, features), "data.features squared, as a covariance is")
    return _checked_covariance(path, matrix.tobytes(), features)


def matrix_in(path: str, samples: int, features: int) -> Float64[np.ndarray, "sample feature"]:
    """A design from its file.

    Raises:  DataError: there is no such file, or its matrix is of another shape.
    """
    return _read(path, (samples, features), "data.samples x data.features")


def content_of(path: str) -> str:
    """Names what is in a file, wherever it lies and however old it is."""
    with scratch("source") as folder, Place.at(path).here(folder) as file:
        return hashlib.blake2b(_bytes(file), digest_size=8).hexdigest()


def _bytes(file: File) -> bytes:
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise DataError(f"{file.shown}: cannot be read: {error.strerror}") from error


def _read(path: str, shape: tuple[int, int], words: str) -> Float64[np.ndarray, "row column"]:
    with scratch("source") as folder, Place.at(path).here(folder) as file:
        array = _opened(file, f"data.design.path must be a .npy file of {list(shape)} numbers: {words}")
        if array.shape != shape:
            raise DataError(f"{file.shown}: its shape is {list(array.shape)}; must be {list(shape)}: {words}")
        if array.dtype.kind not in "fiu":
            raise DataError(f"{file.shown}: holds {array.dtype}; must hold real numbers")
        matrix = np.array(array, dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(matrix))
    if len(wrong):
        raise DataError(f"{file.shown}: has {matrix[tuple(wrong[0])]} at {wrong[0].tolist()}; must be finite")
    return matrix


def _opened(file: File, right: str) -> np.ndarray:
    """Mapped: of a header that claims more than the file has, nothing is allocated."""
    try:
        with file.path.open("rb") as opened:
            header_of(opened, file.path.stat().st_size)
        return np.load(file.path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{file.shown}: cannot be read: {error.strerror or error}; {right}") from error
    except UNREADABLE as error:
        raise DataError(f"{file.shown}: is no .npy file of numbers: {cut(str(error))}; {right}") from error


@lru_cache(maxsize=2)
def _checked_covariance(path: str, numbers: bytes, features: int) -> Float64[np.ndarray, "feature feature"]:
    matrix = np.frombuffer(numbers).reshape(features, features)
    largest = np.abs(matrix).max()
    apart = np.abs(matrix - matrix.T)
    if apart.max() > _ROUNDING * largest:
        row, col = np.unravel_index(apart.argmax(), apart.shape)
        raise DataError(
            f"{path}: has {matrix[row, col]:g} at [{row}, {col}] and {matrix[col, row]:g} at [{col}, {row}]; "
            "a covariance is symmetric"
        )
    symmetric = (matrix + matrix.T) / 2
    least = np.linalg.eigvalsh(symmetric)[0]
    if least < -_ROUNDING * largest:
        raise DataError(f"{path}: has the eigenvalue {least:g}; a covariance is positive semi-definite")
    return symmetric
