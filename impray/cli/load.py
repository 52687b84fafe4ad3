"""Which sweep is meant: a path, or the bare name of one in `sweeps/`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from impray.cli.app import checkout

if TYPE_CHECKING:
    from impray.spec.errors import Problem
    from impray.spec.sweep import Sweep


def load_sweep(
    file: str, sets: list[str], check: Callable[[Sweep | None], list[Problem]] = lambda sweep: []
) -> tuple[Sweep, Path]:
    """The validated sweep and the file it came from; a bare name is looked for in `sweeps/`."""
    from impray.service.said import layers_of_factory, sizes_in_files
    from impray.spec.errors import Problem, SweepError
    from impray.spec.load import load
    from impray.spec.wording import near

    path = Path(file)  # asked through os.path: a name that no system takes is no file
    shipped = {p.stem: p for folder in (checkout() / "sweeps", Path("sweeps")) for p in sorted(folder.glob("*.yaml"))}
    bare = file.removeprefix("sweeps/").removesuffix(".yaml")
    path = path if os.path.exists(path) else shipped.get(bare, path)
    if not os.path.exists(path) and path.parent == Path("."):
        options = [*shipped, *(str(other) for other in Path(".").glob("*.y*ml"))]
        right = f"there is no such file; sweeps/ has {', '.join(shipped) or 'none'}{near(file, options)}"
        raise SweepError(file, [Problem("file", None, right)])
    return load(path, sets, check, sizes_in_files, layers_of_factory), path


def name_of(path: Path) -> str:
    """What a sweep is called: as its file, or as its folder where the file is a sweep's own `sweep.yaml`."""
    return path.stem if path.stem != "sweep" else path.resolve().parent.name
