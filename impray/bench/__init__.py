"""This machine against reference loops, side by side in one run, on the same work; medians of several runs.

`impray bench` prints the table. Never a test: nothing passes or fails on time.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib import import_module

import typer
from rich.console import Console
from rich.table import Table

# name -> functions, as module:function, that give {name, ours, reference, ratio, unit, note} and, where it is known, gflops; or None,
# where they lack what they need
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "pack": (
        "impray.bench.pack:compare",
        "impray.bench.pack:compare_methods",
        "impray.bench.pack:compare_shipped",
    ),
    "sparse": (
        "impray.bench.sparse:compare_paper",
        "impray.bench.sparse:compare_last",
        "impray.bench.sparse:compare_lenet",
        "impray.bench.sparse:compare_density",
        "impray.bench.sparse:compare_layer",
        "impray.bench.sparse:compare_layer_later",
        "impray.bench.sparse:compare_layer_last",
    ),
    "rf_width": ("impray.bench.rf_width:compare",),
    "cavity": ("impray.bench.cavity:compare", "impray.bench.cavity:compare_full"),
    "loading": ("impray.bench.loading:compare",),
    "clone": ("impray.bench.clone:compare",),
    "neuron": (
        "impray.bench.neuron:compare",
        "impray.bench.neuron:compare_own",
        "impray.bench.neuron:compare_gains",
    ),
    "ising": ("impray.bench.ising:compare",),
    "torus": (
        "impray.bench.torus:compare",
        "impray.bench.torus:compare_eigh",
        "impray.bench.torus:compare_cholesky",
    ),
    "linear": (
        "impray.bench.linear:compare_lstsq",
        "impray.bench.linear:compare_solve",
        "impray.bench.linear:compare_sweep",
    ),
    "relu": ("impray.bench.relu:compare",),
    "overhead": ("impray.bench.overhead:compare",),
    # The last, for JAX has threads, and warns when a process that has it starts another, as the one above does.
    "jax": (
        "impray.bench.jax_programs:compare_pack",
        "impray.bench.jax_programs:compare_pack_shared",
        "impray.bench.jax_programs:compare_neuron",
        "impray.bench.jax_programs:compare_neuron_shared",
    ),
}

_SIDE = 2048  # of the matrices whose product says what a core can do
REQUIRES = {"jax": "it needs JAX (pip install 'impray[bench-jax]')"}


def show(only: list[str] | None, console: Console) -> None:
    """Run the benchmarks one after another and print their table."""
    from impray.spec.errors import Problem, SweepError

    unknown = [name for name in only or [] if name not in BENCHMARKS]
    if unknown:
        problems = [Problem("--only", repr(name), f"not one of {', '.join(BENCHMARKS)}") for name in unknown]
        raise SweepError("impray bench", problems)
    rows = []
    for name in only or BENCHMARKS:
        typer.echo(f"running {name} ...", err=True)
        for place in BENCHMARKS[name]:
            module, function = place.split(":")
            compare: Callable[[], dict | None] = getattr(import_module(module), function)
            row = compare()
            if row is None:
                typer.echo(f"{name} is left out: {REQUIRES[name]}", err=True)
                break
            rows.append(row)
    table = Table(title=machine(), title_justify="left")
    most = peak() if any("gflops" in row for row in rows) else 0.0
    for column in ("what", "ours", "reference", "ratio", "of the peak"):
        table.add_column(column, justify="left" if column == "what" else "right", overflow="fold")
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.1f}x"
        reference = "" if row["reference"] is None else f"{row['reference']:.4g}"
        share = f"{row['gflops'] / most:.0%}" if "gflops" in row else ""
        table.add_row(f"{row['name']} [{row['unit']}]", f"{row['ours']:.4g}", reference, ratio, share)
    console.print(table)
    if most:
        matrices = f"the library's product of two {_SIDE} x {_SIDE} matrices reaches here on one core"
        told = f"of the peak: ours, counting products with kept weights alone, as a share of {most:.0f} GFLOP/s, which {matrices}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    for row in rows:
        console.print(f"{row['name']}: {row['note']}", markup=False, highlight=False, soft_wrap=True)


def peak() -> float:
    """GFLOP/s of the library's product of two large matrices, float32, on one core: the best of ten."""
    import torch

    from impray.bench.threads import one_torch_thread

    with one_torch_thread():
        x = torch.randn(_SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
        out, seconds = torch.empty_like(x), []
        for _ in range(10):
            begin = time.perf_counter()
            torch.mm(x, x, out=out)
            seconds.append(time.perf_counter() - begin)
    return 2 * _SIDE**3 / min(seconds) / 1e9


def machine() -> str:
    """Processor, cores and library versions."""
    import torch

    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
