"""Laws of the components of the inputs and of their cosines with masks."""

import json
import math
import warnings

import numpy as np
import pytest
import torch
from conftest import tiny_pack
from sklearn.decomposition import FastICA
from threadpoolctl import threadpool_limits

from impray.data.recent import Recent
from impray.journey import run_pack
from impray.measures import components as module
from impray.measures.components import MOST_STEPS, cosines, fit, measure
from impray.measures.kurtosis import kurtosis
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture
from impray.results.tables import scan
from impray.spec import measure as spec

torch.set_num_threads(1)


def laplace(samples: int, count: int, seed: int) -> torch.Tensor:
    """Independent sources of variance 1."""
    drawn = np.random.default_rng(seed).laplace(scale=math.sqrt(0.5), size=(samples, count))
    return torch.tensor(drawn)


def local_filters(side: int = 8) -> torch.Tensor:
    """Six Gaussian bumps on a side x side image: local, and not orthogonal."""
    y, x = np.mgrid[:side, :side]
    places = [(1, 1), (1, 4), (2, 6), (4, 2), (5, 5), (6, 1)]
    return torch.tensor(np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 2.0).ravel() for a, b in places]))


def noisy(samples: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Images of local sources and a little noise, so that all 64 directions have variance; their mean is not 0."""
    noise = torch.randn(samples, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (3 + laplace(samples, 6, seed) @ local_filters() + 0.05 * noise).to(dtype)


def state_of(masks: torch.Tensor, held_out: list[torch.Tensor], shape: tuple[int, ...], round: int = 0) -> RoundState:
    """A round of nets with these first-layer masks [net, unit, input], and one label per half of the inputs."""
    nets, units, inputs = masks.shape
    start = {"weight1": torch.ones(nets, units, inputs), "weight2": torch.ones(nets, 2, units)}
    labels = [torch.arange(len(x)) * 2 // len(x) for x in held_out]
    arch = Architecture((inputs, units, 2), "relu", False, True, input_shape=shape)
    return RoundState(
        round, arch, {"weight1": masks}, start, None, None, lambda net: (held_out[net], labels[net]), "mse"
    )


def random_masks(*shape: int, density: float = 0.2, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < density


def asked(**parameters) -> spec.Components:
    return spec.Components.model_validate({"name": "components", **parameters})


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(module, "_FITS", Recent())


def test_known_independent_sources_are_recovered_up_to_sign_and_order():
    samples, mixing = 4000, local_filters()
    found = fit(laplace(samples, 6, seed=1) @ mixing, 64)
    assert found.ica.shape == (6, 64)  # there is no seventh direction
    crosstalk = (
        found.ica @ mixing.T
    ).abs()  # 1 for its own source and 0 for the others, would there be no sampling error
    own = crosstalk.argmax(dim=1)
    assert sorted(own.tolist()) == list(range(6))
    # For Laplace sources and tanh, FastICA's crosstalk has a variance of at most 2.02 / samples (one source at a time); the
    # largest of 30 is below 4 standard deviations. A source's own variance has a sampling error of sqrt(5 / samples).
    ideal = torch.nn.functional.one_hot(own, 6)
    assert ((crosstalk - ideal).abs()[ideal == 0] < 4 * math.sqrt(2.02 / samples)).all()
    assert ((crosstalk - ideal).abs()[ideal == 1] < 4 * math.sqrt(5 / samples)).all()
    assert (found.kurtosis > 4.5).all() and found.steps < MOST_STEPS  # 6 in the population


@pytest.mark.parametrize("samples", [40, 64, 65, 300])  # fewer than inputs: from the samples' inner products
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pca_is_the_singular_value_decomposition(samples, dtype):
    x = noisy(samples, 2, dtype)
    centred = x.double().numpy() - x.double().numpy().mean(axis=0)
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    found = fit(x, 10)
    # Eigenvectors of C turn by eps / gap: the gaps are above 1e-6 of the largest variance.
    np.testing.assert_allclose(np.abs((found.pca.numpy() * rows[:10]).sum(axis=1)), 1, rtol=1e-9)
    np.testing.assert_allclose(found.explained, singular[:10] ** 2 / (singular**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(found.pca @ found.pca.T, np.eye(10), atol=1e-9)


@pytest.mark.filterwarnings("ignore")  # scikit-learn's: 50 samples of 64 inputs do not converge
@pytest.mark.parametrize("samples", [50, 1500])
def test_ica_takes_the_steps_of_scikit_learns(samples, monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 30)
    x, count = noisy(samples, 3), 5
    theirs = FastICA(count, whiten="unit-variance", random_state=0, max_iter=30).fit(x.numpy())
    found = fit(x, count)
    assert found.steps == theirs.n_iter_
    rows = torch.tensor(theirs.components_)
    order = kurtosis(x @ rows.T).argsort(descending=True)
    sign = (rows[order] * found.ica).sum(dim=1, keepdim=True).sign()
    torch.testing.assert_close(found.ica, sign * rows[order], rtol=1e-6, atol=1e-6)  # rounding, through all steps


def test_projections_are_uncorrelated_with_variance_one_and_ordered_by_kurtosis():
    x = noisy(500, 4)
    found = fit(x, 8)
    sources = x @ found.ica.T
    np.testing.assert_allclose(np.cov(sources.T.numpy(), bias=True), np.eye(8), atol=1e-9)
    np.testing.assert_allclose(found.kurtosis, kurtosis(sources), rtol=1e-9)
    assert torch.equal(found.kurtosis, found.kurtosis.sort(descending=True).values)
    assert torch.equal(found.explained, found.explained.sort(descending=True).values)
    for kind in (found.pca, found.ica):
        assert (kind.gather(1, kind.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_shifts_change_nothing_and_scale_only_the_filters():
    x = noisy(300, 5)
    one, other = fit(x, 4), fit(8 * x + 32, 4)
    torch.testing.assert_close(other.pca, one.pca, rtol=0, atol=1e-9)
    torch.testing.assert_close(8 * other.ica, one.ica, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    "count, samples, inputs, expected", [(64, 5, 12, 4), (64, 30, 7, 7), (3, 30, 7, 3), (2, 1, 7, 0)]
)
def test_there_are_as_many_components_as_the_inputs_have_directions(count, samples, inputs, expected):
    x = torch.randn(samples, inputs, generator=torch.Generator().manual_seed(6))
    found = fit(x, count)
    assert [len(values) for values in found[:4]] == [expected] * 4
    constant = torch.cat([x, torch.ones(samples, 2)], dim=1)  # adds no direction
    again = fit(constant, count)
    assert again.pca.shape == (expected, inputs + 2)
    assert (again.pca[:, inputs:].abs() < 1e-7).all() and (again.ica[:, inputs:].abs() < 1e-7).all()


def test_what_does_not_converge_says_so_in_its_steps_and_warns_nobody(monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 3)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert fit(torch.randn(200, 10, generator=torch.Generator().manual_seed(7)), 10).steps == 3
    assert not told
    (column,) = spec.Components.lineage_columns
    assert str(MOST_STEPS) in column.sentence


def test_the_same_inputs_give_the_same_bits_wherever_they_lie_and_whatever_the_threads():
    x = noisy(4500, 8, torch.float32)  # two portions
    whole = fit(x, 6)
    elsewhere = torch.empty(x.numel() + 3)[3:].view(x.shape).copy_(x)
    strided = torch.empty(64, len(x)).T.copy_(x)
    with threadpool_limits(limits=2):
        for again in (fit(x, 6), fit(elsewhere, 6), fit(strided, 6)):
            assert all(torch.equal(a, b) for a, b in zip(whole[:4], again[:4], strict=True))


def test_cosines_have_their_closed_forms():
    component = torch.zeros(3, 12, dtype=torch.float64)
    component[0, :4], component[1, 4:], component[2, 0] = -0.3, 2.0, 5.0
    masks = torch.zeros(4, 12, dtype=torch.bool)
    masks[0, :4] = masks[1, 2:6] = masks[2, 0] = True
    found = cosines(masks, component)
    expected = [[1, 0, 0.5], [0.5, 2 / math.sqrt(32), 0], [0.5, 0, 1]]
    torch.testing.assert_close(found[:3], torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=0)
    assert found[3].isnan().all()


def test_the_mask_of_a_components_support_finds_that_component():
    """Sources on disjoint squares of equal weight: the squares' masks are the components."""
    squares = torch.zeros(4, 8, 8, dtype=torch.float64)
    for number, (row, col) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        squares[number, row : row + 3, col : col + 3] = 1
    x = laplace(4000, 4, seed=9) @ squares.flatten(1)
    found = measure(asked(), state_of((squares.flatten(1) > 0)[None], [x], (8, 8)))
    units = found.units[1]
    assert sorted(units["ica_component"][0].tolist()) == [0, 1, 2, 3]
    # 1 - cosine is half the squared crosstalk with three others, each within 4 standard deviations.
    assert (units["cosine_ica"] > 1 - 1.5 * 16 * 2.02 / 4000).all()
    images = [row for row in found.images[0] if row["name"] == "ica"]
    for unit, number in enumerate(units["ica_component"][0].int().tolist()):
        drawn = np.frombuffer(images[number]["values"], "<f4").reshape(8, 8)
        inside = squares[unit].numpy() > 0
        assert drawn[inside].min() > 5 * np.abs(drawn[~inside]).max()


def test_units_with_too_few_inputs_are_nan_and_so_is_everything_on_constant_inputs():
    masks = torch.zeros(1, 3, 64, dtype=torch.bool)
    masks[0, 1, :2] = masks[0, 2, :3] = True
    state = state_of(masks, [noisy(60, 10)], (8, 8))
    for least, missing in ((1, 1), (3, 2)):
        for values in measure(asked(count=4, min_fan_in=least), state).units[1].values():
            assert values[0].isnan().tolist() == [unit < missing for unit in range(3)]
    found = measure(asked(), state_of(masks, [torch.full((20, 64), 0.1)], (8, 8)))
    assert all(values.isnan().all() for values in found.units[1].values()) and found.images == [[]]
    assert found.lineage["ica_steps"].tolist() == [0]


def test_images_are_the_components_and_are_kept_in_round_0_only():
    x = noisy(80, 11)
    first = measure(asked(count=5), state_of(random_masks(1, 3, 64), [x], (2, 4, 8)))
    kept, found = first.images[0], fit(x, 5)
    assert [(row["name"], row["number"]) for row in kept] == [(kind, k) for kind in ("pca", "ica") for k in range(5)]
    assert [row["value"] for row in kept] == [*found.explained.tolist(), *found.kurtosis.tolist()]
    for row, component in zip(kept, torch.cat([found.pca, found.ica]), strict=True):
        assert row["shape"] == [2, 4, 8]
        assert np.array_equal(np.frombuffer(row["values"], "<f4"), component.float())
    later = measure(asked(count=5), state_of(random_masks(1, 3, 64), [x], (2, 4, 8), round=3))
    assert later.images == [] and torch.equal(later.units[1]["cosine_ica"], first.units[1]["cosine_ica"])


def test_a_pack_equals_each_net_alone_bit_for_bit(monkeypatch):
    masks, data = random_masks(3, 7, 64), [noisy(n, 12 + n) for n in (90, 50, 90)]
    pack = measure(asked(count=6, samples=20), state_of(masks, data, (8, 8)))
    for net in range(3):
        monkeypatch.setattr(module, "_FITS", Recent())
        alone = measure(asked(count=6, samples=20), state_of(masks[net : net + 1].clone(), [data[net]], (8, 8)))
        for column, values in alone.units[1].items():
            assert torch.equal(values[0], pack.units[1][column][net])
        assert alone.images[0] == pack.images[net]


def test_rounds_and_nets_on_the_same_inputs_share_one_fit(monkeypatch):
    fits = []
    monkeypatch.setattr(module, "fit", lambda inputs, count: fits.append(len(inputs)) or fit(inputs, count))
    x, other = noisy(60, 13), noisy(60, 14)
    for round in range(3):
        measure(asked(count=4), state_of(random_masks(3, 5, 64), [x, other, x.clone()], (8, 8), round))
    assert fits == [60, 60]
    measure(asked(count=5), state_of(random_masks(1, 5, 64), [x], (8, 8)))
    measure(asked(count=4, samples=10), state_of(random_masks(1, 5, 64), [x], (8, 8)))
    nearly = x.clone()
    nearly[7, 7] = torch.nextafter(x[7, 7], torch.tensor(9.0, dtype=torch.float64))
    measure(asked(count=4), state_of(random_masks(1, 5, 64), [nearly], (8, 8)))
    assert fits == [60, 60, 60, 20, 60]


def test_rows_of_a_run_have_the_pictures_and_null_for_no_component(tmp_path):
    """Through a whole run: measures with images, integers and later layers become rows."""
    measures = [
        {"components": {"count": 3, "min_fan_in": 20}},
        {"inputs": {"examples": 3}},
        {"correlation": {"examples": 1, "min_fan_in": 4}},
        {"rf_width": {"layers": [1, 2], "min_fan_in": 4}},
    ]
    changes = {"measures": measures, "methods": ["imp"], "seeds": 1, "rounds": 2, "trial.net": {"hidden": [5, 4]}}
    pack = tiny_pack(**changes)
    (tmp_path / "provenance.json").write_text(json.dumps({"axes": pack.axes}))
    list(run_pack(pack, tmp_path))
    units = scan("units", tmp_path).collect()
    first = units.filter(layer=1)
    assert first.filter(first["cosine_ica"].is_nan())["ica_component"].null_count() > 0
    assert first.filter(first["cosine_ica"].is_not_nan())["ica_component"].is_between(0, 2).all()
    assert units.filter(layer=2, round=0)["rf_width_x_px"].is_not_nan().all()
    images = scan("images", tmp_path).collect()
    of_round_0 = set(images.filter(round=0)["name"])
    assert of_round_0 - set(images.filter(round=1)["name"]) == {"pca", "ica", "abs_mean", "variance", "sample"}
    assert len(images.filter(name="ica")) == 3 and len(images.filter(name="correlation_same")) == 3
    assert scan("rounds", tmp_path).collect()["ica_steps"].is_not_null().all()
