"""A tiny sweep of linear models, solved in closed form."""

from conftest import changed

from impray.spec.pack import Pack
from impray.spec.sweep import Sweep

LINEAR = {
    "question": "is the support found?",
    "trial": {
        "data": {
            "kind": "linear",
            "samples": 20,
            "features": 10,
            "nonzero": 3,
            "law": "signs",
            "noise_scale": 0.5,
            "held_out": 30,
        },
        "net": {"kind": "linear"},
        "train": {"optimizer": "gradient_flow"},
        "prune": {"remove": 1, "layers": "all"},
    },
    "methods": ["imp", "oneshot", "random", "backward", "alignment", "hard_threshold", "iht", "omp", "lasso"],
    "seeds": 3,
    "rounds": 8,
    "rows_at": [0, 4, 7],
    "measures": ["support", "estimation", "order", "design", "theorem5", "removals", "loss", "density", "fan_in"],
}


def linear(**changes):
    """The sweep as a dict, with dotted changes."""
    return changed(LINEAR, changes)


def linear_sweep(**changes) -> Sweep:
    return Sweep.model_validate(linear(**changes))


def linear_pack(**changes) -> Pack:
    """All lineages of the base trial, as one pack."""
    return pack_of(linear_sweep(**changes))


def pack_of(sweep: Sweep, *, known: bool = False) -> Pack:
    lineages = tuple(sweep.trial.lineages(sweep.methods, sweep.seeds))
    return Pack(lineages=lineages, rounds=sweep.rounds, rows_at=sweep.rows_at, measures=sweep.measures, known=known)
