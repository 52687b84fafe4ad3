"""Where a step's inputs are made: for streams the same memory in every step, for batches their own."""

import numpy as np
import pytest
import torch
from data.test_stimuli import STIMULI

from impray.data import open_pack
from impray.data.base import select, selected, steps_at_once
from impray.data.room import OfBlock, Room, flat
from impray.spec.training import GRAPH_STEPS

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", STIMULI)
def test_streams_take_one_memory_and_batches_each_their_own(name, dtype):
    spec = STIMULI[name]
    specs = [spec, spec, spec.model_copy(update={"gaussian_blend": 0.5})]
    data = open_pack(specs, [1, 2, 1], batch=21, dtype=dtype, device=CPU)
    data.start(0)
    raw = data.draw(2)
    (first, labels), (second, _) = data.batch(raw, 0), data.batch(raw, 1)
    kept = first.clone()
    lies = set()
    for step, right in [(0, kept), (1, second), (0, kept)]:
        x, targets = data.streams(raw, step)
        lies.add(x.data_ptr())
        assert torch.equal(select(x, data.stream_of_net), right)
    assert len(lies) == 1 and first.data_ptr() not in lies and second.data_ptr() not in lies
    assert torch.equal(first, kept) and torch.equal(targets, labels)
    # Another block: its labels are not those that were seen before.
    later = data.draw(2)
    assert torch.equal(data.streams(later, 0)[1], data.batch(later, 0)[1])
    assert not torch.equal(data.streams(later, 0)[1], labels)


def test_every_stream_begins_on_a_cache_line():
    room = Room(3, 5, 7, torch.empty(0))
    room.numbers[:] = np.arange(len(room.numbers))
    assert room.x[1:, 0, 0].tolist() == [room.apart, 2 * room.apart] and room.apart * 4 % 64 == 0
    assert torch.equal(room.turned, room.x.mT) and room.x[0].is_contiguous()


@pytest.mark.parametrize("slack", [0, 7])
@pytest.mark.parametrize("turned", [True, False])
def test_what_is_selected_lies_as_it_lay(turned, slack):
    """Also where the last stream ends with its memory; each net on a cache line."""
    memory = torch.arange(3 * (35 + slack), dtype=torch.float32).view(3, 35 + slack)[:, slack:]
    x = memory.unflatten(1, (5, 7))
    x = x.mT if turned else x
    found = selected(x, torch.tensor([2, 0, 2, 1]))
    assert torch.equal(found, x[[2, 0, 2, 1]]) and found.stride()[1:] == x.stride()[1:]
    assert not turned or found.stride(0) * 4 % 64 == found.data_ptr() % 64 == 0
    one = x[:1].expand(4, -1, -1)
    assert selected(one, torch.tensor([3, 1])).stride(0) == 0 and torch.equal(
        selected(one, torch.tensor([3, 1])), one[:2]
    )


def test_what_is_made_of_a_block_is_made_once_and_anew_where_it_was_written_to():
    calls = []
    doubled = OfBlock(lambda x: calls.append(1) or 2 * x)
    block, other = torch.arange(6).view(2, 3), torch.ones(2, 3)
    for step in range(3):
        assert torch.equal(doubled(block)[:, step], 2 * block[:, step])
    assert len(calls) == 1
    block.view(-1)[0] = 9  # by way of another tensor, as a CUDA graph's buffers are filled
    assert torch.equal(doubled(block), 2 * block) and torch.equal(doubled(other), 2 * other) and len(calls) == 3
    turned = OfBlock(flat)
    assert turned(block.T).tolist() == [9, 3, 1, 4, 2, 5] and turned(block).base is not None


@pytest.mark.parametrize("wanted", [0, 1, 15, 16, 37, 64, 1000])
def test_a_block_on_a_gpu_is_whole_graphs(wanted):
    here, there = (steps_at_once(wanted, 64, torch.device(name)) for name in ("cpu", "cuda"))
    assert here == min(max(wanted, 1), 64)
    assert there % GRAPH_STEPS == 0 and GRAPH_STEPS <= there <= 64 and here - there < GRAPH_STEPS
