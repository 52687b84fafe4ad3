"""Mask pictures: bits to images, neighbours against chance, which seed and round are shown."""

import common
import masks
import numpy as np
import pytest
from matplotlib.figure import Figure

from impray.spec.errors import DataError

BLEND = "data.gaussian_blend"
SPOT = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
APART = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]], dtype=bool)


def stored(blend: float, method: str, kept: np.ndarray, *, unit: int = 0, seed: int = 0, round: int = 2) -> dict:
    return {
        "lineage": f"{blend}-{method}-{seed}",
        "round": round,
        "method": method,
        "seed": seed,
        "layer": 1,
        "unit": unit,
        BLEND: blend,
        "fan_in": int(kept.sum()),
        "bits": np.packbits(kept).tobytes(),
        "shape": list(kept.shape),
    }


def test_a_spot_touches_and_chance_is_one():
    # 4 of 16 kept, 24 edges: 4 * 16 * 15 / (24 * 4 * 3) = 10/3; with all kept it is 1.
    assert masks.touching(SPOT[None]) == pytest.approx(10 / 3)
    assert masks.touching(APART[None]) == 0
    assert masks.touching(np.ones((3, 4, 5), dtype=bool)) == pytest.approx(1)
    assert np.isnan(masks.touching(np.zeros((1, 4, 4), dtype=bool)))


def test_pictures_come_back_from_bits():
    for kept in (SPOT, np.stack([SPOT, APART, ~SPOT]), np.ones((3, 5), dtype=bool)):
        shape = "x".join(map(str, kept.shape))
        found = masks.picture(np.packbits(kept).tobytes().hex(), shape)
        np.testing.assert_array_equal(found, kept if kept.ndim == 3 else kept[None])


def test_table_takes_ends_last_common_round_one_seed_and_sorts_by_fan_in(lazy):
    more = SPOT.copy()
    more[3, 3] = True
    rows = [stored(0.0, "imp", SPOT, unit=0), stored(0.0, "imp", more, unit=7), stored(0.4, "imp", SPOT)]
    rows += [stored(1.0, "imp", APART), stored(0.0, "imp", APART, round=9), stored(0.0, "imp", APART, seed=1)]
    found = masks.table(lazy(rows), [BLEND])
    assert found.select("x", "place", "unit", "fan_in", "round", "seed").rows() == [
        ("0", 0, 7, 5, 2, 0),
        ("0", 1, 0, 4, 2, 0),
        ("1", 0, 0, 4, 2, 0),
    ]


def test_text_says_which_inputs_have_the_compact_masks(lazy):
    def told(data: np.ndarray, clone: np.ndarray) -> str:
        return masks.text(masks.table(lazy([stored(0.0, "imp", data), stored(1.0, "imp", clone)]), [BLEND]))

    assert "are more compact at the least Gaussian end (3.33) than at the most Gaussian (0.00)" in told(SPOT, APART)
    assert "no more compact" in told(APART, SPOT) and "the reverse of Fig. 3B" in told(APART, SPOT)


def test_colour_and_grey_mosaics():
    grey = masks.mosaic([SPOT[None]])
    assert grey.shape == (3 * 5 + 1, 8 * 5 + 1, 3)
    np.testing.assert_array_equal(grey[1:5, 1:5, 0], SPOT)
    colour = masks.mosaic([np.stack([SPOT, APART, ~SPOT])])
    np.testing.assert_array_equal(colour[1:5, 1:5, 1], APART)


def test_flat_masks_and_absent_rounds_are_refused(lazy):
    with pytest.raises(DataError, match="is an image"):
        masks.table(lazy([stored(0.0, "imp", SPOT.reshape(16))]), [BLEND])
    with pytest.raises(DataError, match="there are masks of round 2"):
        masks.table(lazy([stored(0.0, "imp", SPOT)]), [BLEND], round=5)


def test_a_sweep_without_masks_is_told_so(lineage_row, folder):
    with pytest.raises(DataError, match="has not asked for the measure masks"):
        masks.main(folder([lineage_row(0.0, "imp", 0, 2.0)]))


def test_files_of_a_folder(lineage_row, folder, capsys):
    folder([lineage_row(0.0, "imp", 1, None, status="diverged")])
    out = folder([stored(0.0, method, SPOT) for method in ("imp", "random")] + [stored(1.0, "imp", APART)], "masks")
    masks.main(out)
    assert (out / "figures" / "masks.png").read_bytes().startswith(b"\x89PNG")
    assert "1 lineages of the sweep diverged" in (out / "figures" / "masks.txt").read_text()
    assert isinstance(masks.draw(masks.table(common.rows("masks", out)[0], [BLEND])), Figure)
