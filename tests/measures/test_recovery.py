"""Laws of psnr, reconstruction, training_accuracy, gates, units_alive and solver."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from impray.data import open_pack
from impray.data.coordinates import fourier_features, picture
from impray.measures import readings_of
from impray.measures.recovery import shares
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture, fixed_readout
from impray.spec import measure as spec
from impray.spec.data import Digits, ImageCoordinates, Planted
from impray.spec.trial import Trial
from impray.theory import gates

torch.set_num_threads(1)
CPU = torch.device("cpu")
EVERY = [spec.Psnr, spec.TrainingAccuracy, spec.Gates, spec.UnitsAlive]
PLANTED = Planted(samples=500, inputs_count=9, units=5, nonzero=20, held_out=70)


def state_of(arch, weights, data, masks=None, readout="sum"):
    """A round of nets with such first weights [net, unit, input]; the readout is fixed."""
    params = {"weight1": weights, "weight2": fixed_readout(readout, weights.shape[1]).expand(len(weights), 1, -1)}
    params = {name: value.clone().to(weights.dtype) for name, value in params.items()}
    masks = {"weight1": torch.ones(weights.shape, dtype=torch.bool) if masks is None else masks}
    return RoundState(0, arch, masks, params, params, None, data.held_out, "mse", [], whole=data.whole)


def planted_state(weights, specs=None, seeds=None, **more):
    specs = specs or [PLANTED] * len(weights)
    data = open_pack(specs, seeds or range(len(weights)), batch=1, dtype=weights.dtype, device=CPU)
    arch = Architecture((specs[0].inputs, weights.shape[1], 1), "relu", False, False, "sum")
    return state_of(arch, weights, data, **more), data


def truths(nets, spec_=PLANTED, seeds=None):
    data = open_pack([spec_] * nets, seeds or range(nets), batch=1, dtype=torch.float64, device=CPU)
    return torch.stack([data.truth(net)["weight1"] for net in range(nets)])


def read(kind, state):
    lineage = readings_of(kind.model_validate({"name": kind.model_fields["name"].default}), state).lineage
    return {name: v.tolist() if isinstance(v, torch.Tensor) else list(v) for name, v in lineage.items()}


class Given:
    """Data that are given, the same for all nets."""

    def __init__(self, x, y, aside=None):
        self.training, self.aside = (x, y), aside or (x, y)

    def whole(self, net):
        return tuple(part.clone() for part in self.training)

    def held_out(self, net):
        return self.aside


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_column_is_there_and_a_net_does_not_depend_on_its_neighbours(kind, dtype):
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(16, 7, 64, generator=generator, dtype=torch.float64).to(dtype)
    weights[torch.rand(weights.shape, generator=generator) < 0.97] = 0  # some units of 64 lose all
    digits = Digits(task="even_odd")
    arch = Architecture((64, 7, 1), "relu", False, False, "sum")

    def state(nets):
        data = open_pack([digits] * len(nets), nets, batch=1, dtype=dtype, device=CPU)
        return state_of(arch, weights[nets].clone(), data)

    columns = read(kind, state(list(range(16))))
    assert set(columns) == {column.name for column in kind.lineage_columns}
    for name, values in columns.items():
        assert len(set(values)) > 1
        assert values == [read(kind, state([net]))[name][0] for net in range(16)], name


# -- psnr -------------------------------------------------------------------------------------------------------------


def test_psnr_is_the_formula_with_the_training_sets_peak():
    x, aside = torch.eye(2, dtype=torch.float64), torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    y, of_aside = torch.tensor([[-4.0], [1.0]], dtype=torch.float64), torch.tensor([[100.0]], dtype=torch.float64)
    arch = Architecture((2, 1, 1), "relu", False, False, "sum")
    weights = torch.tensor([[[2.0, 0.0]]], dtype=torch.float64)
    found = read(spec.Psnr, state_of(arch, weights, Given(x, y, (aside, of_aside))))
    # Outputs 2, 0 and 6: errors 6, -1 and -94
    assert found["psnr_train"] == [pytest.approx(20 * math.log10(4) - 10 * math.log10(37 / 2), abs=1e-12)]
    assert found["psnr"] == [pytest.approx(20 * math.log10(4 / 94), abs=1e-12)]


def test_psnr_does_not_depend_on_the_targets_scale_and_ten_times_the_error_costs_20_dB():
    truth = truths(2)
    off = truth + 0.01 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0), dtype=truth.dtype)
    state, data = planted_state(off)
    found = read(spec.Psnr, state)
    x, y = data.whole(1)
    tenfold = state_of(state.network, 10 * off[1:], Given(x, 10 * y))
    assert read(spec.Psnr, tenfold)["psnr_train"][0] == pytest.approx(found["psnr_train"][1], abs=1e-10)
    further, _ = planted_state(truth + 10 * (off - truth), seeds=range(2))
    # The gates move too, a little: 20 dB within 1
    assert np.array(read(spec.Psnr, further)["psnr"]) == pytest.approx(np.array(found["psnr"]) - 20, abs=1)


def test_the_planted_network_itself_has_the_psnr_of_rounding():
    """Of targets that were rounded to single precision, 24 bits, some 150 dB or more; of exact ones beyond 280."""
    for stream, least, most in (("authors", 145, 175), ("impray", 280, math.inf)):
        data = PLANTED.model_copy(update={"stream": stream})
        state, _ = planted_state(truths(3, data), [data] * 3)
        for values in read(spec.Psnr, state).values():
            assert all(least < value <= most for value in values), stream


def test_psnr_of_labels_takes_them_as_0_and_1():
    x, labels = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 1, 1])
    arch = Architecture((1, 1, 1), "relu", False, False, "sum")
    found = read(spec.Psnr, state_of(arch, torch.tensor([[[0.5]]]), Given(x, labels)))
    # Outputs 1/2, 1, 2: errors 1/2, 0, 1; the peak is 1
    assert found["psnr_train"] == [pytest.approx(-10 * math.log10(1.25 / 3), abs=1e-12)]


@pytest.mark.parametrize(
    ("y", "w", "expected"),
    [(0.0, 1.0, math.nan), (2.0, 2.0, math.inf), (2.0, math.nan, math.nan), (2.0, 1e200, -math.inf)],
)
def test_psnr_at_its_ends(y, w, expected):
    """No targets but 0; an exact fit; weights that diverged; an error too large for floating point."""
    x = torch.ones(3, 1, dtype=torch.float64)
    arch = Architecture((1, 1, 1), "relu", False, False, "sum")
    found = read(spec.Psnr, state_of(arch, torch.tensor([[[w]]], dtype=torch.float64), Given(x, torch.full_like(x, y))))
    np.testing.assert_array_equal([found["psnr"][0], found["psnr_train"][0]], [expected] * 2)


# -- reconstruction ---------------------------------------------------------------------------------------------------

CAMERAS = [ImageCoordinates(side=9, features=14, sigma=2.0 + seed % 3, draw=seed % 2) for seed in range(16)]


def image_state(nets, dtype=torch.float64, scale=0.2):
    data = open_pack([CAMERAS[net] for net in nets], nets, batch=1, dtype=dtype, device=CPU)
    generator = torch.Generator().manual_seed(7)
    weights = scale * torch.randn(16, 5, 14, generator=generator, dtype=torch.float64)[nets].to(dtype)
    state = state_of(Architecture((14, 5, 1), "relu", False, False, "signed"), weights, data, readout="signed")
    plan = {"net": {"hidden": [5], "bias": False, "outputs": 1, "readout": "signed"}, "train": {"loss": "mse"}}
    return replace(state, trials=[Trial.model_validate(plan | {"data": CAMERAS[net]}) for net in nets])


def pictures_of(state):
    """(reconstruction, original) of each net, rows of the table `images`."""
    rows = readings_of(spec.Reconstruction(), state).images
    by_name = [{row["name"]: row for row in of_net} for of_net in rows]
    return [(of_net["reconstruction"], of_net["original"]) for of_net in by_name]


def pixels(row):
    return np.frombuffer(row["values"], "<f4").reshape(row["shape"])


def test_a_reconstruction_is_the_networks_output_at_every_place_of_the_image():
    state = image_state([0, 1, 2])
    signs = np.array([1, -1, 1, -1, 1])
    for net, (shown, original) in enumerate(pictures_of(state)):
        weights = state.start["weight1"][net].numpy()
        expected = np.maximum(fourier_features(CAMERAS[net], net) @ weights.T, 0) @ signs
        np.testing.assert_allclose(pixels(shown), expected.reshape(9, 9), rtol=0, atol=1e-6)  # of 32 bits
        np.testing.assert_allclose(pixels(original), picture(CAMERAS[net]), rtol=0, atol=1e-7)
        assert original["value"] is None


def test_the_psnr_of_a_reconstruction_is_that_of_both_parts_of_its_pixels():
    """One peak: squared errors of the parts add up, 10^(-psnr / 10) by their shares."""
    state = image_state([0, 1, 2])
    parts, held_out = read(spec.Psnr, state), 16 / 81  # a fifth of 81 pixels
    for net, (shown, _) in enumerate(pictures_of(state)):
        of_parts = held_out * 10 ** (-parts["psnr"][net] / 10) + (1 - held_out) * 10 ** (-parts["psnr_train"][net] / 10)
        assert shown["value"] == pytest.approx(-10 * math.log10(of_parts), abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reconstructions_of_16_nets_are_those_of_each_bit_for_bit(dtype):
    together = pictures_of(image_state(list(range(16)), dtype))
    for net in (0, 6, 15):
        assert pictures_of(image_state([net], dtype)) == [together[net]]


def test_the_image_of_a_network_that_diverged_has_no_psnr():
    ((undefined, _),) = pictures_of(image_state([3], scale=math.nan))
    ((infinite, _),) = pictures_of(image_state([3], scale=1e200))
    assert math.isnan(undefined["value"]) and np.isnan(pixels(undefined)).any()
    assert infinite["value"] == -math.inf


# -- training_accuracy ------------------------------------------------------------------------------------------------


def test_training_accuracy_counts_the_training_set():
    x, labels = torch.tensor([[0.2], [0.4], [0.6], [0.8]]), torch.tensor([0, 1, 1, 1])
    arch = Architecture((1, 1, 1), "relu", False, False, "sum")
    data = Given(x, labels, (x[:1], 1 - labels[:1]))
    assert read(spec.TrainingAccuracy, state_of(arch, torch.ones(1, 1, 1), data)) == {"accuracy_train": [0.75]}


# -- gates and units --------------------------------------------------------------------------------------------------


def test_gates_are_counted_exactly_in_portions():
    open_ = torch.rand(10_000, 6, generator=torch.Generator().manual_seed(0)) < torch.linspace(0, 1, 6)
    hamming, trace = shares(open_)
    plain = open_.numpy()
    np.testing.assert_array_equal(trace, plain.sum(axis=0) / 10_000)
    np.testing.assert_array_equal(hamming, (plain[:, :, None] != plain[:, None]).sum(axis=0) / 10_000)


def test_gates_of_gaussian_inputs_are_near_their_closed_form():
    data = PLANTED.model_copy(update={"samples": 20_000})
    weights = torch.randn(2, 5, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    state, _ = planted_state(weights, [data] * 2)
    found = read(spec.Gates, state)
    most = gates.largest_deviation(2 * (10 + 5), 20_000, 1e-6)
    for net in range(2):
        expected = gates.hamming(weights[net].numpy())[np.triu_indices(5, 1)].min()
        assert abs(found["hamming_min"][net] - expected) < most
        assert 0.5 - most < found["trace_min"][net] < 0.5


def test_units_without_weights_have_no_gates():
    """Pruned away, or 0 where the mask keeps them; of one unit there is no pair, of none nothing."""
    x = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -2.0]], dtype=torch.float64)
    weights = torch.tensor([[[1.0, 0], [0, 1]], [[1, 0], [0, 1]], [[1, 0], [0, 0]], [[0, 0], [0, 0]]]).double()
    masks = torch.ones(weights.shape, dtype=torch.bool)
    masks[1, 1] = False
    arch = Architecture((2, 2, 1), "relu", False, False, "sum")
    state = state_of(arch, weights, Given(x, x[:, :1]), masks)
    found = read(spec.Gates, state)
    np.testing.assert_array_equal(found["hamming_min"], [0.5, math.nan, math.nan, math.nan])
    np.testing.assert_array_equal(found["trace_min"], [0.5, 0.5, 0.5, math.nan])
    assert read(spec.UnitsAlive, state) == {"units_alive": [2, 1, 1, 0]}


def test_two_equal_units_have_separation_0():
    weights = torch.tensor([[[2.0, 0, 0], [0.5, 0, 0], [0, 1, 0]]], dtype=torch.float64)
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    arch = Architecture((3, 3, 1), "relu", False, False, "sum")
    assert read(spec.Gates, state_of(arch, weights, Given(x, x[:, :1])))["hamming_min"] == [0]


def test_what_a_solver_said_is_told_and_of_a_trained_network_nothing():
    state, _ = planted_state(truths(2))
    assert read(spec.Solver, state) == {"optimizer_bytes": [None] * 2, "converged": [None] * 2, "epochs": [None] * 2}
    state.facts = [{"optimizer_bytes": 4096, "converged": True, "epochs": 15, "loss": 0.1}, {}]
    assert read(spec.Solver, state) == {"optimizer_bytes": [4096, None], "converged": [1.0, None], "epochs": [15, None]}
