"""Every figure of Redman et al. (2025) from a sweep's tables, beside what the paper found, with a verdict each.

Fig. 1A/B, 2, 3, 4, 5B/C and S1 to S4, one file each in `redman/`, whose heads say what to expect and what would
count against the paper; a figure whose measures the sweep did not ask for says which it needs, and the others are
drawn. Writes figures/redman2025_fig1.png, .csv and .txt and so on, and all of them on one page: redman2025.html and
redman2025.png (redman2025.csv has every claim). Nothing is trained and no data are read.

The sweep varies data.gaussian_blend: 0 natural, 1 the Gaussian clone. Other axes are held at the base trial's value,
else their first; --only AXIS=VALUE chooses another.
"""

from __future__ import annotations

from collections.abc import Mapping

import common
from paper import page
from redman import fig1, fig2, fig3, fig4, fig5, figs1, figs2, figs3, figs4
from redman import slice as sliced
from redman.panels import Drawn

from impray.results.store import Place
from impray.spec.prune import Prune
from impray.spec.trial import Trial

REDMAN = page.Paper("redman2025", "Redman, Wang, Ingrosso & Goldt (2025)", "Redman et al. (2025)")
FIGURES: dict[str, Drawn] = {
    "fig1": fig1,
    "fig2": fig2,
    "fig3": fig3,
    "fig4": fig4,
    "fig5": fig5,
    "figS1": figs1,
    "figS2": figs2,
    "figS3": figs3,
    "figS4": figs4,
}
PAPER = {  # Table S1, sections 2 and C of the paper, and the code it builds on
    "data": "imagenet32 (3 x 32 x 32 inputs, 1000 classes)",
    "network": "3072:1024:1024:1000, batch norm",
    "training": "sgd, learning rate 0.1, batch 40, 40,000 updates",
    "pruning": "30 % of the weights left, each layer, each round",
    "rewound to": "after 1,000 updates",
    "rounds": "10",
    "seeds": "3",
}


def setting(of: sliced.Slice) -> list[tuple[str, str, str]]:
    """What the paper did and what this run did, side by side."""
    run = dict.fromkeys(PAPER, "not known (no sweep.yaml)") if of.trial is None else _setting(of, of.trial)
    return [("", "the paper", "this run"), *((name, PAPER[name], run[name]) for name in PAPER)]


def _setting(of: sliced.Slice, trial: Trial) -> dict[str, str]:
    train, prune = trial.train, trial.prune
    layers = ", ".join(map(str, prune.pruned_layers(trial.net.layers)))
    ranked = "each layer" if prune.scope == "layer" else "all layers together"
    return {
        "data": of.data,
        "network": f"{':'.join(map(str, trial.sizes))}, {'batch norm' if trial.net.batch_norm else 'no batch norm'}",
        "training": f"sgd, learning rate {train.lr:g}, batch {train.batch}, {train.steps:,} updates",
        "pruning": f"{_schedule(prune)}, {ranked}, each round; layers {layers}",
        "rewound to": f"after {prune.rewind_step:,} updates",
        "rounds": str(of.last),
        "seeds": str(of.lineages["seed"].n_unique()),
    }


def _schedule(prune: Prune) -> str:
    if prune.fraction is not None:
        return f"{100 * prune.fraction:.3g} % of the weights left"
    return f"down to {', '.join(f'{100 * density:.3g}' for density in prune.densities or ())} % of the weights"


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    of = sliced.cut(folder, only, round)
    entries = [page.entry(name, drawn, of) for name, drawn in FIGURES.items()]
    page.publish(folder, REDMAN, of, entries, setting(of))


if __name__ == "__main__":
    common.run(main, __doc__)
