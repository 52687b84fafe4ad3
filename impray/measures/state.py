"""What a measure reads: the state of one finished round, for the lineages of a pack that are to be measured."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from impray.measures.passes import Passes
from impray.nets.base import Layer, Network, Params
from impray.spec.data import Stimulus
from impray.spec.measure import Course, MeasureSpec
from impray.spec.trial import Trial


@dataclass(frozen=True)
class RemovalOrder:
    """The weights of one net that have gone so far, the first one first.

    features: int64 [removal], places in the single layer's weight vector. weights: float64 [removal], each one's at the end of the round
    before it went. rounds: int64 [removal], the round whose mask first lacks it. Those that go in one round are in the order of what
    the method ranks. dense: float64 [feature], the weights at the end of round 0.
    """

    features: np.ndarray
    weights: np.ndarray
    rounds: np.ndarray
    dense: np.ndarray


@dataclass
class RoundState:
    """One round of `nets` lineages. Tensors have a leading `net` axis, and the names that the network gives them.

    masks holds pruned parameters only, bool; start is theta(rewind) * mask, end the trained weights (None where no measure reads
    them); held_out(net) gives inputs [sample, input] and labels [sample] (real targets:
    [sample, output]). Measures ask for layers, by their numbers from 1.
    """

    round: int
    network: Network
    masks: Params
    start: Params
    end: Params | None
    end_stats: Params | None
    held_out: Callable[[int], tuple[Tensor, Tensor]]
    loss: str
    trials: Sequence[Trial] = ()  # of each net
    course: Callable[[Course], list[list[dict]]] | None = None  # records rows of the round's time course, per net
    whole: Callable[[int], tuple[Tensor, Tensor]] | None = None  # of a net: the training set, as `PackData.whole`
    truth: Callable[[int], Mapping[str, Tensor]] | None = (
        None  # of a net: the weights that made its targets, as `PackData.truth`
    )
    pruned: Callable[[], tuple[Params, Params]] | None = (
        None  # gives the end weights of the round before times `masks`, and their statistics; None: there was no such training
    )
    orders: Sequence[RemovalOrder | None] = ()  # of each net, where it was solved and its masks nest
    facts: Sequence[Mapping[str, int | float | bool]] = ()  # of each net, what its solver says of itself
    held: Callable[[int], int | None] | None = (
        None  # of a net: the bytes that its training held beside inputs and targets; None of either: unknown, or not trained
    )
    problems: Sequence[Hashable] = ()  # of each net, what its data are known by: nets with equal ones have the same
    of_data: dict = field(
        default_factory=dict
    )  # what measures made of problems' data alone; one for all rounds of a pack
    measures: Sequence[MeasureSpec] = ()  # that are to read it: what several of them need is made once
    passes: Passes = field(
        default_factory=Passes, init=False
    )  # of `start` and `end` as they are: another state has its own

    def by_problem(self) -> Iterator[list[int]]:
        """The nets of each problem: those with the same data, so that what depends on these alone is made once."""
        nets: dict[Hashable, list[int]] = {}
        for net, problem in enumerate(self.problems or range(self.nets)):
            nets.setdefault(problem, []).append(net)
        yield from nets.values()

    def once(self, make: Callable[..., Any], net: int, *given: Hashable) -> Any:
        """make(phi [sample, feature], y [sample], *given) of a net's training set, of each problem once in all rounds of a pack."""
        key = make, self.problems[net] if self.problems else net, *given
        if key not in self.of_data:
            self.of_data[key] = make(*self.training_set(net), *given)
        return self.of_data[key]

    def training_set(self, net: int) -> tuple[np.ndarray, np.ndarray]:
        """phi [sample, feature] and the one target y [sample] of each, or its label, float64.

        Copies: products round by where a matrix starts (`impray.nets.layout`).
        """
        assert self.whole is not None, "a measure that reads `whole` is of data that offer it"
        return _of_one_target(*self.whole(net))

    def held_out_set(self, net: int) -> tuple[np.ndarray, np.ndarray]:
        """As `training_set`, held out."""
        return _of_one_target(*self.held_out(net))

    def true_matrix(self, net: int) -> np.ndarray:
        """The first layer's weights [unit, input] of what made the targets, float64."""
        assert self.truth is not None, "a measure that reads `truth` is of data that offer it"
        return self.truth(net)[self.layers[0].weight].detach().cpu().double().numpy()

    def true_weights(self, net: int) -> np.ndarray:
        """The weights [feature] that made the target of a linear model, float64."""
        return self.true_matrix(net)[0]

    @property
    def nets(self) -> int:
        return len(self.start[self.layers[0].weight])

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All of them; the last one is the output layer."""
        return self.network.layers

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """All but the output layer, unless it is the only one."""
        return self.layers[:-1] or self.layers

    @property
    def input_shape(self) -> tuple[int, ...]:
        """How the inputs of a first-layer unit lie: (input,), (row, col) or (channel, row, col)."""
        return self.layers[0].input_shape

    @property
    def data_shape(self) -> tuple[int, ...]:
        """How the data's inputs lie; a first layer that is moved over them has another `input_shape`."""
        return self.trials[0].data.input_shape if self.trials else self.input_shape

    def fresh(self, net: int) -> bool:
        """Whether every held-out sample was drawn for itself: a stimulus's are, those of a data set may be the same one twice."""
        return bool(self.trials) and isinstance(self.trials[net].data, Stimulus)

    def one(self, net: int, at: str) -> tuple[Params, Params | None]:
        """Parameters and batch-norm statistics of one net, its net axis kept: [1, ...].

        Copies: a slice starts anywhere in memory, and products round by where a matrix starts (`impray.nets.layout`).
        """
        params = self.start if at == "start" else self.trained
        stats = self.end_stats if at == "end" and self.end_stats else None
        cut = {name: value[net : net + 1].clone() for name, value in params.items()}
        return cut, {name: value[net : net + 1].clone() for name, value in stats.items()} if stats else None

    @property
    def trained(self) -> Params:
        assert self.end is not None, "a measure that reads `end` makes every network train"
        return self.end

    def weights(self, number: int, at: str) -> Float[Tensor, "net unit input"]:
        """Of a layer, at `start` or `end`."""
        layer = self.layers[number - 1]
        return layer.matrix((self.start if at == "start" else self.trained)[layer.weight])

    def mask(self, number: int) -> Bool[Tensor, "net unit input"]:
        """Of a layer, all ones where that layer is not pruned."""
        layer = self.layers[number - 1]
        if layer.weight in self.masks:
            return layer.matrix(self.masks[layer.weight])
        return torch.ones_like(self.weights(number, "start"), dtype=torch.bool)


def _of_one_target(inputs: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
    of_one = targets if targets.dim() == 1 else targets[:, 0]
    return inputs.detach().cpu().double().clone().numpy(), of_one.detach().cpu().double().clone().numpy()


@dataclass
class Readings:
    """What a measure returns. Everything has a leading net axis; NaN = undefined, a missing column = not measured.

    lineage: column -> [net] (or a list of lists). units: layer -> column -> [net, unit].
    masks: layer -> one (unit, {column: value}) list per net. images: rows of the table `images` of each net, with name and number.
    histograms: rows of the table `histograms` of each net, with layer and name. weights: layer -> column -> [net, unit, input],
    NaN where a weight has none; kept, and joined to each weight's fate when the lineage ends. steps: rows of the table `steps` of each
    net. removals: rows of the table `removals` of each net, all up to this round, with removal (from 1) and round.
    """

    lineage: dict[str, Tensor | list] = field(default_factory=dict)
    units: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    masks: dict[int, list[list[tuple[int, dict]]]] = field(default_factory=dict)
    images: list[list[dict]] = field(default_factory=list)
    histograms: list[list[dict]] = field(default_factory=list)
    weights: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    steps: list[list[dict]] = field(default_factory=list)
    removals: list[list[dict]] = field(default_factory=list)


def image(values: Tensor, name: str, number: int, value: float | None = None) -> dict:
    """A row of the table `images`: values [row, col] or [channel, row, col], stored as little-endian 32-bit floats."""
    plain = values.detach().cpu().to(torch.float32).contiguous().numpy().astype("<f4")
    return {"name": name, "number": number, "values": plain.tobytes(), "shape": list(values.shape), "value": value}
