"""docs/findings_tables.md: what runs say of every claim. It is made from results folders, which are not in the repository:

python -m docs.make findings FOLDER...

A folder's section takes the place of that sweep's; the other sections stay, but for those of a recipe that is not shipped any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from docs.make.markdown import code
from impray import __version__
from impray.figures.findings import Findings, findings, markdown, missing, shipped_recipe
from impray.results import outcomes

HEAD = """<!-- Made from results folders by `python -m docs.make findings FOLDER...`; edit nothing here. -->

# Tables of findings

Every claim of the shipped sweeps' figures, and what a run says of it; made from the tables `findings` of results
folders, so nothing here is typed. [Findings](findings.md) tells it in words, and [Figures](figures.md#claims) how
claims are judged: "held" counts units of replication with the claimed sign and decides nothing, p is after Holm's
correction, a control is what other claims lean on. The recipe is a hash of what decides a sweep's lineages; a test
holds it against the shipped sweep, so that no table outlives its sweep's recipe. `impray findings FOLDER` prints the
same of any folder.
"""


def _wrong(folder: str, found: Findings) -> Iterator[str]:
    if found.recipe != shipped_recipe(found.name):
        yield f"{folder}: is not the sweep as shipped"
    if found.judged_by != [__version__]:
        yield f"{folder}: its figures were drawn by impray {', '.join(found.judged_by) or 'nobody'}: impray figures {folder}"
    if not set(outcomes.trials(folder)["status"]) <= {"done", "stopped", "diverged"}:
        yield f"{folder}: has trials that are not done"


SECTION = re.compile(r"^## (\w+)\n.*?recipe (\w+)\.$.*?(?=^## )", re.DOTALL | re.MULTILINE)
LAST = "## Not here\n"


def page(folders: Sequence[str], before: str = "") -> str:
    """The page with sections of these folders.

    Args:    before: the page as it is.
    Raises:  ValueError: a folder is of another recipe than the shipped sweep of its name, is not finished, or has figures that
             another version drew.
    """
    found = [findings(folder) for folder in folders]
    wrong = [why for folder, of_one in zip(folders, found, strict=True) for why in _wrong(folder, of_one)]
    if wrong:
        raise ValueError("not for this page:\n" + "\n".join(wrong))
    sections = {**kept(before), **{of_one.name: "\n".join(markdown(of_one)) + "\n" for of_one in found}}
    absent = missing(list(sections))
    last = f"{LAST}\nNo run of these as shipped was at hand: {', '.join(map(code, absent)) or 'none'}.\n"
    return "".join([f"{HEAD}\n", *(sections[name] for name in sorted(sections)), last])


def kept(before: str) -> Mapping[str, str]:
    """Sections of a page whose sweeps are shipped as they were run."""
    found = {match[1]: (match[0], match[2]) for match in SECTION.finditer(before)}
    return {name: text for name, (text, recipe) in found.items() if recipe == shipped_recipe(name)}
