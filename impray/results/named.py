"""The tables by name, and what each has a row for. By itself: a shell that completes a name does not wait for polars."""

TABLES: dict[str, str] = {
    "rounds": "one row per lineage and round",
    "units": "one row per lineage, round, layer and unit",
    "fates": "one row per lineage, round, layer and fate; complete when the lineage is",
    "masks": "one row per stored mask (measure `masks`)",
    "images": "one row per stored image: components, correlation maps, samples (measures `components`, `correlation`, `inputs`)",
    "histograms": "one row per stored two-dimensional histogram (measure `cavity`)",
    "steps": "one row per lineage, round, recorded step and unit of layer 1 (measure `course`)",
    "removals": "one row per lineage and removed weight, of linear models in closed form (measure `removals`)",
    "trials": "one row per trial: a point of all axes",
    "failures": "one row per failure of a pack",
    "findings": "one row per figure and claim: what this sweep says of it",
}
