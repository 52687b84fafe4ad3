"""docs/sweeps.md: the shipped sweeps."""

from __future__ import annotations

from docs.make.markdown import code, made_by, prose, table
from impray.cli.listing import asked
from impray.shipped import shipped

HEAD = """# The shipped sweeps

`impray sweep NAME` runs one, `impray sweep NAME --plan` says first what it would do and cost here. Its file, with
what it draws and how its recipe was chosen, is `sweeps/NAME.yaml`. [Findings](findings.md) says what their runs
found, claim by claim in the [tables of findings](findings_tables.md).
"""


def page() -> str:
    rows = []
    for path in sorted(shipped("sweeps").glob("*.yaml")):
        question, cost = asked(path)
        rows.append((f"[{code(path.stem)}](../sweeps/{path.name})", prose(question), prose(cost)))
    return "\n".join([made_by("the sweeps"), HEAD, table(("sweep", "question", "cost"), rows)])
