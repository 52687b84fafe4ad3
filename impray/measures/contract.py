"""What a measure gives must be what it says: its columns, with a value of their type for each net, or each net and unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from impray.measures.state import Readings, RoundState
from impray.spec import families
from impray.spec.errors import MemberError
from impray.spec.measure import Column, MeasureSpec, measure_name
from impray.spec.wording import near

_ROWS = {  # rows of tables of their own -> the columns that name a row
    "images": {"name", "number"},
    "histograms": {"layer", "name"},
    "steps": {"step", "unit"},
    "removals": {"removal", "round"},
}
_PLAIN: dict[str, tuple[type, ...]] = {
    "float": (float, int),
    "int": (int,),
    "str": (str,),
    "bool": (bool,),
    "bytes": (bytes,),
}


def checked(asked: MeasureSpec, state: RoundState, readings: Any) -> Readings:
    """The readings, if they keep to what `asked` says.

    Raises:  MemberError: with all that they do not keep to.
    """
    if isinstance(readings, Readings):
        wrong = list(_wrong(asked, state, readings))
    else:
        wrong = [f"must give impray.measures.Readings, not {type(readings).__name__}"]
    if wrong:
        raise MemberError(measure_name(asked), families.measures.member(type(asked)).source, "; ".join(wrong))
    return readings


def _wrong(asked: MeasureSpec, state: RoundState, readings: Readings) -> Iterator[str]:
    nets, layers = state.nets, state.layers
    yield from _of_columns(readings.lineage, asked.lineage_columns, (nets,), "")
    for what in ("units", "masks", "weights"):
        for layer in getattr(readings, what):
            if type(layer) is not int or layer not in range(1, len(layers) + 1):
                yield f"gives {what} of layer {layer!r}; the network has the layers 1 to {len(layers)}"
    yield from _of_masks(asked, readings, nets)
    yield from _of_weights(asked, state, readings)
    for layer, values in readings.units.items():
        if layer in range(1, len(layers) + 1):
            yield from _of_columns(values, asked.unit_columns, (nets, layers[layer - 1].units), f" of layer {layer}")
    for table, keys in _ROWS.items():
        rows = getattr(readings, table)
        known = keys | {column.name for column in getattr(asked, f"{table.removesuffix('s')}_columns")}
        if rows and len(rows) != nets:
            yield f"gives {table} of {len(rows)} nets, of {nets}"
        for name in sorted({name for of_net in rows for row in of_net for name in row} - known):
            yield f"gives a column {name} of {table} that it does not declare{near(name, known)}"


def _of_masks(asked: MeasureSpec, readings: Readings, nets: int) -> Iterator[str]:
    known = {column.name for column in asked.mask_columns}
    for layer, of_nets in readings.masks.items():
        if len(of_nets) != nets:
            yield f"gives masks of {len(of_nets)} nets of layer {layer}, of {nets}"
        for name in sorted({name for of_net in of_nets for _, columns in of_net for name in columns} - known):
            yield f"gives a column {name} of masks that it does not declare{near(name, known)}"


def _of_weights(asked: MeasureSpec, state: RoundState, readings: Readings) -> Iterator[str]:
    """Numbers of single weights become, by fate, columns that begin with their name."""
    for layer, columns in readings.weights.items():
        for name, values in columns.items() if layer in range(1, len(state.layers) + 1) else ():
            if not any(column.name.startswith(f"{name}_") for column in asked.fate_columns):
                yield f"gives weights a number {name}, and declares no fate_columns {name}_mean and so on"
            shape = tuple(state.mask(layer).shape)
            if not isinstance(values, Tensor) or tuple(values.shape) != shape:
                given = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
                yield f"its numbers {name} of weights of layer {layer} must have the shape {list(shape)}, not {given}"


def _of_columns(
    values: Mapping[str, Any], declared: Sequence[Column], shape: Sequence[int], where: str
) -> Iterator[str]:
    columns = {column.name: column for column in declared}
    for name, given in values.items():
        if name not in columns:
            known = ", ".join(columns) or "none"
            yield f"gives a column {name}{where} that it does not declare (declared: {known}){near(name, columns)}"
        elif why := _unlike(given, columns[name].type, shape):
            yield f"its column {name}{where} {why}"


def _unlike(given: Any, type_: str, shape: Sequence[int]) -> str | None:
    """Why values do not fit a column of a type, of so many nets (and units)."""
    what = "a value per net and unit" if len(shape) > 1 else "a value per net"
    if isinstance(given, Tensor) and not type_.startswith("list["):
        if tuple(given.shape) != tuple(shape):
            return f"must have the shape {list(shape)}, {what}, not {list(given.shape)}"
        fits = _tensor_fits(given, type_, nullable=len(shape) > 1)
        return None if fits else f"must be {type_}, not {str(given.dtype).removeprefix('torch.')}"
    if len(shape) > 1 or not isinstance(given, (list, tuple, Tensor)):
        return f"must be a tensor of shape {list(shape)}, {what}, not {type(given).__name__}"
    nets = shape[0] if shape else 0
    if len(given) != nets:
        return f"must have {nets} entries, {what}, not {len(given)}"
    return next((f"must be {type_}, not {value!r}" for value in given if not _fits(value, type_)), None)


def _tensor_fits(given: Tensor, type_: str, *, nullable: bool) -> bool:
    """nullable: whole numbers may come as floats, where NaN says that a unit has none."""
    if type_ == "int":
        whole = nullable and bool((given.isnan() | (given == given.round())).all())
        return whole if given.dtype.is_floating_point else given.dtype != torch.bool
    return given.dtype.is_floating_point if type_ == "float" else type_ == "bool" and given.dtype == torch.bool


def _fits(value: Any, type_: str) -> bool:
    if value is None:
        return True
    if type_.startswith("list["):
        inner = type_.removeprefix("list[").removesuffix("]")
        values = value.tolist() if isinstance(value, Tensor) else value
        return isinstance(values, (list, tuple)) and all(_fits(element, inner) for element in values)
    value = value.item() if isinstance(value, Tensor) and value.dim() == 0 else value
    return isinstance(value, _PLAIN[type_]) and (type_ == "bool" or not isinstance(value, bool))
