"""Iterative magnitude pruning of linear models: Elesedy, Kanade & Teh (2020) from sweeps' tables, and where its claims end.

A file each in `elesedy/`, whose heads say what would count against the paper, and against us. One script for all sweeps named elesedy2020*:
it draws what the folder can show, on one page; if that is nothing, it says what each figure needs. Nothing is trained.
"""

from elesedy import example2, example3, hub, phases, rounds, theorem5

from impray.figures import Paper, command

PAPER = Paper(
    name="elesedy2020",
    title="Elesedy, Kanade & Teh (2020)",
    figures=[module.FIGURE for module in (example2, example3, theorem5, hub, phases, rounds)],
    setting={
        "paper": "no experiments: Examples 1 to 3, Theorem 5, and Algorithm 1 (one weight per round, trained to the end each time)"
    },
    whole=False,
)

if __name__ == "__main__":
    command.run(PAPER, __doc__)
