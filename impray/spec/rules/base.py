"""What every method says of the rule that its masks come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from impray.spec.base import Spec, canonical
from impray.spec.errors import Problem

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class RuleSpec(Spec):
    """What every method says of the rule that its masks come from. All keep the same numbers of weights (`Prune.kept`).

    ranks: whether the next mask follows from the weights that the round before trained: then networks train in every round.
    follows: the method whose masks, for the same trial and seed, this one's are made from. starts_anew: whether rounds start from
    new initial weights rather than from theta(rewind). nests: whether no weight comes back that has gone. source: the paper.
    """

    ranks: ClassVar[bool] = False
    follows: ClassVar[str | None] = None
    starts_anew: ClassVar[bool] = False
    nests: ClassVar[bool] = True
    source: ClassVar[str] = ""

    def ranks_trained(self, trial: Trial) -> bool:
        """Whether, in this trial, the next mask follows from the weights that the round before trained."""
        return self.ranks

    def solves(self, trial: Trial) -> bool:
        """Whether its solver, where it has one, takes this trial: all rounds are solved at once then."""
        return trial.solvable

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        """What these trials lack; the paths are below `trial`."""
        yield from ()


class RuleParameters(Spec):
    """Parameters of the methods that plugins bring, by plugin and method."""

    def __eq__(self, other: object) -> bool:
        # By what is said: the class has other fields, and is another one, once a plugin has joined.
        return isinstance(other, RuleParameters) and canonical(self) == canonical(other)

    def __hash__(self) -> int:
        return hash(json.dumps(canonical(self), sort_keys=True))
