"""The whole training set is the rows that batches are made of, each once."""

import numpy as np
import pytest
import torch
from conftest import tiny_sweep

from impray.data import base, open_pack
from impray.spec.data import Arrays, Nlgp, Photographs

CPU = torch.device("cpu")


def photographs(folder, **more):
    return Photographs(shape=(4, 5), images=("camera", "coins", "moon"), crops=23, held_out=4, **more), 3 * 23


def arrays(folder, **more):
    inputs = np.random.default_rng(3).normal(size=(61, 7)).astype(np.float32)
    np.savez(folder / "made.npz", inputs=inputs, labels=np.arange(61) % 3)
    spec = Arrays(
        path=str(folder / "made.npz"), shape=(7,), class_count=3, held_out_fraction=0.25, keep_classes=2, **more
    )
    return spec, len([label for label in range(61) if label % 3 < 2])


@pytest.mark.parametrize("kind", [photographs, arrays])
@pytest.mark.parametrize("b", [0.0, 0.4])
def test_batches_are_rows_of_the_whole_set(kind, b, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(base, "_GATHERED", 100)  # in portions
    spec, most = kind(tmp_path, gaussian_blend=b)
    specs = [spec, spec.model_copy(update={"gaussian_blend": 0.0}), spec]
    pack = open_pack(specs, [0, 0, 1], batch=9, dtype=torch.float64, device=CPU)
    pack.start(0)
    raw = pack.draw(2)
    x, labels = pack.batch(raw, 1)
    for net, order in enumerate((0, 0, 1)):
        every, of_every = pack.whole(net)
        assert len(every) == len(of_every) <= most and every.shape[1:] == (spec.inputs,)
        places = raw["order"][order, 1]
        assert torch.equal(every[places], x[net]) and torch.equal(of_every[places], labels[net])
        assert raw["order"].max() < len(every)


def test_what_is_drawn_afresh_has_no_whole_set():
    assert "whole" in Photographs.offers & Arrays.offers and "whole" not in Nlgp.offers
    pack = open_pack([tiny_sweep().trial.data], [0], batch=2, dtype=torch.float32, device=CPU)
    with pytest.raises(NotImplementedError):
        pack.whole(0)
