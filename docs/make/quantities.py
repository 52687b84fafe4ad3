"""docs/quantities.md: the catalogue of reported numbers."""

from __future__ import annotations

from docs.make.markdown import code, made_by, prose, table
from impray.results import schema
from impray.results.quantities import QUANTITIES, Quantity
from impray.spec.measure import Column

HEAD = """# Quantities

One name is one number, wherever it is reported: figures and claims, leaderboard, `impray export`, MLflow. A sweep has those that its
[measures](measures.md) fill. A wrong name is told, with the one that it is nearest to:

```python
import impray

impray.load("runs/quickstart").quantity("clustering_mean")  # a row per lineage and round, with the trial's axes
```

In a figure a quantity is `Panel(of="clustering_mean")`, `More(quantity="clustering_mean", ...)` or `results.values("clustering_mean")`
([Figures](figures.md)). Every other column of the [table `rounds`](tables.md#rounds) is one by its own name, such as `fan_in_median`.

"Better" is the end that is more local, more accurate, or nearer to the truth: the one that claims with `More` ask for. "Chance" is what
chance gives, or a Gaussian: the dotted line of figures.
"""


def page() -> str:
    columns = {column.name: column for column in schema.columns("rounds")}
    listed = sorted(QUANTITIES.values(), key=lambda quantity: quantity.name)
    rows = ((code(q.name), prose(q.unit), q.better or "", _number(q.reference), _what(q, columns)) for q in listed)
    return "\n".join(
        [made_by("the catalogue of quantities"), HEAD, table(("quantity", "unit", "better", "chance", "what"), rows)]
    )


def _what(quantity: Quantity, columns: dict[str, Column]) -> str:
    if quantity.make is not None:
        return prose((quantity.make.__doc__ or "").split("\n")[0])
    return prose(columns[quantity.read].sentence)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
