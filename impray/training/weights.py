"""The weights of a layer of a pack: products with them, forward and backward, and their update.

`Dense` holds a matrix per net, masked after every update. `Sparse` holds the kept weights alone, in one row per net, on which the
optimizer acts; no mask, and a product costs what is kept. Which of the two a net's layer has follows from its own mask, sizes and batch,
by the constants below: never from its neighbours, and never from timing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from impray.kernels import patterns, sparse
from impray.kernels.compiled import lacking
from impray.kernels.laid import turned
from impray.kernels.sparse import Placed, Rows
from impray.nets import layout
from impray.training.shared import Shared
from impray.training.updates import Optimizer, Parameter

SPARSE_BELOW = 0.45
"""Of a matrix, kept: about where both cost the same (Xeon with AVX-512; where MKL has AVX2 alone, it is more)."""
LEAST_NUMBERS = 2**14
"""Of a matrix: below, a pack's batched products are as fast."""
LEAST_BATCH = 8
_LINE = layout.LINE_BYTES // 4


def is_sparse(mask: Tensor | None, like: Tensor, batch: int) -> bool:
    """Whether a net's layer with this mask [unit, input] holds its kept weights alone; like: its matrix."""
    if mask is None or like.dtype != torch.float32 or like.device.type != "cpu":
        return False
    if batch < LEAST_BATCH or mask.numel() < LEAST_NUMBERS or lacking() is not None:
        return False
    return int(np.count_nonzero(mask.numpy())) < SPARSE_BELOW * mask.numel()


class KeptRows:
    """Kept weights of each net in one row, in the order of the places given; then zeros up to a whole cache line.

    Attributes: room: numbers in a row.
    """

    def __init__(self, kept: Sequence[Shaped[np.ndarray, " _"]]) -> None:
        """kept: of each net, where its kept weights lie in its matrix."""
        self.room = -(-max(1, *map(len, kept)) // _LINE) * _LINE
        self._places = [torch.from_numpy(places) for places in kept]

    def taken(self, value: Shaped[Tensor, "net unit input"]) -> Shaped[Tensor, "net room"]:
        """The kept numbers of matrices, each net's on a cache line."""
        rows = layout.zeros(value, len(value), self.room)
        for row, of_net, places in zip(rows, value, self._places, strict=True):
            row[: len(places)] = of_net.reshape(-1)[places]
        return rows

    def matrices(self, rows: Float[Tensor, "net room"], units: int, inputs: int) -> Float[Tensor, "net unit input"]:
        """The other way; pruned weights are 0."""
        whole = rows.new_zeros(len(rows), units * inputs)
        for matrix, row, places in zip(whole, rows, self._places, strict=True):
            matrix[places] = row[: len(places)]
        return whole.view(-1, units, inputs)


class Dense:
    """Matrices [net, unit, input] as they are.

    Attributes: shape: nets, units, inputs. like: their dtype and device. inputs_first: whether inputs should lie [net, input, sample]
    in memory.
    """

    inputs_first = False

    def __init__(self, value: Float[Tensor, "net unit input"], mask: Tensor | None, optimizer: Optimizer) -> None:
        copied = None if mask is None else layout.copied(mask)
        self._parameter = optimizer.parameter(layout.copied(value), copied, decays=True)
        self.shape, self.like = tuple(value.shape), value.new_empty(0)
        self._shared: Shared | None = None

    def share(self, of_nets: Shared | None) -> None:
        """h is [stream, input, sample] from now on; None: of each net. All else is of each net."""
        self._shared = of_nets

    def forward(
        self, h: Float[Tensor, "stream input sample"], bias: Parameter | None, out: Float[Tensor, "net unit sample"]
    ) -> Tensor:
        """W h + b, in `out`; h is kept for `move`."""
        self._h = h
        value, start = self._parameter.value, None if bias is None else bias.value
        if self._shared is None:
            return _product(value, h, start, out)
        for run in self._shared.runs:
            _product(run.own(value), run.read(h), None if start is None else run.own(start), run.own(out))
        return out

    def backward(self, delta: Float[Tensor, "net unit sample"], out: Float[Tensor, "net input sample"]) -> None:
        """W^T delta, in `out`."""
        torch.bmm(self._parameter.value.mT, delta, out=out)

    def move(
        self, delta: Float[Tensor, "net unit sample"], out: Float[Tensor, "net input sample"] | None = None
    ) -> None:
        """An update by delta h^T, the gradient times the optimizer's factor; before it, where `out` is given, `backward`."""
        if out is not None:
            self.backward(delta, out)
        self._parameter.ready()
        sink, turned_h = self._parameter.sink, self._h.mT
        if self._shared is None:
            sink.baddbmm_(delta, turned_h)
        else:
            for run in self._shared.runs:
                run.own(sink).baddbmm_(run.own(delta), run.read(turned_h))
        self._parameter.moved()

    def value(self) -> Float[Tensor, "net unit input"]:
        """The matrices; a view."""
        return self._parameter.value


def _product(value: Tensor, h: Tensor, start: Tensor | None, out: Tensor) -> Tensor:
    """W h + b, in `out`."""
    return torch.bmm(value, h, out=out) if start is None else torch.baddbmm(start, value, h, out=out)


class Sparse:
    """Kept weights (`KeptRows`), each net's in the order of its `impray.kernels.patterns.Pattern`."""

    inputs_first = True

    def __init__(
        self,
        value: Float[Tensor, "net unit input"],
        mask: Float[Tensor, "net unit input"],
        optimizer: Optimizer,
        batch: int,
        slopes: bool = True,
    ) -> None:
        """slopes: whether those of the inputs are asked for."""
        nets, units, inputs = self.shape = tuple(value.shape)
        self.like = value.new_empty(0)
        found = [patterns.pattern(of_net.numpy(), batch, slopes) for of_net in mask]
        self._kept = KeptRows([one.flat for one in found])
        # The kernels read the rows where they lie: what a parameter holds stays there.
        self._parameter = optimizer.parameter(self._kept.taken(value), None, decays=True)
        self._weights, self._sink = layout.flat(self._parameter.value), layout.flat(self._parameter.sink)
        # What comes without slopes is a batch, which is laid out anew in any case.
        apart = batch if slopes else patterns.lined(batch)
        self._products = sparse.Products(found, (units, inputs), batch, self._kept.room, apart)
        self._laid = Laid(value, nets, batch, inputs, apart)
        self._shared: _OfStreams | None = None
        self._views: dict[tuple[int, int], tuple[Tensor, Rows]] = {}

    def share(self, of_nets: Shared | None) -> None:
        """As `Dense.share`."""
        self._shared = None if of_nets is None else _OfStreams(of_nets)
        streams = self.shape[0] if self._shared is None else len(self._shared.streams)
        self._laid = self._laid.for_nets(streams)

    def forward(
        self, h: Float[Tensor, "stream input sample"], bias: Parameter | None, out: Float[Tensor, "net unit sample"]
    ) -> Tensor:
        """As `Dense.forward`."""
        self._h = self._laid(h) if self._shared is None else self._shared.placed(self._laid, h)
        start = None if bias is None else self._rows(bias.value)
        self._products.forward(self._weights, start, self._h, self._rows(out))
        return out

    def backward(self, delta: Float[Tensor, "net unit sample"], out: Float[Tensor, "net input sample"]) -> None:
        """As `Dense.backward`."""
        self._products.backward(self._weights, self._rows(delta), self._rows(out))

    def move(
        self, delta: Float[Tensor, "net unit sample"], out: Float[Tensor, "net input sample"] | None = None
    ) -> None:
        """As `Dense.move`."""
        g, products = self._rows(delta), self._products
        if out is not None and self._parameter.keeps_value:
            self._parameter.ready()
            products.backward_and_gradient(self._weights, self._sink, self._h, g, self._rows(out))
        else:
            if out is not None:
                self.backward(delta, out)
            self._parameter.ready()
            products.gradient(self._sink, self._h, g)
        self._parameter.moved()

    def value(self) -> Float[Tensor, "net unit input"]:
        """The matrices, pruned weights 0; made anew."""
        return self._kept.matrices(self._parameter.value, *self.shape[1:])

    def _rows(self, x: Float[Tensor, "net row sample"]) -> Rows:
        """What kernels read, remembered: all but a batch's inputs lie where they lay in the last step."""
        key = x.data_ptr(), x.stride(0)
        if key not in self._views:
            if len(self._views) == 8:
                self._views.clear()
            self._views[key] = x, as_rows(x)
        return self._views[key][1]


class _OfStreams:
    """Batches that nets share, as kernels read them.

    Attributes: streams: those that some net has.
    """

    def __init__(self, of_nets: Shared) -> None:
        self._of_net = np.array(of_nets.stream_of_net)
        streams, self._place = np.unique(self._of_net, return_inverse=True)
        self.streams: list[int] = streams.tolist()

    def placed(self, laid: Laid, h: Float[Tensor, "stream input sample"]) -> Placed:
        """Where they lie, or copied, each stream once; laid: for `streams`."""
        if laid.lies(h) or len(self.streams) == len(h):
            rows, places = laid(h), self._of_net
        else:
            rows, places = laid.of(h, self.streams), self._place
        return Placed(rows.numbers, rows.apart * places)


def as_rows(x: Float[Tensor, "net row sample"]) -> Rows:
    return Rows(layout.flat(x), 0 if x.shape[0] == 1 else x.stride(0))


class Laid:
    """Batches with their samples side by side, [net, input, sample], as kernels read them."""

    def __init__(self, like: Tensor, nets: int, batch: int, inputs: int, apart: int | None = None) -> None:
        """apart: from one input to the next, None: as many numbers as there are samples."""
        self._apart = batch if apart is None else apart
        self._laid = layout.empty(like, nets, inputs, self._apart)
        self._rows = as_rows(self._laid)

    def for_nets(self, nets: int) -> Laid:
        """The same for so many."""
        held, inputs, apart = self._laid.shape
        return self if held == nets else Laid(self._laid, nets, apart, inputs)

    @staticmethod
    def as_it_is(h: Float[Tensor, "net input sample"]) -> bool:
        """Whether a batch has its samples side by side: then it is read where it lies, if rows may be `batch` apart."""
        return h.stride()[1:] == (h.shape[2], 1)

    def lies(self, h: Float[Tensor, "net input sample"]) -> bool:
        """Whether a batch is read where it lies."""
        return self._apart == h.shape[2] and self.as_it_is(h)

    def __call__(self, h: Float[Tensor, "net input sample"]) -> Rows:
        """As they are, or copied; once where all nets have the same."""
        one = h.stride(0) == 0 or len(h) == 1
        if self.lies(h):
            span = (len(h) - 1) * h.stride(0) + h.shape[1] * h.shape[2]
            return Rows(h.as_strided((span,), (1,)).numpy(), 0 if one else h.stride(0))
        self._put(h[:1] if one else h, 0)
        return Rows(self._rows.numbers, 0) if one else self._rows

    def of(self, h: Float[Tensor, "stream input sample"], streams: Sequence[int]) -> Rows:
        """These, copied, one after the other."""
        for place, stream in enumerate(streams):
            self._put(h[stream : stream + 1], place)
        return self._rows

    def _put(self, h: Float[Tensor, "net input sample"], place: int) -> None:
        nets, inputs, batch = h.shape
        if self.as_it_is(h):
            self._laid[place : place + nets, :, :batch].copy_(h)
            return
        given, (numbers, apart) = h.mT, self._rows
        if not given[0].is_contiguous():
            given = given.contiguous()
        out = Rows(numbers[place * apart :], apart)
        turned(Rows(layout.flat(given), given.stride(0)), batch, inputs, out, nets, self._apart)


Weights = Dense | Sparse
