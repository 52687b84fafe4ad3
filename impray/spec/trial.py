"""A trial (one point of all axes) and a lineage (one network's chain of rounds), with the ids that name them on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic.json_schema import SkipJsonSchema

from impray.spec import families
from impray.spec.base import Spec, canonical
from impray.spec.counts import MOST_ROUNDS, rounds_in_floats, share
from impray.spec.data import DataSpec, Stimulus
from impray.spec.families import Data, Method, Net, Training, rule_of
from impray.spec.family import Member, embeds
from impray.spec.nets import Kernel, LinearNet, Mlp
from impray.spec.prune import Prune
from impray.spec.rules import RuleSpec
from impray.spec.training import ClosedForm, Sgd, StepsSpec

Device = Literal["cpu", "cuda"]
ENGINE, DRAWS = 3, 2
"""Which generation of the engine makes the numbers of trials that are trained by updates; and of others, on stimuli."""
# What a training can need of data (`TrainingSpec.needs`), in words.
_NEEDED = {
    "batches": "batches drawn anew",
    "whole": "the whole of a finite training set",
    "truth": "the weights that made the targets",
}


class ImpossibleTrial(ValueError):
    """Fields that are fine one by one but cannot be together: (path below `trial`, what would be right) of each."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        super().__init__(" | ".join(f"{path}: {why}" for path, why in pairs))


@embeds
class Trial(Spec):
    """Everything that decides a network's numbers but its method and seed."""

    data: Annotated[Data, Field(description="the inputs and their targets: a stimulus, photographs, files of your own")]
    net: Annotated[Net, Field(description="the network that is pruned")] = Mlp()
    train: Annotated[Training, Field(description="how it is trained in each round")] = Sgd()
    prune: Annotated[
        Prune, Field(description="how much goes in each round, of which layers, and where to the rest is rewound")
    ] = Prune()
    device: SkipJsonSchema[Device] = "cpu"
    """What makes its numbers: samples and sums of a GPU are not those of a CPU to the last bit. It follows from `resources.gpu`."""

    following: ClassVar[frozenset[str]] = frozenset({"device"})

    @model_serializer(mode="wrap")
    def _said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the device where it is the CPU: as versions before 0.10.0 wrote trials, and read them."""
        written = handler(self)
        return written if self.device != "cpu" else {name: part for name, part in written.items() if name != "device"}

    @model_validator(mode="after")
    def _possible(self) -> Trial:
        wrong = list(self.impossible())
        if wrong:
            raise ImpossibleTrial(wrong)
        return self

    def on(self, device: Device) -> Trial:
        """This trial, whose numbers another device makes."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_construct(self.model_fields_set | {"device"}, **{**fields, "device": device})

    def impossible(self) -> list[tuple[str, str]]:
        """(path, what would be right) of every combination that cannot be."""
        if self.described:
            return []
        wrong = []
        prune, train, net = self.prune, self.train, self.net
        if prune.rewind_step > train.length:
            wrong.append(("prune.rewind_step", f"must be at most {train.reach()}: it rewinds to a point of round 0"))
        if prune.after_rewind == "remaining" and prune.rewind_step == train.length:
            wrong.append(("prune.after_rewind", f"remaining leaves nothing after {train.reach()}; use full"))
        if isinstance(prune.layers, tuple) and any(layer > self.layers for layer in prune.layers):
            wrong.append(("prune.layers", f"this network has the layers 1 to {self.layers}"))
        if not self.pruned_layers:
            wrong.append(("prune.layers", "hidden leaves nothing to prune in a network without hidden layers; use all"))
        among = set(self.pruned_layers)
        pruned = [kernel for layer, kernel in enumerate(self.kernels, start=1) if layer in among]
        if prune.biases == "ranked" and not all(kernel.bias for kernel in pruned):
            wrong.append(("prune.biases", "this network has no biases (net.bias = false)"))
        labelled = self.data.targets == "classes"
        if labelled and self.outputs == 1 and (train.loss != "mse" or self.data.classes != 2):
            wrong.append(("net.outputs", "a single output takes two classes and train.loss: mse"))
        if not labelled and self.outputs != self.data.classes:
            wrong.append(("net.outputs", f"must be {self.data.classes}, as many as the numbers of a target"))
        of_data = [(f"data.{path}", right) for path, right in self.data.impossible()]
        return [*wrong, *of_data, *self._not_offered(), *net.impossible(self), *train.impossible(self)]

    def _not_offered(self) -> Iterator[tuple[str, str]]:
        """What the training needs of the data, and these data do not have."""
        if self.data.targets == "real" and self.train.loss != "mse":
            yield "train.loss", f"must be mse: {_kind(self.data)} data have real targets, not classes"
        for need in sorted(self.train.needs - self.data.offers):
            having = ", ".join(_kind(kind) for kind in families.data.specs if need in kind.offers)
            yield (
                "train.optimizer",
                f"needs {_NEEDED[need]}, which {_kind(self.data)} data do not have; "
                + (f"data.kind can be {having}" if having else "no kind of data has it"),
            )

    @property
    def described(self) -> bool:
        """Whether some part is known from a results folder's description alone: then sizes and counts are not."""
        return any(part.origin is not None and part.origin.described for part in (self.data, self.net, self.train))

    @property
    def solvable(self) -> bool:
        """Whether whole paths of rounds are known in closed form: one real target, its truth, and a linear model."""
        data = self.data
        real = data.targets == "real" and data.classes == 1 and {"whole", "truth"} <= data.offers
        return real and isinstance(self.train, ClosedForm) and isinstance(self.net, LinearNet)

    @property
    def is_relu(self) -> bool:
        """Whether its network is one hidden ReLU layer without biases on data that are there as a whole: fused with a fixed readout,
        or with both layers pruned together."""
        net, pruned = self.net, self.pruned_layers
        if not isinstance(net, Mlp) or "whole" not in self.data.offers or len(net.hidden) != 1:
            return False
        if net.activation != "relu" or net.bias or net.batch_norm:
            return False
        fused = net.readout in ("sum", "signed") and pruned == (1,)
        return fused or (net.readout == "trained" and pruned == (1, 2) and self.prune.scope == "global")

    @property
    def outputs(self) -> int:
        return self.net.output_count(self.data.classes)

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """The sizes of the network's layers, first to last."""
        return self.net.kernels(self.data.input_shape, self.outputs)

    @property
    def layers(self) -> int:
        """Number of the network's layers (weight matrices)."""
        return len(self.kernels)

    @property
    def pruned_layers(self) -> tuple[int, ...]:
        """Numbers (from 1) of the layers that are pruned."""
        return self.prune.pruned_layers(self.layers)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Units and inputs of every layer: what the tensors of a pack must share."""
        return tuple((kernel.units, kernel.inputs) for kernel in self.kernels)

    @cached_property
    def scope_sizes(self) -> tuple[int, ...]:
        """Prunable parameters of every scope: of each pruned layer, or of all of them together."""
        kernels = [self.kernels[layer - 1] for layer in self.pruned_layers]
        ranked = self.prune.biases == "ranked"
        of_layers = tuple(kernel.inputs * kernel.units + (kernel.units if ranked else 0) for kernel in kernels)
        return (sum(of_layers),) if self.prune.scope == "global" else of_layers

    def density(self, round: int) -> Fraction:
        """Kept over prunable parameters in `round`, over all scopes."""
        return Fraction(sum(self.prune.kept(size, round) for size in self.scope_sizes), sum(self.scope_sizes))

    def round_at(self, density: float) -> int | None:
        """The first round that keeps no more than `density` of the parameters, to the nearest whole one in each scope.

        So a round that was asked for by its density is at it: 0.1 of 4,608 is 460.8, and keeping 461 is as near as can be.

        Returns: None where there is no such round, however many are run.
        """
        most = sum(share(density, size) for size in self.scope_sizes)
        rounds = MOST_ROUNDS if self.prune.listed is None else self.prune.listed
        schedules, kept = [self.prune.schedule(size) for size in self.scope_sizes], self.scope_sizes
        for round in range(rounds + 1):
            kept = tuple(next(schedule, last) for schedule, last in zip(schedules, kept, strict=True))
            if sum(kept) <= most:
                return round
        return None

    @cached_property
    def truth_round(self) -> int | None:
        """The first round that keeps no more weights than the truth has components; None where there is none, or no truth."""
        support = self.data.support
        return None if support is None else self.round_at(support / sum(self.scope_sizes))

    @cached_property
    def id(self) -> str:
        return _digest({"trial": self.canonical, **self.revisions, **versions(self.data, self.net, self.train)})

    @property
    def earlier_ids(self) -> dict[str, str]:
        """Ids that earlier versions gave this trial, with what made its numbers otherwise then: `engine`, `counts`, or `device` where
        nothing but that their ids knew of none."""
        of_plugins = versions(self.data, self.net, self.train)
        # Of no device: versions before 0.10.0 had one id for all.
        plain = {name: part for name, part in self.canonical.items() if name != "device"}
        ids = {
            _digest({"trial": plain, **of_plugins}): "counts" if self.counted else "engine" if self.engine else "device"
        }
        if self.engine:
            ids[_digest({"trial": plain, **self.counted, **of_plugins})] = "engine"
            ids[_digest({"trial": self.canonical, **self.counted, "engine": DRAWS, **of_plugins})] = "engine"
        elif self.counted:
            ids[_digest({"trial": plain, **self.counted, **of_plugins})] = "device"
        ids.pop(self.id, None)
        return ids

    def as_written(self, id: str) -> Trial:
        """This trial under the id that rows have of it: another one where an earlier engine made them."""
        if id == self.id:
            return self
        written = self.model_copy()
        vars(written)["id"] = id  # where a cached property keeps its value
        return written

    @cached_property
    def canonical(self) -> dict[str, Any]:
        """The canonical form, made once for all lineages of the trial."""
        return canonical(self)

    @cached_property
    def revisions(self) -> dict[str, Any]:
        """What ids say of numbers that earlier versions made otherwise: nothing where these are the same."""
        return {**self.counted, **self.engine}

    @property
    def engine(self) -> dict[str, int]:
        """Of the engine that makes a trial's numbers: since 0.10.0 another one draws stimuli, and multiplies by sparse weights, and since
        0.11.0 small networks are those of up to 65,536 weights in their first layer."""
        if isinstance(self.train, StepsSpec):
            return {"engine": ENGINE}
        return {"engine": DRAWS} if isinstance(self.data, Stimulus) else {}

    @cached_property
    def counted(self) -> dict[str, str]:
        """What ids say of the schedule: nothing, unless floats (versions before 0.4.0) kept other numbers of weights.

        Those versions knew no plugins: so ids of their trials need no sizes, which a results folder does not tell.
        """
        if any(part.origin is not None for part in (self.data, self.net, self.train)):
            return {}
        fraction = self.prune.fraction
        if fraction is None or not any(rounds_in_floats(size, fraction) for size in self.scope_sizes):
            return {}
        return {"counts": "exact"}

    def lineages(self, methods: tuple[Method, ...], seeds: tuple[int, ...]) -> list[Lineage]:
        """One for each method and seed. Only the first of each method is validated: a sweep has ten thousands, whose seeds are its own."""
        of_methods = [Lineage(trial=self, method=method, seed=seed) for method in methods for seed in seeds[:1]]
        return [first.model_copy(update={"seed": seed}) for first in of_methods for seed in seeds]

    def solves(self, method: str) -> bool:
        """Whether this method's solver makes all rounds of a lineage at once; looked up once, for all of its lineages."""
        member, known = families.rules.member(method), self._solving.get(method)
        if known is None or known[0] is not member:  # not known, or of a plugin that was read again
            solves = member.solves is not None and rule_of(method, self.prune.rules).solves(self)
            known = self._solving[method] = (member, solves)
        return known[1]

    @cached_property
    def _solving(self) -> dict[str, tuple[Member, bool]]:
        return {}


@embeds
class Lineage(Spec):
    """One chain train -> prune -> rewind -> train ... of one network."""

    trial: Trial
    method: Method
    seed: int = Field(ge=0)

    @cached_property
    def id(self) -> str:
        """16 hex digits naming all that decides this lineage's numbers: data, net, training, pruning, method, seed."""
        trial = self.trial
        of_plugins = versions(trial.data, trial.net, trial.train, self.rule, *self._leader_rules())
        return _digest({**trial.canonical, **trial.revisions, **of_plugins, "method": self.method, "seed": self.seed})

    @property
    def solved(self) -> bool:
        """Whether a solver makes all of its rounds at once, rather than one after the other (`impray.training.solver`)."""
        return self.trial.solves(self.method)

    @property
    def rule(self) -> RuleSpec:
        """The rule that its masks come from, with its parameters."""
        return rule_of(self.method, self.trial.prune.rules)

    def _leader_rules(self) -> list[RuleSpec]:
        """Of the methods whose masks this one follows."""
        follows = self.rule.follows
        return [] if follows is None else [rule_of(follows, self.trial.prune.rules)]

    @cached_property
    def trunk(self) -> str:
        """Id of the dense round 0, shared by all lineages with the same data, net, training and seed."""
        shared = {key: value for key, value in self.trial.canonical.items() if key != "prune"}
        of_plugins = versions(self.trial.data, self.trial.net, self.trial.train)
        return _digest({**shared, **self.trial.engine, **of_plugins, "seed": self.seed})


def _kind(data: DataSpec | type[DataSpec]) -> str:
    return str((data if isinstance(data, type) else type(data)).model_fields["kind"].default)


def stream_seed(seed: int, stream: str, round: int = 0) -> int:
    """Seed of a named random stream: a hash, 0 to 2^63 - 1.

    Streams: `init`, `data`, `order`, `noise`, `prune`, `held_out`; of linear data also `design`, `truth` and `held_out_noise`; a
    method's name where it starts anew.

    It knows neither trial nor pack, so trials share their random numbers and neighbours do not matter.
    """
    digest = hashlib.blake2b(f"{seed}/{stream}/{round}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def versions(*specs: Spec) -> dict[str, Any]:
    """What ids say of specs that are plugins' besides their canonical forms: the versions; nothing where all are built in."""
    of_plugins = {spec.origin.plugin: spec.origin.version for spec in specs if spec.origin is not None}
    return {"plugins": of_plugins} if of_plugins else {}


def _digest(description: dict[str, Any]) -> str:
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
