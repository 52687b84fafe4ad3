"""Every measure on the least there can be, and on numbers at the ends of floating point: readings, not errors."""

import pytest
import torch
from conftest import tiny_pack

from impray.measures import MEASURES
from impray.measures.contract import checked
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture
from impray.spec import measure as spec

ASKED = {
    spec.RfWidth: {"min_fan_in": 1, "layers": [1, 2], "colours": "all"},
    spec.Kurtosis: {"at": ["start", "end"]},
    spec.Ipr: {"at": ["mask", "start", "end"]},
    spec.Cavity: {"layers": [1, 2]},
    spec.Components: {"count": 2},
}
NOT_HERE = {spec.Flow, spec.Course}  # read a trial's data, and its training: see test_on_the_ring and test_course
# Of linear models with a truth: see test_sparse.
NOT_HERE |= {kind for kind in MEASURES if kind.reads & {"whole", "truth", "order"}}


def asked(kind):
    return kind.model_validate({"name": kind.model_fields["name"].default, **ASKED.get(kind, {})})


def state_of(shape=(2, 3), units=(3, 2), samples=6, scale=1.0, density=0.7, dtype=torch.float64, loss="mse"):
    """Two nets of three layers."""
    generator = torch.Generator().manual_seed(0)
    sizes = (torch.Size(shape).numel(), *units, 2)

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=dtype)

    weights = {f"weight{i}": normal(2, sizes[i], sizes[i - 1]) for i in (1, 2, 3)}
    masks = {n: torch.rand(w.shape, generator=generator) < density for n, w in weights.items() if n != "weight3"}
    params = {n: w * masks[n] * scale if n in masks else w for n, w in weights.items()}
    params |= {f"bias{i}": torch.zeros(2, sizes[i], dtype=dtype) for i in (1, 2, 3)}
    held_out = normal(samples, sizes[0]), torch.arange(samples) * 2 // max(samples, 1)
    arch = Architecture(sizes, "relu", False, True, input_shape=shape)
    trial = tiny_pack().lineages[0].trial
    trial = trial.model_copy(update={"data": trial.data.model_copy(update={"shape": shape})})
    return RoundState(0, arch, masks, params, params, None, lambda net: held_out, loss, [trial, trial])


LEAST = {
    "ordinary": {},
    "no weights": {"density": 0.0},
    "one input": {"shape": (1, 1)},
    "one unit": {"units": (1, 1)},
    "one sample": {"samples": 1},
    "no samples": {"samples": 0},
    "colours": {"shape": (3, 2, 2), "density": 0.0},
    "huge": {"scale": 1e150},
    "tiny": {"scale": 1e-150},
    "huge float32": {"scale": 1e15, "dtype": torch.float32},
    "tiny float32": {"scale": 1e-15, "dtype": torch.float32},
    "cross entropy": {"samples": 1, "loss": "cross_entropy"},
}


@pytest.mark.some(72)
@pytest.mark.filterwarnings("ignore:.*egrees of freedom")
@pytest.mark.parametrize("least", LEAST)
@pytest.mark.parametrize("kind", [kind for kind in MEASURES if kind not in NOT_HERE], ids=lambda kind: kind.__name__)
def test_a_measure_never_fails(kind, least):
    if kind is spec.Sinusoid and least == "colours":
        pytest.skip("of rings and tori only, as is checked before a sweep runs")
    state = state_of(**LEAST[least])
    found = checked(asked(kind), state, MEASURES[kind](asked(kind), state))
    for layer, columns in found.units.items():
        for column, values in columns.items():
            assert values.shape == state.start[f"weight{layer}"].shape[:2], column
            assert not values.isinf().any(), column
    for column, values in found.lineage.items():
        assert len(values) == 2, column


FREE_OF_SCALE = (
    spec.RfWidth,
    spec.Clustering,
    spec.Spread,
    spec.Pieces,
    spec.Kurtosis,
    spec.Ipr,
    spec.Sinusoid,
    spec.Cavity,
)


@pytest.mark.parametrize("scale", [2.0**-400, 2.0**400])
@pytest.mark.parametrize("kind", FREE_OF_SCALE, ids=lambda kind: kind.__name__)
def test_the_scale_of_the_weights_does_not_matter(kind, scale):
    """Of two layers: a ReLU passes scales on, so that the second layer's preactivations have the square of it."""
    one, other = (MEASURES[kind](asked(kind), state_of(samples=30, scale=s)).units for s in (1.0, scale))
    for layer, columns in one.items():
        for column, values in columns.items():
            torch.testing.assert_close(other[layer][column], values, rtol=1e-9, atol=1e-12, equal_nan=True)
