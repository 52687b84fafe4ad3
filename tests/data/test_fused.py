"""The kernel of Philox's rounds for GPUs: its source, compiled for this CPU; and that no device uses it unless it is right there."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import pytest
import torch

from impray.data import fused, streams
from impray.data.streams import Steps

CUDA = torch.device("cuda")
CPU = torch.device("cpu")
WRAPPED = """
extern "C" void run(long n, const long long* in, long long* out) {{
    for (long i = 0; i < n; ++i)
        philox<long long>(in[4*i], in[4*i+1], in[4*i+2], in[4*i+3], out[4*i], out[4*i+1], out[4*i+2], out[4*i+3]);
}}
"""


@pytest.fixture(autouse=True)
def asked_anew():
    fused._kernel.cache_clear()
    yield
    fused._kernel.cache_clear()


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiles C++")
def test_the_kernels_source_gives_what_torchs_passes_give(tmp_path):
    source, library = tmp_path / "philox.cpp", tmp_path / "philox.so"
    source.write_text(fused.CODE + WRAPPED.format())
    subprocess.run(["g++", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", source, "-o", library], check=True)
    counters = torch.stack(torch.broadcast_tensors(*fused._counters()), dim=-1).reshape(-1, 4).contiguous()
    out = torch.empty_like(counters)
    ctypes.CDLL(str(library)).run(
        ctypes.c_long(len(counters)), *(ctypes.c_void_p(x.data_ptr()) for x in (counters, out))
    )
    right = torch.stack(streams._mixed(*counters.unbind(1)), dim=1)
    assert torch.equal(out, right) and len(out) > 4000


def test_torch_takes_the_source_for_a_kernel_of_four_results():
    made = fused._compiled()
    assert (made.kernel_name, made.num_outputs, made.return_by_ref) == ("philox", 4, True)


class Elsewhere:
    """Stands for a GPU: counters stay where they are."""

    def __init__(self, monkeypatch, made):
        monkeypatch.setattr(fused, "_compiled", made)
        counters = fused._counters()
        monkeypatch.setattr(fused, "_counters", lambda: tuple(Stays(part) for part in counters))


class Stays(torch.Tensor):
    def __new__(cls, of):
        return torch.Tensor._make_subclass(cls, of)

    def to(self, device):
        return self.as_subclass(torch.Tensor)


def test_a_kernel_that_is_right_is_used(monkeypatch):
    calls = []

    def right(*counters):
        calls.append(1)
        return streams._mixed(*counters)

    Elsewhere(monkeypatch, lambda: right)
    assert fused.mixed(streams._mixed, CUDA) is right and fused.mixed(streams._mixed, CUDA) is right
    assert len(calls) == 1  # asked once
    assert fused.mixed(streams._mixed, CPU) is streams._mixed


def wrong_in(word):
    def made(*counters):
        words = [part.clone() for part in torch.broadcast_tensors(*streams._mixed(*counters))]
        words[word][-1, -1, -1, -1] ^= 1
        return words

    return made


def raising(error):
    def made(*counters):
        raise error

    return made


WRONG = {
    "wrong first word": wrong_in(0),
    "wrong last word": wrong_in(3),
    "of another dtype": lambda *counters: tuple(word.double() for word in streams._mixed(*counters)),
    "three words": lambda *counters: streams._mixed(*counters)[:3],
    "no compiler": raising(RuntimeError("nvrtc: error")),
    "no GPU": raising(AssertionError("Jiterator is only supported on CUDA")),
}


@pytest.mark.parametrize("made", WRONG.values(), ids=WRONG)
def test_a_kernel_that_is_not_right_is_not_used(made, monkeypatch):
    Elsewhere(monkeypatch, lambda: made)
    assert fused.mixed(streams._mixed, CUDA) is streams._mixed


def test_words_come_from_the_kernel_where_there_is_one(monkeypatch):
    calls = []
    monkeypatch.setattr(streams, "mixed", lambda passes, device: lambda *asked: calls.append(1) or passes(*asked))
    steps = Steps(2**32 - 2, 4, 37)
    assert torch.equal(streams._words([5, 2**63 - 1], steps, 7, CPU), streams.words([5, 2**63 - 1], steps, 7, CPU))
    assert calls == [1]
