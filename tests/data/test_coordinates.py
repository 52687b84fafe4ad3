"""Images as functions of their coordinates: the picture, the features, the division, and how well a linear model can do."""

import numpy as np
import pytest
import torch
from skimage.io import imsave

from impray.data import coordinates as module
from impray.data import open_pack
from impray.data.coordinates import content, division, fourier_features, picture, places
from impray.data.photographs import photograph
from impray.data.recent import Recent
from impray.spec.data import ImageCoordinates
from impray.spec.errors import DataError

CPU = torch.device("cpu")


def small(**more):
    return ImageCoordinates.model_validate({"side": 8, "features": 6, **more})


def psnr(y, fit, peak):
    return 20 * np.log10(peak) - 10 * np.log10(np.mean((y - fit) ** 2))


def test_the_picture_is_the_mean_over_blocks_of_the_central_square(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(11, 19), dtype=np.uint8)
    imsave(tmp_path / "grey.png", pixels, check_contrast=False)
    found = picture(small(image=str(tmp_path / "grey.png"), side=5))
    # The side is 2 x 5; rows 0 to 9 (half a pixel is rounded down), columns 4 to 13
    expected = [[pixels[2 * r : 2 * r + 2, 4 + 2 * c : 6 + 2 * c].mean() / 255 for c in range(5)] for r in range(5)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(picture(small(side=64)), photograph("camera", False, 8)[0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_colours_have_their_luminance_and_opacity_is_left_out(name, shape, tmp_path):
    pixels = np.broadcast_to(np.uint8([200, 100, 50])[: shape[2]] if len(shape) > 2 else np.uint8(100), shape)
    imsave(tmp_path / name, pixels, check_contrast=False)
    grey = 100 if len(shape) == 2 else 200 * 0.2125 + 100 * 0.7154 + 50 * 0.0721
    # JPEG rounds each of three channels, and their transform, to a grey level or two
    np.testing.assert_allclose(
        picture(small(image=str(tmp_path / name))) * 255, grey, atol=2 if "jpg" in name else 1e-12
    )
    if name == "x.png" and len(shape) > 2:
        clear = np.concatenate([pixels, np.full((8, 8, 1), 17, np.uint8)], axis=2)
        imsave(tmp_path / "clear.png", clear, check_contrast=False)
        np.testing.assert_allclose(picture(small(image=str(tmp_path / "clear.png"))) * 255, grey, atol=1e-12)


def test_what_is_no_picture_is_said_with_its_path(tmp_path):
    with pytest.raises(DataError, match="'camera'"):
        picture(small(image="camra"))
    (tmp_path / "text.png").write_text("no picture")
    whole = tmp_path / "whole.png"
    imsave(whole, np.random.default_rng(0).integers(256, size=(64, 64), dtype=np.uint8), check_contrast=False)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:500])
    for name in ("text.png", "cut.png"):
        with pytest.raises(DataError, match=name):
            picture(small(image=str(tmp_path / name)))
    with pytest.raises(DataError, match="64 x 64 pixels; data.side = 65"):
        picture(small(image=str(whole), side=65))
    with pytest.raises(DataError):
        picture(small(image=str(tmp_path)))


def test_content_names_what_is_in_a_file(tmp_path):
    assert content(small()) is None
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        random = np.random.default_rng(seed)
        imsave(path, random.integers(256, size=(8, 8), dtype=np.uint8), check_contrast=False)
    a, b, c = (content(small(image=str(path))) for path in paths)
    assert a == b != c


def test_features_are_sines_and_cosines_of_drawn_frequencies():
    data = small(sigma=3.0)
    phi, at = fourier_features(data, 5), places(data)
    assert at[0].tolist() == [0, 0] and at[-1].tolist() == [1, 1] and at[1].tolist() == [0, 1 / 7]
    assert places(small(coordinates="integer"))[-1].tolist() == [7, 7]
    np.testing.assert_allclose(phi[:, :3] ** 2 + phi[:, 3:] ** 2, 1, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(phi[0], [0, 0, 0, 1, 1, 1])
    # A step along a row turns each pair by the same angle
    turned = (phi[:, 3:] + 1j * phi[:, :3]).reshape(8, 8, 3)
    np.testing.assert_allclose(turned[:, 1:] / turned[:, :-1], np.broadcast_to(turned[0, 1], (8, 7, 3)), atol=1e-13)


def test_frequencies_have_their_standard_deviation_and_scale():
    grids = [small(side=9, features=512, sigma=sigma) for sigma in (0.5, 1.0)]
    angles = [np.angle(fourier_features(data, 1)[[1, 9]] @ _pairs()) for data in grids]
    # One pixel turns by 2 pi B / 8: half a turn, where angles are no longer known, is B = 4, 4 standard deviations of 1
    b = angles[0] / (2 * np.pi) * 8 / 0.5
    assert abs(b.std() - 1) < 5 / np.sqrt(2 * 512) and abs(b.mean()) < 5 / np.sqrt(512)
    np.testing.assert_allclose(angles[1], 2 * angles[0], atol=1e-12)


def _pairs():
    """[sine, cosine] -> cosine + i sine."""
    return np.concatenate([1j * np.eye(256), np.eye(256)])


def test_training_and_held_out_pixels_are_all_pixels_once():
    data = small(held_out_fraction=0.25)
    pack = open_pack([data, data], [3, 4], batch=4, dtype=torch.float64, device=CPU)
    aside = division(data)
    assert aside.sum() == 16 and not np.array_equal(aside, division(small(held_out_fraction=0.25, draw=1)))
    (x, y), (held, of_held) = pack.whole(0), pack.held_out(0)
    assert x.shape == (48, 6) and y.shape == (48, 1)
    phi, levels = np.empty((64, 6)), np.empty(64)
    phi[~aside], phi[aside], levels[~aside], levels[aside] = x, held, y[:, 0], of_held[:, 0]
    np.testing.assert_array_equal(phi, fourier_features(data, 3))
    np.testing.assert_array_equal(levels.reshape(8, 8), picture(data))
    assert torch.equal(pack.whole(1)[1], y) and not torch.equal(pack.whole(1)[0], x)


def test_16_nets_at_once_are_16_times_one_bit_for_bit(monkeypatch):
    specs = [small(sigma=1.0 + seed % 3, features=64, side=32) for seed in range(16)]
    together = open_pack(specs, range(16), batch=9, dtype=torch.float32, device=CPU)
    together.start(0)
    raw = together.draw(2)
    x, y = together.batch(raw, 1)
    for net in reversed(range(16)):
        monkeypatch.setattr(module, "_FEATURES", Recent(0))
        alone = open_pack(specs[net : net + 1], [net], batch=9, dtype=torch.float32, device=CPU)
        alone.start(0)
        own, of_own = alone.batch(alone.draw(2), 1)
        assert torch.equal(own[0], x[net]) and torch.equal(of_own[0], y[net])
        assert torch.equal(alone.whole(0)[0][raw["order"][net, 1]], x[net])
        assert torch.equal(alone.held_out(0)[0], together.held_out(net)[0])
    assert len(together._tables[1].rows) == len(alone.whole(0)[0])  # one image for all


@pytest.mark.parametrize(
    ("more", "dense"), [({}, (23.7, 0.1)), ({"coordinates": "integer", "sigma": 2.0}, (4.6, 0.3))], ids=str
)
def test_how_well_a_dense_linear_model_represents_the_image(more, dense):
    """Pinned, as the picture and numpy's generator are: seeds differ by 0.05 dB, in whole pixels by 0.2."""
    data = ImageCoordinates(**more)
    phi, y = fourier_features(data, 0), picture(data).ravel()
    fit = phi @ np.linalg.lstsq(phi, y, rcond=None)[0]
    assert psnr(y, fit, y.max()) == pytest.approx(dense[0], abs=dense[1])


def test_in_whole_pixels_whole_frequencies_do_not_show():
    data = small(coordinates="integer", sigma=2.0)
    at, frequencies = places(data), 2.0 * module.numbers(3, "design").standard_normal((3, 2))
    assert (abs(frequencies) > 0.5).any()
    phases = 2 * np.pi * at @ (frequencies - frequencies.round()).T
    # Phases of 2 pi 40 turns: 1e-13 is some ten of their roundings
    np.testing.assert_allclose(fourier_features(data, 3), np.hstack([np.sin(phases), np.cos(phases)]), atol=1e-12)
