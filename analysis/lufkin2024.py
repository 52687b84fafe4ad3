"""Figures of Lufkin, Saxe & Grant (2024) from a sweep's tables, beside what the paper found, with a verdict each.

Fig. 3 to 8, one file each in `lufkin/`, whose heads say what to expect and what would count against the paper. One
script for all sweeps named lufkin2024*: it looks at what the folder holds (inputs, network, measures) and draws the
figures that can be drawn of it; if none can, it says what each needs. Writes figures/lufkin2024_fig5.png, .csv and .txt
and so on, and all of them on one page: lufkin2024.html and lufkin2024.png (lufkin2024.csv has every claim). Nothing is
trained; eq. 5 is integrated from the recorded initial weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import common
from lufkin import fig3, fig4, fig5, fig6, fig7, fig8
from lufkin.folder import Folder, opened
from paper import page
from paper.page import Entry
from paper.parts import Drawn

from impray.results.store import Place
from impray.spec.errors import DataError


class Shown(Drawn[Folder], Protocol):
    """A figure's file, with what the paper says of its setting."""

    @property
    def SETTING(self) -> dict[str, str]: ...


LUFKIN = page.Paper("lufkin2024", "Lufkin, Saxe & Grant (2024)", "Lufkin et al. (2024)")
FIGURES: dict[str, Shown] = {"fig3": fig3, "fig4": fig4, "fig5": fig5, "fig6": fig6, "fig7": fig7, "fig8": fig8}


def setting(of: Folder, entries: list[Entry]) -> list[tuple[str, str, str]]:
    """What the paper did and what this run did, side by side, for each figure."""
    rows = [("", "the paper", "this run")]
    run = of.setting(list(of.trials))
    for one in entries:
        paper = FIGURES[one.name].SETTING
        rows += [(f"{one.title.split('  ')[0]} {name}", paper[name], run[name]) for name in paper]
    return rows


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws what a sweep's folder can show.

    Raises:  DataError: it can show none of the figures, or is not a sweep's.
    """
    if round:
        raise DataError(f"--round {round}: the paper prunes nothing; its figures are of round 0")
    of = opened(folder, only)
    found = [page.entry(name, drawn, of) for name, drawn in FIGURES.items()]
    entries = [one for one in found if one.picture is not None]
    others = [f"{one.title.split('  ')[0]} {'; '.join(one.lacking)}" for one in found if one.picture is None]
    if not entries:
        raise DataError("\n  ".join([f"{folder}: none of the figures can be drawn", *others]))
    page.publish(folder, LUFKIN, of, entries, setting(of, entries))


if __name__ == "__main__":
    common.run(main, __doc__)
