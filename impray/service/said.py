"""Which sweep is meant, and how one that leaves out what its files and factories say gets it: what loading is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impray.shipped import shipped

if TYPE_CHECKING:
    from impray.spec.errors import Problem
    from impray.spec.sweep import Sweep


def sizes_in_files(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """See `impray.data.formats.said`, which is imported when a sweep needs it: torch, which comes with it, takes seconds."""
    from impray.data.formats.said import sizes

    return sizes(description)


def layers_of_factory(
    factory: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int
) -> list[dict[str, Any]]:
    """See `impray.nets.factory.sizes`. The factory is code that the user chose by naming it in the sweep; it is imported here."""
    from impray.nets.factory import sizes

    return sizes(factory, arguments, input_shape, outputs)


def load_sweep(
    file: str,
    sets: list[str],
    check: Callable[[Sweep | None], list[Problem]] = lambda sweep: [],
    base: bool = False,
) -> tuple[Sweep, Path]:
    """The validated sweep and the file it came from; a bare name is looked for in `sweeps/`.

    Args:    check, base: as of `impray.spec.load.load`.
    """
    from impray.spec.load import load

    path = found(file)
    return load(path, sets, check, sizes_in_files, layers_of_factory, base), path


def found(file: str) -> Path:
    """The file that is meant: a path, or the bare name of a sweep in `sweeps/`, shipped or here.

    Raises:  SweepError: a bare name of no sweep.
    """
    from impray.spec.errors import Problem, SweepError
    from impray.spec.wording import near

    path = Path(file)  # asked through os.path: a name that no system takes is no file
    listed = {p.stem: p for folder in (shipped("sweeps"), Path("sweeps")) for p in sorted(folder.glob("*.yaml"))}
    bare = file.removeprefix("sweeps/").removesuffix(".yaml")
    # In a folder of results each sweep's own is called as the sweep is.
    path = path if os.path.exists(path) and not os.path.isdir(path) else listed.get(bare, path)
    if not os.path.exists(path) and path.parent == Path("."):
        options = [*listed, *(str(other) for other in Path(".").glob("*.y*ml"))]
        right = f"there is no such file; sweeps/ has {', '.join(listed) or 'none'}{near(file, options)}"
        raise SweepError(file, [Problem("file", None, right)])
    return path


def name_of(path: Path) -> str:
    """What a sweep is called: as its file, or as its folder where the file is a sweep's own `sweep.yaml`."""
    return path.stem if path.stem != "sweep" else path.resolve().parent.name
