"""Every figure of Redman et al. (2025) from a sweep's tables, beside what the paper found, with a verdict each.

Fig. 1A/B, 2, 3, 4, 5B/C and S1 to S4, one file each in `redman/`, whose heads say what to expect and what would count against the
paper. A figure whose measures the sweep did not ask for says which it needs, and the others are drawn. Nothing is trained.

The sweep varies data.gaussian_blend: 0 natural, 1 the Gaussian clone. Other axes are held at the base trial's value, else their first;
--only AXIS=VALUE chooses another.
"""

from redman import fig1, fig2, fig3, fig4, fig5, figs1, figs2, figs3, figs4

from impray.figures import Paper, command

SETTING = {  # Table S1, sections 2 and C of the paper, and the code it builds on
    "data": "imagenet32 (3 x 32 x 32 inputs, 1000 classes)",
    "network": "3072:1024:1024:1000, batch norm",
    "training": "sgd, learning rate 0.1, batch 40, 40,000 updates",
    "pruning": "30 % of the weights left, each layer, each round",
    "rewound to": "after 1,000 updates",
    "rounds": "10",
    "seeds": "3",
}
FIGURES = (fig1, fig2, fig3, fig4, fig5, figs1, figs2, figs3, figs4)
PAPER = Paper(
    name="redman2025",
    title="Redman, Wang, Ingrosso & Goldt (2025), redrawn from this sweep's tables",
    figures=[module.FIGURE for module in FIGURES],
    setting=SETTING,
)

if __name__ == "__main__":
    command.run(PAPER, __doc__)
