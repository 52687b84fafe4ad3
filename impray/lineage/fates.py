"""Fates: when each weight is pruned, and how large the weights of each fate are while they are kept.

fate = the round n whose mask first lacks the weight (in mask n-1, not in mask n); 0 stands for `survives`. After Redman et al.
(2025), Fig. 5, which groups weights by the round of their removal.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impray.lineage.checkpoint import Params, Record

SURVIVES = 0


def fate_of(masks: Sequence[Tensor]) -> Tensor:
    """Round of removal of every weight, given its masks of rounds 0 to n: int64, `SURVIVES` for those in the last mask."""
    removed = torch.stack([~mask for mask in masks])
    first = removed.to(torch.int64).argmax(dim=0)
    return torch.where(removed.any(dim=0), first, SURVIVES)


def fates(records: Sequence[Record], start: Params) -> list[dict]:
    """One row per (round, layer, fate) of one lineage.

    Args:    records: rounds 0 to n, in order. start: theta(rewind), not masked.
    Returns: dicts with round, layer, fate, weights, abs_weight_start_mean, abs_weight_end_mean (None where it did not train, or diverged).
    """
    last = len(records) - 1
    ends = [record.end if record.finite else None for record in records]
    rows = []
    for name in (name for name in records[0].masks if name.startswith("weight")):
        fate = fate_of([record.masks[name] for record in records])
        for round, (record, end) in enumerate(zip(records, ends, strict=True)):
            for value in (*range(round + 1, last + 1), SURVIVES):
                group = (fate == value) & record.masks[name]
                count = int(group.sum())
                rows.append(
                    {
                        "round": round,
                        "layer": int(name.removeprefix("weight")),
                        "fate": value,
                        "weights": count,
                        "abs_weight_start_mean": _mean_size(start[name], group),
                        "abs_weight_end_mean": _mean_size(end[name], group) if end else None,
                    }
                )
    return rows


def _mean_size(weights: Tensor, group: Tensor) -> float:
    return float(weights[group].double().abs().mean())  # NaN for an empty group
