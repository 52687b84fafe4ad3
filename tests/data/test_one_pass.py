"""Stimuli in one pass from their counters, against torch's products in float64 from the same counters."""

import hashlib

import pytest
import torch
from data.test_stimuli import STIMULI
from narrow_registers import digest_in_other_blocks, digest_on_haswell

from impray.data import open_pack
from impray.data.base import select
from impray.data.stimulus import StimulusPack
from impray.kernels.compiled import lacking
from impray.spec.data import Elliptical, Ising, Kur, Nlgp

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
CPU = torch.device("cpu")
EPS = 2.0**-24
MORE = {
    "nlgp, odd torus": Nlgp(shape=(3, 7), xi=(0.5, 1), gain=2),
    "nlgp, three classes, blend": Nlgp(shape=(10, 2), xi=(0.5, 1, 2), gaussian_blend=0.6),
    "nlgp, long ring": Nlgp(shape=(97,), gain=1e-4),
    "student 1.5": Elliptical(shape=(9,), degrees_of_freedom=1.5, scale="radius"),
    "kur 3": Kur(shape=(6,), k=3),
}


def opened(specs, seeds, batch, dtype):
    data = open_pack(specs, seeds, batch=batch, dtype=dtype, device=CPU)
    assert isinstance(data, StimulusPack)
    data.start(3)
    return data


def _fields(part, raw, noise, labels, step):
    """Of a `Field` by torch: the field, and how far one pass may be from it.

    Normals differ by 3e-7 of themselves, 6 roundings; roots and basis are rounded; a sum along an axis of n has n / 4 products or n / 2,
    and three more. Sums of |F| |y| are at most the length of y, and the basis keeps lengths: so all is in roundings of a sample's length.
    """
    z = part.coloured(select(raw[noise][:, step], part.sources.of_stream), labels)
    rows, cols = part.coloured.rows, part.coloured.cols
    sums = sum(side / (2 if side % 2 else 4) + 5 for side in (rows, cols) if side > 1)
    return z, EPS * (7 + sums) * z.square().sum(dim=1, keepdim=True).sqrt()


@pytest.mark.parametrize("batch", [7, 32, 50])
@pytest.mark.parametrize("name", [*STIMULI, *MORE])
def test_one_pass_makes_what_torch_makes_to_rounding(name, batch):
    """The kinds' functions rise, so x lies between theirs at both ends of the field's error; their own roundings come on top."""
    spec = {**STIMULI, **MORE}[name]
    single, double = (opened([spec] * 2, [4, 5], batch, dtype) for dtype in (torch.float32, torch.float64))
    raw, exact = single.draw(3), double.draw(3)
    assert torch.equal(raw["labels"], exact["labels"]) and single._process.one_pass and not double._process.one_pass
    for step in (0, 2):
        x, right = single.batch(raw, step)[0], double.batch(exact, step)[0]
        process, labels = double._process, exact["labels"][:, step]
        own = 3e-6 * right.abs()
        low = high = right
        if isinstance(spec, Ising):
            own = own + 1e-7
        else:
            z, error = _fields(process, exact, "noise", labels, step)
            low, high = (
                process.finished(end.clone(), exact, step)[:, :, :batch].mul(process.amplitudes).mT
                for end in (z - error, z + error)
            )
            middle = process.finished(z.clone(), exact, step)[:, :, :batch].mul(process.amplitudes).mT
            low, high = low + (right - middle), high + (right - middle)  # the clone
        if spec.gaussian_blend > 0:
            _, more = _fields(double._clone, exact, "clone", labels, step)
            own = own + more[:, :, :batch].mT + 4 * EPS * right.abs().amax()
        assert (x >= low - own).all() and (x <= high + own).all()


@pytest.mark.parametrize("name", [*STIMULI, *MORE])
def test_a_sample_does_not_depend_on_the_batch(name):
    """Fewer samples than lanes, more, and a number that is none of tiles; portions do not matter either."""
    spec = {**STIMULI, **MORE}[name]
    whole = opened([spec], [1], 77, torch.float32)
    raw = whole.draw(4)
    for batch in (1, 31, 32, 45):
        some = opened([spec], [1], batch, torch.float32)
        some.draw(1)
        few = some.draw(3)
        for step in (0, 2):
            (x, labels), (own_x, own_labels) = whole.batch(raw, step + 1), some.batch(few, step)
            assert torch.equal(x[:, :batch], own_x) and torch.equal(labels[:, :batch], own_labels)


def digest():
    """Of the numbers of every kind, on this CPU as numba sees it."""
    found = hashlib.sha256()
    for spec in (*STIMULI.values(), *MORE.values()):
        for batch in (5, 20, 50):  # fewer than any block has, than some have, and more
            data = opened([spec], [2], batch, torch.float32)
            x, labels = data.batch(data.draw(2), 1)
            found.update(x.contiguous().numpy().tobytes() + labels.numpy().tobytes())
    return found.hexdigest()


@pytest.mark.slow  # compiles all of it twice
def test_narrow_registers_give_the_bits_of_wide_ones():
    assert digest_on_haswell("data.test_one_pass") == digest()


@pytest.mark.slow  # compiles all of it twice
def test_smaller_blocks_give_the_same_bits(tmp_path):
    assert digest_in_other_blocks("data.test_one_pass", tmp_path) == digest()
