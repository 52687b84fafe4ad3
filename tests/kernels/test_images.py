"""The bits of a batch of images are those of torch's passes, on every CPU and for every number of inputs."""

import hashlib
from itertools import product

import numpy as np
import pytest
import torch
from narrow_registers import digest_on_haswell

from impray.kernels import images

pytestmark = pytest.mark.skipif(images.lacking() is not None, reason=str(images.lacking()))
INPUTS = [images.LANES, images.LANES + 1, 2 * images.LANES - 1, 784, 3072]
ROWS, CLASSES = 50, 4


def tables(inputs, floats, per_class, kept, seed=0):
    """Tables as files give them: rows of bytes, or of floats of any size; halves down to those that are not normal."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (ROWS, inputs), np.uint8)
    if floats:
        pixels = (random.normal(size=pixels.shape) * 10.0 ** random.integers(-30, 30, pixels.shape)).astype(np.float32)
    places = 30 if kept else ROWS
    m = random.uniform(0, 255, (CLASSES if per_class else 1, inputs)).astype(np.float32)
    rows = np.sort(random.choice(ROWS, places, replace=False)) if kept else np.empty(0, np.int64)
    natural = images.Natural(random.integers(0, CLASSES, places), rows, pixels, m, np.float32(random.uniform(0.5, 300)))
    halves = (random.normal(size=(places, inputs)) * 2.0 ** random.integers(-24, 3, (places, inputs))).astype(
        np.float16
    )
    lengths = 2.0 ** random.integers(-3, 5, inputs).astype(np.float32)
    means = random.normal(size=(CLASSES, inputs)).astype(np.float32)
    return natural, images.Clone(random.permutation(places), halves.view(np.uint16), lengths, means)


def by_torch(places, natural, clone, factors):
    """In as many passes as there are operations, each rounded to float32."""
    of_labels, kept, pixels, m, s = natural
    rows, labels = (kept[places] if len(kept) else places), of_labels[places]
    x = torch.from_numpy(pixels[rows]).to(torch.float32)
    x.sub_(torch.from_numpy(m[labels] if len(m) > 1 else m)).div_(float(s))
    if clone is not None:
        f, c, d = map(float, factors)
        added = torch.from_numpy(clone.clones.view(np.float16)[clone.rows[places]]).to(torch.float32)
        added.mul_(torch.from_numpy(clone.lengths)).mul_(c)
        if clone.means is not None:
            added.add_(torch.from_numpy(clone.means[labels]) * d)
        x.mul_(f).add_(added)
    return x.numpy(), labels


def made(places, natural, clone, factors, room=5):
    out, labels = np.full(room + len(places) * natural.pixels.shape[1], 7, np.float32), np.empty(len(places), np.int64)
    images.made(places, out, room, labels, natural, clone, factors)
    assert (out[:room] == 7).all()
    return out[room:].reshape(len(places), -1), labels


def cases():
    for inputs, floats, per_class, kept, ending in product(INPUTS, *[[False, True]] * 3, ["alone", "at 0", "blended"]):
        natural, clone = tables(inputs, floats, per_class, kept)
        places = np.random.default_rng(1).integers(0, len(natural.labels), 9)
        b = 0.0 if ending == "at 0" else 0.3
        factors = tuple(np.float32(v) for v in (np.sqrt(1 - b), np.sqrt(b), 1 - np.sqrt(1 - b)))
        if ending == "alone":
            clone = None
        elif per_class:
            clone = clone._replace(means=None)
        yield places, natural, clone, factors


@pytest.mark.some(2)
def test_a_batch_has_the_bits_of_one_operation_after_the_other():
    seen = 0
    for case in cases():
        (x, labels), (right, right_labels) = made(*case), by_torch(*case)
        assert np.array_equal(x.view(np.uint32), right.view(np.uint32)) and np.array_equal(labels, right_labels)
        seen += 1
    assert seen == len(INPUTS) * 24


def test_every_byte_and_every_half_is_its_value():
    """All that a file can hold of either; the halves that are no numbers among them."""
    inputs = 2**16
    pixels = (np.arange(inputs) % 256).astype(np.uint8)[None]
    m, one, zero = np.zeros((1, inputs), np.float32), np.float32(1), np.float32(0)
    natural = images.Natural(np.zeros(1, np.int64), np.empty(0, np.int64), pixels, m, one)
    halves = np.arange(inputs, dtype=np.uint16)[None]
    clone = images.Clone(np.zeros(1, np.int64), halves, np.ones(inputs, np.float32), None)
    place = np.zeros(1, np.int64)
    assert np.array_equal(made(place, natural, None, (one, zero, zero))[0], pixels.astype(np.float32))
    x, _ = made(place, natural, clone, (zero, one, zero))
    assert np.array_equal(x, halves.view(np.float16).astype(np.float32), equal_nan=True)


def digest():
    """Of all cases, on this CPU as numba sees it."""
    found = hashlib.sha256()
    for case in cases():
        found.update(made(*case)[0].tobytes())
    return found.hexdigest()


@pytest.mark.slow  # compiles all of it twice
def test_narrow_registers_give_the_bits_of_wide_ones():
    assert digest_on_haswell("kernels.test_images") == digest()
