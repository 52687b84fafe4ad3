"""Fates: when each weight is pruned, and what the weights of each fate are like while they are kept.

fate = the round n whose mask first lacks the weight (in mask n-1, not in mask n); 0 stands for `survives`. After Redman et al.
(2025), Fig. 5, which groups the cavity scores of the weights at theta(rewind) * m(n-1) by the round of their removal, and scales them
by N_W, the number of weights left in the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from impray.lineage.checkpoint import Record
from impray.nets import Layer, Params

SURVIVES = 0
ScoresOfRound = Callable[[int], Mapping[str, Mapping[int, Tensor]]]


def fate_of(masks: Sequence[Tensor]) -> Tensor:
    """Round of removal of every weight, given its masks of rounds 0 to n: int64, `SURVIVES` for those in the last mask."""
    removed = torch.stack([~mask for mask in masks])
    first = removed.to(torch.int64).argmax(dim=0)
    return torch.where(removed.any(dim=0), first, SURVIVES)


def fates(
    layers: Sequence[Layer], records: Sequence[Record], start: Params, scores: ScoresOfRound = lambda _: {}
) -> list[dict]:
    """One row per (round, layer, fate) of one lineage.

    Args:    layers: of its network. records: rounds 0 to n, in order. start: theta(rewind), not masked. scores: round -> column
             (`cavity`) -> layer -> a number for every weight [unit, input], NaN where there is none; asked for once per round.
    Returns: dicts with round, layer, fate, weights, abs_weight_start_mean and _sem, abs_weight_end_mean (None where it did not
             train, or diverged), and for each column c of scores c_weights, c_mean, c_sem, c_median and these N_W times (c_scaled_...).
    """
    pruned = [layer for layer in layers if layer.weight in records[0].masks]
    masks = {layer.number: [layer.matrix(record.masks[layer.weight]) for record in records] for layer in pruned}
    fate = {number: fate_of(of_layer) for number, of_layer in masks.items()}
    size = {layer.number: layer.matrix(start[layer.weight]).double().abs() for layer in pruned}
    rows = []
    for round, record in enumerate(records):
        of_round = scores(round)
        for layer in pruned:
            number, end = layer.number, None
            if record.end is not None and record.finite:
                end = layer.matrix(record.end[layer.weight]).double().abs()
            mask = masks[number][round]
            left = int(mask.sum())
            for value, group in _groups(fate[number], mask, round, len(records) - 1):
                mean, sem = _mean_and_error(size[number][group])
                row = {
                    "round": round,
                    "layer": number,
                    "fate": value,
                    "weights": int(group.sum()),
                    "abs_weight_start_mean": mean,
                    "abs_weight_start_sem": sem,
                    "abs_weight_end_mean": None if end is None else _mean_and_error(end[group])[0],
                }
                for column, of_layers in of_round.items():
                    if number in of_layers:
                        row |= _of_scores(column, of_layers[number][group].double(), left)
                rows.append(row)
    return rows


def _groups(fate: Tensor, mask: Tensor, round: int, last: int) -> Iterator[tuple[int, Tensor]]:
    """Every fate that is still open in this round, with the kept weights of that fate."""
    for value in (*range(round + 1, last + 1), SURVIVES):
        yield value, (fate == value) & mask


def _of_scores(column: str, values: Tensor, left: int) -> dict[str, float | int]:
    """Statistics of one group's scores; those without one (NaN) are left out."""
    values = values[torch.isfinite(values)]
    mean, sem = _mean_and_error(values)
    median = float(np.median(values.numpy())) if len(values) else float("nan")
    plain = {"mean": mean, "sem": sem, "median": median}
    count = {} if column.endswith("_half") else {f"{column}_weights": len(values)}  # counted once
    return (
        count
        | {f"{column}_{statistic}": number for statistic, number in plain.items()}
        | {f"{column}_scaled_{statistic}": left * number for statistic, number in plain.items()}
    )


def _mean_and_error(values: Tensor) -> tuple[float, float]:
    """Mean and its standard error; NaN for an empty group, the error for a single one too."""
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")
    return float(values.mean()), error
