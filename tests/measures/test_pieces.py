"""Laws of the connected pieces."""

import pytest
import torch

from impray.measures.pieces import pieces
from impray.spec.errors import ShapeError

torch.set_num_threads(1)


def by_flooding(mask: torch.Tensor, shape: tuple[int, int, int], neighbours: int) -> tuple[float, float]:
    """Piece after piece, each from one of its inputs on, over pairs of inputs that touch."""
    left = [tuple(place) for place in mask.reshape(shape).nonzero().tolist()]
    sizes = []
    while left:
        front, piece = [left.pop()], 1
        while front:
            here = front.pop()
            for place in list(left):
                row, col = abs(place[1] - here[1]), abs(place[2] - here[2])
                if max(row, col) <= 1 if neighbours == 8 else row + col <= 1:
                    left.remove(place)
                    front.append(place)
                    piece += 1
        sizes.append(piece)
    return len(sizes), max(sizes) / sum(sizes)


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("shape", [(1, 7, 9), (3, 5, 4)])
@pytest.mark.parametrize("density", [0.1, 0.4, 0.9])
def test_they_are_those_that_flooding_finds(shape, density, neighbours):
    inputs = torch.Size(shape).numel()
    masks = torch.rand(40, inputs, generator=torch.Generator().manual_seed(1)) < density
    masks[:, 0] = True
    count, largest = pieces(masks, shape, neighbours)
    assert list(zip(count.tolist(), largest.tolist(), strict=True)) == [
        by_flooding(mask, shape, neighbours) for mask in masks
    ]


def test_a_checkerboard_is_one_piece_by_its_corners_and_dust_by_its_sides():
    board = (torch.arange(6)[:, None] + torch.arange(6)) % 2 == 0
    assert [float(each) for each in pieces(board.flatten(), (6, 6))] == [1, 1]
    assert [float(each) for each in pieces(board.flatten(), (6, 6), 4)] == [18, 1 / 18]


def test_moved_turned_and_mirrored_masks_have_the_same_pieces():
    mask = torch.zeros(9, 9, dtype=torch.bool)
    mask[:5, :5] = torch.rand(5, 5, generator=torch.Generator().manual_seed(2)) < 0.4
    moved = [mask, mask.T, mask.flip(0), mask.flip(1), mask.roll((4, 2), (0, 1))]
    count, largest = pieces(torch.stack(moved).flatten(1), (9, 9))
    assert count.unique().numel() == largest.unique().numel() == 1


def test_borders_are_open_and_the_next_unit_is_another_image():
    ends = torch.zeros(2, 3, 4, dtype=torch.bool)
    ends[0, 1, 0] = ends[0, 1, 3] = ends[0, 2, 3] = ends[1, 0, 3] = True
    count, largest = pieces(ends.flatten(1), (3, 4))
    assert count.tolist() == [2, 1] and largest.tolist() == [2 / 3, 1]


def test_channels_lie_in_one_plane():
    mask = torch.zeros(3, 4, 4)
    mask[0, 1, 1] = mask[2, 1, 1] = mask[1, 2, 2] = -0.5
    assert [float(each) for each in pieces(mask.flatten(), (3, 4, 4))] == [1, 1]
    assert [float(each) for each in pieces(mask.flatten(), (3, 4, 4), 4)] == [2, 2 / 3]


def test_none_is_nan_and_axes_are_kept():
    masks = torch.zeros(2, 3, 16, dtype=torch.bool)
    masks[:, 1, 7] = True
    for found in pieces(masks, (4, 4)):
        assert found.shape == (2, 3) and found[:, 0].isnan().all() and (found[:, 1] == 1).all()
    assert pieces(masks[:, :0], (4, 4))[0].shape == (2, 0)


def test_a_unit_does_not_depend_on_its_batch():
    masks = torch.rand(70, 3 * 42, generator=torch.Generator().manual_seed(3)) < 0.2
    whole = torch.stack(pieces(masks, (3, 6, 7)))
    for size in (1, 3, 64):
        parts = [torch.stack(pieces(part, (3, 6, 7))) for part in masks.split(size)]
        assert torch.equal(torch.cat(parts, dim=1), whole)


def test_a_wrong_shape_is_an_error():
    with pytest.raises(ShapeError):
        pieces(torch.ones(2, 16), (4, 5))
