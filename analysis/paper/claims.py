"""What the paper says, judged on this run: in how many seeds it holds, and the verdict of a figure.

A claim agrees if it holds in all seeds (or groups), disagrees if it holds in at most half of them (for a sign: no
more than chance), and agrees in part in between. A figure's first claim is its main one: if that cannot be told, nor
can the figure. A figure agrees if all its claims that can be told do, controls that the paper did not make included;
it disagrees if its main claim does and no other agrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from common import Measure, gap, paired

AGREES, IN_PART, DISAGREES, OPEN = "agrees", "in part", "disagrees", "cannot be told"


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper (or a control), in `held` of `of` seeds; `shown`: numbers, `lacking`: why it is open."""

    says: str
    held: int = 0
    of: int = 0
    shown: str = ""
    lacking: str = ""
    what: str = "seed"

    @property
    def verdict(self) -> str:
        if not self.of:
            return OPEN
        if self.held == self.of:
            return AGREES
        return IN_PART if 2 * self.held > self.of else DISAGREES

    @property
    def count(self) -> str:
        return f"in {self.held} of {self.of} {self.what}{'s' if self.of != 1 else ''}" if self.of else self.lacking

    @property
    def sentence(self) -> str:
        return f"{self.says}: {self.verdict}, {self.count}{f' ({self.shown})' if self.shown else ''}."


def verdict(claims: Sequence[Claim]) -> str:
    """One word for a figure."""
    if not claims or claims[0].verdict == OPEN:
        return OPEN
    found = {claim.verdict for claim in claims} - {OPEN}
    if found == {AGREES}:
        return AGREES
    return DISAGREES if claims[0].verdict == DISAGREES and AGREES not in found else IN_PART


def headline(claims: Sequence[Claim]) -> str:
    """The verdict with its counts."""
    counts = {word: sum(claim.verdict == word for claim in claims) for word in (AGREES, IN_PART, DISAGREES, OPEN)}
    words = {AGREES: "agree", IN_PART: "in part", DISAGREES: "disagree", OPEN: "open"}
    listed = ", ".join(f"{count} {words[word]}" for word, count in counts.items() if count)
    number = f"{len(claims)} claim{'s' if len(claims) > 1 else ''}"
    return f"{verdict(claims)} (of {number} {listed}; main claim: {claims[0].count})"


def ordered(says: str, parts: Sequence[pl.DataFrame], measure: Measure, lacking: str) -> Claim:
    """That the first part is better in `measure` than the second, seed by seed.

    Args:    parts: with method, seed, round and value. lacking: why there may be nothing to compare.
    imp and oneshot share their mask up to round 1, all methods at round 0: there is nothing to compare then.
    """
    methods = {method for part in parts if len(part) for method in part["method"]}
    first = 2 if methods == {"imp", "oneshot"} else 1 if len(methods) > 1 else 0
    if any(len(part) and part["round"].max() < first for part in parts):  # type: ignore[operator]
        return Claim(says, lacking=f"needs round {first} or later: before it their masks are the same")
    pairs = paired(parts, measure) if all(len(part) for part in parts) else None
    if pairs is None:
        return Claim(says, lacking=lacking)
    return Claim(says, measure.wins(pairs), pairs.seeds, gap(pairs, measure))


def counted(
    says: str, held: Sequence[bool], shown: str = "", lacking: str = "not measured", what: str = "seed"
) -> Claim:
    """That something holds, one yes or no per seed or group."""
    return Claim(says, sum(held), len(held), shown, lacking, what)
