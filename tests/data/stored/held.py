"""What a data set holds, and what is told of one that cannot be opened."""

from pathlib import Path

import numpy as np
import pytest

from impray.data import stored
from impray.data.stored import open_stored
from impray.spec.errors import DataError, StorageError

TESTS = Path(__file__).parents[2]


def assert_holds(data, train, held_out, classes):
    """The converted arrays are those written, and the sums are exact."""
    for split, (x, y) in ((data.train, train), (data.held_out, held_out)):
        assert isinstance(split.inputs, np.memmap) and not split.inputs.flags.writeable
        assert (
            split.inputs.dtype == (np.uint8 if x.dtype == np.uint8 else np.float32) and split.labels.dtype == np.int64
        )
        assert np.array_equal(split.inputs, x.astype(split.inputs.dtype)) and np.array_equal(split.labels, y)
    x, y = np.asarray(data.train.inputs, np.float64), data.train.labels
    assert data.class_count.tolist() == np.bincount(y, minlength=classes).tolist()
    for found, numbers in ((data.class_sum, x), (data.class_square_sum, x**2)):
        expected = np.zeros((classes, x.shape[1]))
        np.add.at(expected, y, numbers)
        assert found.dtype == np.float64
        if data.train.inputs.dtype == np.uint8:
            assert np.array_equal(found, expected)
        else:  # added in another order
            assert np.abs(found - expected).max() <= len(x) * np.finfo(float).eps * np.abs(numbers).max() * len(x)
    assert data.mean.dtype == np.float32 and data.folder.is_dir() and data.folder.name.endswith(data.fingerprint)


def told(spec) -> str:
    """The message of the error, and nothing left behind."""
    with pytest.raises(DataError) as caught:
        open_stored(spec)
    assert not isinstance(caught.value, StorageError)
    assert [path for path in stored.cache().glob("*") if path.suffix != ".lock"] == []
    return str(caught.value)
