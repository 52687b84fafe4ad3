"""Rounds as measures see them: which networks have diverged, and the state of those that have not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from impray.lineage.checkpoint import Record
from impray.lineage.records import Records
from impray.lineage.training import PackTraining
from impray.measures import RoundState
from impray.nets import Params
from impray.spec.measure import MeasureSpec
from impray.spec.trial import Lineage


def converged(training: PackTraining, lineage: Lineage, record: Record) -> bool:
    """Whether weights and loss are finite; the loss on a few held-out inputs, since weights may be huge but finite."""
    if record.lost:
        return False
    if record.end is None:
        return True
    if not record.finite:
        return False
    inputs, _ = training.held_out(lineage)
    some = inputs[:: max(1, inputs.shape[0] // 64)]
    stats = training.stack([record.stats]) if record.stats else None
    outputs = training.network.preactivations(training.stack([record.end]), some[None], stats)[-1]
    worst = outputs.square() if lineage.trial.train.loss == "mse" else outputs
    return bool(torch.isfinite(worst).all())


def state_of(
    training: PackTraining,
    records: Records,
    lineages: Sequence[Lineage],
    of_round: Sequence[Record],
    round: int,
    of_data: dict,
    measures: Sequence[MeasureSpec] = (),
) -> RoundState:
    """What is measured of a round: `of_round` are the records of `lineages`, which have not diverged.

    of_data, measures: as of `RoundState`; the former is the same one for all rounds of a pack.
    """
    stack = training.stack
    ends = [record.end for record in of_round if record.end is not None]
    trained = len(ends) == len(of_round)
    starts = [records.start(lineage, record.masks, round) for lineage, record in zip(lineages, of_round, strict=True)]
    return RoundState(
        round=round,
        network=training.network,
        masks=stack([record.masks for record in of_round]),
        start=stack(starts),
        end=stack(ends) if trained else None,
        end_stats=stack([record.stats for record in of_round]) if trained else None,
        held_out=lambda net: training.held_out(lineages[net]),
        loss=lineages[0].trial.train.loss,
        trials=[lineage.trial for lineage in lineages],
        whole=lambda net: training.whole(lineages[net]),
        truth=lambda net: training.truth(lineages[net]),
        held=lambda net: (
            None if of_round[net].end is None else training.held(lineages[net], of_round[net].masks, round)
        ),
        pruned=_pruned(training, records, lineages, of_round, round),
        problems=[(lineage.trial.id, lineage.seed) for lineage in lineages],
        of_data=of_data,
        measures=measures,
        course=_course(training, records, lineages, of_round, round),
    )


def _pruned(
    training: PackTraining, records: Records, lineages: Sequence[Lineage], of_round: Sequence[Record], round: int
) -> Callable[[], tuple[Params, Params]] | None:
    """The networks as pruning left them, before the round trained them; made when they are asked for."""
    if round == 0:
        return None

    def networks() -> tuple[Params, Params]:
        ends, stats = [], []
        for record, before in zip(of_round, records.before(lineages, round), strict=True):
            assert before.end is not None, "where a measure reads `pruned`, the round before trains"
            masks = record.masks
            ends.append({name: value * masks[name] if name in masks else value for name, value in before.end.items()})
            stats.append(before.stats)
        return training.stack(ends), training.stack(stats)

    return networks


def _course(
    training: PackTraining, records: Records, lineages: Sequence[Lineage], of_round: Sequence[Record], round: int
) -> Callable[..., list[list[dict]]]:
    """Rows of the time course of each lineage's round. A round that is trained already is trained once more, to the same numbers:
    only then is there something to record.
    """

    def rows(_: object) -> list[list[dict]]:
        absent = training.courses.absent(lineages, round)
        if absent:
            records.observe_again([lineages[i] for i in absent], [of_round[i] for i in absent], round)
        return training.courses.take(lineages, round)

    return rows
