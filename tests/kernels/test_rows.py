"""The bits of a batch of rows are those of torch's passes, on every CPU, for every number of samples and of inputs."""

import hashlib
from itertools import product

import numpy as np
import pytest
import torch
from narrow_registers import digest_on_haswell

from impray.kernels import rows
from impray.kernels.compiled import lacking

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
INPUTS, SAMPLES = [rows.FEWEST, rows.FEWEST + 1, 2 * rows.FEWEST - 1, 64, 300], [1, 15, 16, 17, 40, 64]
CLASSES, PER_CLASS, STEPS = 5, 6, 3
BLENDS = [0.0, 0.1, 1.0]


def tables(inputs, seed=0):
    """Numbers of any size, so that where a sum is rounded shows, and zeros of both signs."""
    random = np.random.default_rng(seed)

    def table(count):
        numbers = random.normal(size=(count, inputs)) * 10.0 ** random.integers(-3, 4, (count, inputs))
        return np.where(random.random(numbers.shape) < 0.05, -0.0, numbers).astype(np.float32)

    return table(CLASSES * PER_CLASS), table(CLASSES * PER_CLASS), table(CLASSES)


def factors(b):
    return [np.sqrt(1 - b), np.sqrt(b), 1 - np.sqrt(1 - b) - np.sqrt(b)]


def streams():
    """Every blend for each of two of three orders, and of one of them from the second class on too; slots in another turn."""
    groups = [(0, 0), (2, 0), (2, PER_CLASS)]
    begins = np.arange(len(groups) + 1) * len(BLENDS)
    slots = np.random.default_rng(1).permutation(begins[-1])
    of_streams = np.array([factors(b) for _ in groups for b in BLENDS], np.float32)
    orders, firsts = np.array(groups).T.copy()
    return rows.Streams(orders, firsts, begins, slots, of_streams)


def cases():
    for inputs, samples, ending in product(INPUTS, SAMPLES, ["plain", "blended", "shifted"]):
        row, other, means = tables(inputs)
        places = np.random.default_rng(2).integers(0, (CLASSES - 1) * PER_CLASS, (3, STEPS, samples))
        of_ending = {"plain": (row, None, None), "blended": (row, other, None), "shifted": (row, other, means)}
        yield places, rows.Tables(*of_ending[ending])


def made(places, tables_, step=1, room=5):
    samples, inputs = places.shape[2], tables_.row.shape[1]
    chosen, apart = streams(), samples * inputs + room
    out = np.full(len(chosen.slots) * apart, 7, np.float32)
    rows.made(rows.Step(places.ravel(), STEPS, step, samples), chosen, tables_, out, apart)
    slots = out.reshape(-1, apart)
    assert (slots[:, samples * inputs :] == 7).all()
    return slots[:, : samples * inputs].reshape(-1, inputs, samples)


def by_torch(places, tables_, step=1):
    """In as many passes as there are operations, each rounded to float32; [slot, input, sample]."""
    row, other, means = (None if table is None else torch.from_numpy(table) for table in tables_)
    orders, firsts, begins, slots, of_streams = streams()
    made = [None] * len(slots)
    for group, (order, first) in enumerate(zip(orders, firsts, strict=True)):
        read = torch.from_numpy(first + places[order, step])
        for stream in range(begins[group], begins[group + 1]):
            f, c, d = torch.from_numpy(of_streams[stream])
            x = row[read]
            if other is not None and c > 0:
                x = x.mul(f).add(other[read].mul(c))
                x = x if means is None else x.add(means.mul(d)[read // PER_CLASS])
            made[slots[stream]] = x.T
    return torch.stack(made).numpy()


@pytest.mark.some(2)
def test_a_batch_has_the_bits_of_one_operation_after_the_other():
    seen = 0
    for case in cases():
        x, right = made(*case), by_torch(*case)
        assert np.array_equal(x.view(np.uint32), np.ascontiguousarray(right).view(np.uint32))
        seen += 1
    assert seen == len(INPUTS) * len(SAMPLES) * 3


def test_the_tables_tell_a_fused_sum_from_a_rounded_product():
    """Else the test above would pass with a fused one as well."""
    row, other, _ = tables(64)
    f, c, _ = (np.float32(factor) for factor in factors(0.1))
    rounded = row * f + other * c
    fused = (row.astype(np.float64) * f + (other * c).astype(np.float64)).astype(np.float32)
    assert (rounded != fused).mean() > 0.01


def digest():
    """Of all cases, on this CPU as numba sees it."""
    found = hashlib.sha256()
    for case in cases():
        found.update(np.ascontiguousarray(made(*case)).tobytes())
    return found.hexdigest()


@pytest.mark.slow  # compiles all of it twice
def test_narrow_registers_give_the_bits_of_wide_ones():
    assert digest_on_haswell("kernels.test_rows") == digest()
