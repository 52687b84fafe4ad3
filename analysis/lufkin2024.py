"""Figures of Lufkin, Saxe & Grant (2024) from a sweep's tables, beside what the paper found.

Fig. 3 to 8, a file each in `lufkin/`, whose heads say what would count against the paper. One script for all sweeps named lufkin2024*:
it draws what the folder can show (by its inputs, network and measures), on one page; if that is nothing, it says what each figure needs.
Nothing is trained; eq. 5 is integrated from the recorded initial weights.
"""

from lufkin import fig3, fig4, fig5, fig6, fig7, fig8

from impray.figures import Paper, command

PAPER = Paper(
    name="lufkin2024",
    title="Lufkin, Saxe & Grant (2024)",
    figures=[module.FIGURE for module in (fig3, fig4, fig5, fig6, fig7, fig8)],
    setting={
        "data": "Fig. 3: Ising (J 0.3/0.7), NLGP(0.01), Kur(5) (code: ξ 0.3/0.7). Fig. 4: t(3), shell, extreme. Fig. 5: NLGP(g) and Kur(k) "
        "(code: ξ 0.3/0.7). Fig. 6: Kur(10), Kur(4); ICA: Kur(3) (ξ 1/3). Fig. 7: Kur(4) on sigmoid, Kur(30) on ReLU units (code: ξ 1/3). "
        "Fig. 8: NLGP(100), NLGP(0.01) (ξ 0.3/0.7, 100 inputs)",
        "network": "Fig. 3, 4, 5, 8: 1 ReLU unit, no bias; Glorot normal x 0.0316 (Fig. 4: x 1). Fig. 6: 10 sigmoid units, second layer "
        "fixed at 1/10, bias; initial variance 0.1. Fig. 7: 10 units (code: 100 ReLU units), second layer trained, bias; "
        "Glorot normal x 0.0316",
        "training": "Learning rate, updates, batch. Fig. 3: 0.05, 2,000, 1,000 to 10,000 (code); 28 initial conditions. Fig. 4: 0.01, "
        "10,000, 1,000 on t(3); 0.05, 5,000, 10,000 on the others. Fig. 5: 0.05, 2,000, 1,000 (code); 30 initial conditions. "
        "Fig. 6: 100, 5,000, 1,000 (code); ICA: 40 components of 100,000 samples. "
        "Fig. 7: 80, 5,000, 1,000 (sigmoid); 0.5, 2,000, 5,000 (ReLU; code). "
        "Fig. 8: up to times (updates x learning rate) of 50, 100 and 250",
    },
    whole=False,
)

if __name__ == "__main__":
    command.run(PAPER, __doc__)
