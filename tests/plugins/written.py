"""Plugins and sweeps that tests write, and the plugins of docs/plugins.md."""

import re
from pathlib import Path

import yaml
from conftest import sweep_into

from impray.results import outcomes
from impray.spec.load import load

DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"

MEASURE = """\
from impray.measures import Readings
from impray.plugin import Column, MeasureSpec, Member, Plugin


class Kept(MeasureSpec):
    "How many of a unit's inputs the mask keeps."
    reads = frozenset({"mask"})
    unit_columns = (Column("kept_inputs", "int", "weights", "inputs that the mask keeps"),)
    factor: int = 1


def kept(asked, state):
    return Readings(units={1: {"kept_inputs": state.mask(1).sum(-1) * asked.factor}})


PLUGIN = Plugin(version="1", measures={"kept": Member(Kept, kept)})
"""


def of_docs(folder) -> dict[str, Path]:
    """The plugins of docs/plugins.md, written into a folder; by name."""
    blocks = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", DOCS.read_text(), re.DOTALL)
    for name, text in blocks:
        (folder / f"{name}.py").write_text(text)
    return {name: folder / f"{name}.py" for name, _ in blocks}


def sweep_with(folder, plugins=("mine.py",), **changes) -> Path:
    """A tiny sweep's YAML that names plugins, with dotted changes."""
    document = {
        "question": "does a plugin join?",
        "plugins": list(plugins),
        "trial": {
            "data": {"kind": "nlgp", "shape": [6, 6], "xi": [1, 2], "held_out": 20},
            "net": {"hidden": [4]},
            "train": {"steps": 6, "batch": 4},
            "prune": {"fraction": 0.3},
        },
        "methods": ["imp"],
        "seeds": 2,
        "rounds": 2,
        "measures": ["accuracy"],
    }
    for path, value in changes.items():
        *outer, last = path.split(".")
        here = document
        for key in outer:
            here = here.setdefault(key, {})
        here[last] = value
    file = folder / "sweep_of_mine.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def failure(folder, text, **changes):
    """What the failures of a sweep with this plugin say; the driver ends well."""
    (folder / "mine.py").write_text(text)
    sweep = load(sweep_with(folder, **changes))
    report, _ = sweep_into(folder / "runs", sweep)
    assert report.count("failed") == 1
    line, *_ = outcomes.failure_lines(folder / "runs", trace=False)
    return line
