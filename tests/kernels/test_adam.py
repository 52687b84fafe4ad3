"""Adam in one pass: the bits of IEEE operations one after another, and what torch's do to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training.packs import problem, train

from impray.kernels import adam
from impray.kernels.compiled import lacking
from impray.spec.nets import Mlp
from impray.spec.training import Adam, AdamW, Cosine

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("size", "apart"), [(1, 16), (7, 16), (64, 64), (1000, 1008)])
def test_every_operation_rounds_once(size, apart, dtype, masked):
    """numpy's operations are those of IEEE 754."""
    draw = np.random.default_rng(size)
    w, m, v, g = (draw.standard_normal((3, apart)).astype(dtype) for _ in range(4))
    v, m[0, 0], v[0, 0], g[0, 0] = v * v, 0, 0, 0  # a weight without any gradient
    mask = (draw.random((3, apart)) < 0.5).astype(dtype)
    of_nets = tuple(
        np.array(values, dtype)
        for values in (
            (-0.01, -0.02, -1.0), (0.3, 1.0, 0.9), (1e-8, 1e-3, 1e-6), (0.9, 0.5, 0.0), (0.999, 0.9, 0.99), (0.1, 0.5, 1.0),
            (0.001, 0.1, 0.01),
        )
    )  # fmt: skip
    step, root, eps, k1, k2, n1, n2 = (values[:, None] for values in of_nets)
    here = slice(0, size)
    m_new, v_new = m * k1 + g * n1, v * k2 + (g * g) * n2
    w_new = w + m_new / (np.sqrt(v_new) / root + eps) * step
    found = [value.copy() for value in (w, m, v)]
    flat = [value.reshape(-1) for value in found]
    adam.moved([*flat, g.reshape(-1)], mask.reshape(-1) if masked else None, apart, size, of_nets)
    for is_now, was, new in zip(found, (w, m, v), (w_new * mask if masked else w_new, m_new, v_new), strict=True):
        assert np.array_equal(is_now[:, here], new[:, here])
        assert np.array_equal(is_now[:, size:], was[:, size:])  # gaps between nets are nobody's


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize("hidden", [(), (64, 1), (200, 30)])
def test_rounds_are_those_of_torchs_operations(hidden, kind, dtype, monkeypatch):
    """To rounding: torch's square root is off by one unit in its last place here and there."""
    arch, params, masks, data = problem(Mlp(hidden=hidden), 33, 3, 3, 6, 8, dtype, 0.6)
    more = {"batch": 6, "steps": 8, "weight_decay": 0.01, "eps": 1e-3, "schedule": Cosine(final=0.1)}
    specs = [kind(lr=lr, **more) for lr in (0.1, 0.01, 0.003)]
    calls = []
    moved = adam.moved
    monkeypatch.setattr(adam, "moved", lambda *given: (calls.append(1), moved(*given)))
    in_one = train(arch, specs, params, masks, data, 8)
    assert len(calls) == 8 * len(params)
    monkeypatch.setattr("impray.training.updates.adam.lacking", lambda: "a kernel")
    one_by_one = train(arch, specs, params, masks, data.again(), 8)
    assert len(calls) == 8 * len(params)
    eps = torch.finfo(dtype).eps
    for name, value in one_by_one.params.items():
        torch.testing.assert_close(in_one.params[name], value, rtol=100 * eps, atol=100 * eps)
