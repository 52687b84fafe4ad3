"""docs/measures.md: every measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docs.make.markdown import anchor, code, made_by, paragraphs, prose, table, value
from docs.make.pictures import PICTURES
from impray.spec import families
from impray.spec.plugins.listing import listed

HEAD = """# Measures

What a sweep can measure. `measures: [accuracy, {rf_width: {min_fan_in: 8}}]` in a sweep asks for two; one added later is computed
from checkpoints, without training. A unit's columns are in the table `units`; their mean and median over the units of layer 1 are
in `rounds`, as `clustering_mean` and `clustering_median`. [Tables](tables.md) has all columns, and `impray measures NAME` says the
same as this page.

Pictures are drawn from masks, fields and samples that are known; the numbers in them are computed, not written.
"""
GROUPS = {
    "What the network does": ("accuracy", "loss", "training_accuracy", "psnr", "reconstruction", "pruned", "course"),
    "Which weights are left": ("density", "fan_in", "units_alive", "masks", "ipr"),
    "Where they are on the image": ("rf_width", "clustering", "spread", "pieces", "correlation", "sinusoid"),
    "What they compute of the inputs": ("kurtosis", "cavity", "components", "inputs", "gates"),
    "Against a truth that is known": ("support", "estimation", "order", "removals", "design", "theorem5"),
    "Against theory and other methods": ("flow", "optimality_gap", "linear_omp", "solver"),
}


def page() -> str:
    return "\n".join(_parts({member["name"]: member for member in listed(families.measures)}))


def _parts(members: Mapping[str, Any]) -> Iterator[str]:
    yield made_by("the measures")
    yield HEAD
    rows = ((group, ", ".join(f"[{code(name)}](#{anchor(name)})" for name in names)) for group, names in GROUPS.items())
    yield table(("question", "measures"), rows)
    for group, names in GROUPS.items():
        yield f"## {group}\n"
        for name in names:
            yield from _measure(members[name])


def _measure(member: Mapping[str, Any]) -> Iterator[str]:
    name = member["name"]
    yield f"### {name}\n"
    yield paragraphs(member["about"]) + "\n"
    if name in PICTURES:
        yield f"![{name}: {PICTURES[name].shows}](pictures/{name}.svg)\n"
    yield f"**Limits.** {prose(member['limits'])}\n"
    if needs := member["requires"]:
        yield f"**Requires:** {prose('; '.join(needs))}.\n"
    if parameters := member["parameters"]:
        rows = (
            (
                code(of["name"]),
                prose(of["type"]),
                "required" if of.get("required") else value(of["default"]),
                prose(of["about"]),
            )
            for of in parameters
        )
        yield table(("parameter", "takes", "default", "what"), rows)
    if columns := member["columns"]:
        rows = ((code(f"{of['table']}.{of['name']}"), prose(of["unit"]), prose(of["sentence"])) for of in columns)
        yield table(("column", "unit", "what"), rows)
