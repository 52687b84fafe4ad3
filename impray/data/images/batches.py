"""Batches for the nets of a pack. Stream: `order`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import (
    Ordered,
    Raw,
    Streams,
    distinct,
    gathered,
    select,
    selection,
    steps_at_once,
    view_selection,
)
from impray.data.images.blended import added_clone, blend_factors
from impray.data.images.gathered import CloneImages, NaturalImages
from impray.data.images.kept import clone_key, natural_key, opened_images, training_key
from impray.data.images.one_pass import OnePass, batch_of, in_one_pass
from impray.data.images.samples import held_out
from impray.spec.data import FileData
from impray.spec.training import GRAPH_STEPS

_NUMBERS = 2**14  # places drawn per seed and call
_LONGEST_BLOCK = 256
_SENT_BYTES = 2**26  # of rows sent to a device at once; a step's, where these are more
_MOST_SENT_BYTES = 2**28  # or a CUDA graph's, up to so many
_HELD_OUT_BYTES = 2**30  # held-out inputs that a pack keeps; more are made again when asked for


@dataclass(frozen=True)
class _Share:
    """What one clone adds to those recipes of a part that have it."""

    source: CloneImages
    recipes: Int[Tensor, " own"] | None  # which of the part; None: all
    order: Int[Tensor, " own"] | None  # the order of each, among the part's; None: in turn
    factors: tuple[Float[Tensor, "own 1 1"], Float[Tensor, "own 1 1"]]

    def add_to(
        self,
        x: Float[Tensor, "recipe sample input"],
        places: Int[Tensor, "order sample"],
        labels: Int[Tensor, "order sample"],
        sent: Tensor | None,
    ) -> None:
        clones, means = self.source.rows(places, labels, sent)
        means = None if means is None else select(means, self.order)
        added = added_clone(select(clones, self.order), means, *self.factors)
        if self.recipes is None:
            x.add_(added)
        else:
            x.index_add_(0, self.recipes, added)


@dataclass(frozen=True)
class _Part:
    """Recipes whose batches are made together."""

    source: NaturalImages
    orders: Int[Tensor, " order"]  # among all
    order: Int[Tensor, " recipe"] | None  # of each recipe, among the part's; None: in turn
    factor: Float[Tensor, "recipe 1 1"]
    shares: tuple[_Share, ...]

    @property
    def sources(self) -> list[NaturalImages | CloneImages]:
        return [self.source, *(share.source for share in self.shares)]

    def sent(self, places: Int[Tensor, "all_orders step sample"]) -> Iterator[tuple[int, Tensor]]:
        """Rows of the sources, by their places among `sources`, whose files stay on the host."""
        for place, source in enumerate(self.sources):
            if source.sent:
                yield place, source.sent_rows(places.index_select(0, self.orders.cpu()))

    def read(
        self, order: Int[Tensor, "all_orders sample"], sent: Mapping[int, Tensor]
    ) -> tuple[Float[Tensor, "recipe sample input"], Int[Tensor, "recipe sample"]]:
        """See `added_clone`; where b = 0, x exactly as it was. sent: of this step."""
        places = order.index_select(0, self.orders)
        labels = self.source.labels(places)
        x = select(self.source.rows(places, labels, sent.get(0)), self.order)
        if self.shares:
            x.mul_(self.factor)
        for place, share in enumerate(self.shares, start=1):
            share.add_to(x, places, labels, sent.get(place))
        return x, select(labels, self.order)


Recipe = tuple[int, FileData]
"""An order and a training key: nets that share both have the same batches, made once."""


class ImagesPack(Streams, Ordered):
    """Batches drawn with replacement from the training images of the classes kept. Stream: `order`."""

    def __init__(
        self,
        specs: Sequence[FileData],
        seeds: Sequence[int],
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.nets, self.inputs, self.classes = len(specs), specs[0].inputs, specs[0].classes
        self.block = steps_at_once(_NUMBERS // batch, _LONGEST_BLOCK, device)
        self._specs, self._batch, self._dtype, self._device = specs, batch, dtype, device
        self._held_out: dict[FileData, tuple[Tensor, Tensor]] = {}
        # Lineages of one seed see the same images at the same step.
        sizes = {spec: len(opened_images(spec).labels) for spec in set(specs)}
        self._orders, order_of_net = distinct([(seed, sizes[s]) for s, seed in zip(specs, seeds, strict=True)])
        keys = [training_key(spec) for spec in specs]
        recipes, recipe_of_net = distinct(list(zip(order_of_net, keys, strict=True)))
        groups = self._groups(recipes)
        self._natural: dict[FileData, NaturalImages] = {}
        self._clones: dict[FileData, CloneImages] = {}
        self._parts = [self._part([recipes[place] for place in group]) for group in groups]
        made = [place for group in groups for place in group]
        self._places = [made.index(recipe) for recipe in recipe_of_net]
        self.stream_of_net = view_selection(self._places, len(made), device)
        sent = sum(
            len(part.orders) * batch * source.bytes_of_row
            for part in self._parts
            for source in part.sources
            if source.sent
        )
        self._sends = sent > 0
        if self._sends:
            few = max(1, _SENT_BYTES // sent)
            whole = GRAPH_STEPS * sent <= _MOST_SENT_BYTES
            self.block = steps_at_once(few, self.block, device) if whole else min(few, self.block)
        self._like = torch.empty(0, dtype=dtype, device=device)
        self._one_pass: list[tuple[int, OnePass]] | None = None
        if not self._sends and in_one_pass(self.inputs, dtype, device):
            self._one_pass = [self._recipe(*recipes[place]) for place in made]

    def _recipe(self, order: int, key: FileData) -> tuple[int, OnePass]:
        b = key.gaussian_blend
        clone = self._clones[_of_all_blends(key)] if b > 0 else None
        return order, OnePass(self._natural[natural_key(key)], clone, blend_factors(b))

    def _groups(self, recipes: Sequence[Recipe]) -> list[list[int]]:
        """On the CPU the recipes of one order: few enough for its cache. On CUDA all of a source: few launches."""
        by = [(natural_key(key), order if self._device.type == "cpu" else 0) for order, key in recipes]
        kinds, kind_of = distinct(by)
        return [[place for place, kind in enumerate(kind_of) if kind == wanted] for wanted in range(len(kinds))]

    def _part(self, recipes: Sequence[Recipe]) -> _Part:
        natural = natural_key(recipes[0][1])
        if natural not in self._natural:
            self._natural[natural] = NaturalImages(natural, self._dtype, self._device)
        source = self._natural[natural]
        orders, order_of = distinct([order for order, _ in recipes])
        clones = distinct([clone_key(key) for _, key in recipes if key.gaussian_blend > 0])[0]
        factor, _, _ = self._factors([key for _, key in recipes])
        return _Part(
            source=source,
            orders=torch.tensor(orders, device=self._device),
            order=selection(order_of, len(orders), self._device),
            factor=factor,
            shares=tuple(self._share(clone, recipes, order_of, source) for clone in clones),
        )

    def _share(
        self, clone: FileData, recipes: Sequence[Recipe], order_of: Sequence[int], source: NaturalImages
    ) -> _Share:
        blended = [key.gaussian_blend > 0 and clone_key(key) == clone for _, key in recipes]
        own = [place for place, is_own in enumerate(blended) if is_own]
        keys = [recipes[place][1] for place in own]
        _, of_clone, of_mean = self._factors(keys)
        asked = _of_all_blends(keys[0])
        if asked not in self._clones:
            self._clones[asked] = CloneImages(asked, source.units, self._device)
        return _Share(
            source=self._clones[asked],
            recipes=selection(own, len(recipes), self._device),
            order=selection([order_of[place] for place in own], len(set(order_of)), self._device),
            factors=(of_clone, of_mean),
        )

    def _factors(self, keys: Sequence[FileData]) -> Float[Tensor, "3 recipe 1 1"]:
        factors = torch.tensor([blend_factors(key.gaussian_blend) for key in keys], dtype=torch.float64)
        return factors.to(dtype=self._dtype, device=self._device).T[:, :, None, None]

    def draw(self, steps: int) -> Raw:
        """See `PackData.draw`: the places and, where a table's rows stay on the host, those of these steps, as they are stored."""
        return self._with_rows(self._chosen(steps, torch.device("cpu") if self._sends else self._device))

    def _with_rows(self, places: Int[Tensor, "order step sample"]) -> Raw:
        raw = {"order": places.to(self._device)}
        if not self._sends:
            return raw
        places = places.cpu()
        for number, part in enumerate(self._parts):
            raw |= {_sent(number, place): rows for place, rows in part.sent(places)}
        return raw

    def streams(self, raw: Raw, step: int) -> tuple[Float[Tensor, "recipe sample input"], Int[Tensor, "net sample"]]:
        if self._one_pass:
            order = raw["order"][:, step]
            room = self.room(len(self._one_pass), order.shape[1], self.inputs, self._like)
            x, labels = batch_of(self._one_pass, order, room)
        else:
            x, labels = (torch.cat(parts) for parts in zip(*self._read(raw, step), strict=True))
        return x, select(labels, self.stream_of_net)

    def lent(self, raw: Raw, step: int) -> tuple[Float[Tensor, "net sample input"], Int[Tensor, "net sample"]]:
        if self._one_pass or len(self._parts) == 1:
            return super().lent(raw, step)
        # Each net's at once, not by way of all recipes.
        read = [pair for x, labels in self._read(raw, step) for pair in zip(x, labels, strict=True)]
        x, labels = (torch.stack(of_nets) for of_nets in zip(*(read[place] for place in self._places), strict=True))
        return x, labels

    def _read(
        self, raw: Raw, step: int
    ) -> list[tuple[Float[Tensor, "recipe sample input"], Int[Tensor, "recipe sample"]]]:
        """Each part's batches, in torch's passes."""
        read = []
        for number, part in enumerate(self._parts):
            names = {place: _sent(number, place) for place in range(len(part.sources))}
            sent = {place: raw[name][:, step] for place, name in names.items() if name in raw}
            read.append(part.read(raw["order"][:, step], sent))
        return read

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        spec = self._specs[net]
        if spec not in self._held_out:
            if sum(x.nbytes for x, _ in self._held_out.values()) > _HELD_OUT_BYTES / 2:
                self._held_out.clear()
            self._held_out[spec] = held_out(spec, self._dtype, self._device)
        return self._held_out[spec]

    def whole(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        spec = self._specs[net]
        alone = ImagesPack([spec], [0], batch=1, dtype=self._dtype, device=self._device)
        return gathered(alone, len(opened_images(spec).labels), self._device, alone._with_rows)


def _of_all_blends(key: FileData) -> FileData:
    """What a clone's share is known by, whatever the blend."""
    return key.model_copy(update={"gaussian_blend": 1.0})


def _sent(part: int, source: int) -> str:
    """The name of rows that were sent, in `Raw`."""
    return f"rows {part} {source}"
