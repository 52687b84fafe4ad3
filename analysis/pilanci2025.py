"""Sparse recovery in ReLU networks: Fridovich-Keil & Pilanci (2025) from sweeps' tables, with imp that is trained and a pursuit beside it.

A file each in `pilanci/`, whose heads say what would count against the paper, and against us. One script for all sweeps named pilanci2025*:
it draws what the folder can show, on one page; if that is nothing, it says what each figure needs. Nothing is trained.
"""

from pilanci import classes, cost, digits, image, planted, theirs, unfused

from impray.figures import Paper, command

PAPER = Paper(
    name="pilanci2025",
    title="Fridovich-Keil & Pilanci (2025)",
    figures=[module.FIGURE for module in (planted, theirs, unfused, cost, digits, classes, image)],
    setting={
        "paper": "fused ReLU networks of 10 to 50 units, 50,000 Gaussian samples of 100 inputs; iht of 15 epochs; "
        "imp of 15 Adam steps a round, 10 % a round, not trained again"
    },
    whole=False,
)

if __name__ == "__main__":
    command.run(PAPER, __doc__)
