"""`impray data`: the statistics of a kind of data, and a picture of samples."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import typer
import yaml
from torch import Tensor

from impray.service import room
from impray.service.ray.nodes import memory
from impray.service.said import sizes_in_files
from impray.spec.data import DataSpec
from impray.spec.errors import DataError, SweepError
from impray.spec.load import read
from impray.spec.sweep import Sweep

PER_CLASS = 8  # samples shown of each class
MOST_CLASSES = 20  # in the picture
ALONE = (  # with a loss that classes and real targets take
    "{question: what does it look like, trial: {data: {kind: nlgp}, train: {loss: mse}, prune: {layers: all}}, "
    "seeds: 1, rounds: 0, measures: []}"
)


def data_of(file: str | None, sets: list[str], load_sweep: Callable[[str, list[str]], tuple[Sweep, Path]]) -> DataSpec:
    """The data of a sweep file, overrides applied; without a file, of the overrides alone."""
    if file is not None:
        return load_sweep(file, sets)[0].trial.data
    return read(ALONE, "impray data", sets, sizes=sizes_in_files).trial.data


def show(spec: DataSpec, samples: int, seed: int, as_json: bool, picture: Path | None, out: Path) -> None:
    """Print the description and draw the picture: into `picture`, else into the folder `out`."""
    from impray.data import sample
    from impray.data.describe import describe

    if picture is not None and picture.suffix != ".png":
        raise DataError(f"{picture}: a picture is a PNG file; give a name that ends in .png")
    if too_large := room.of_samples(spec, samples, memory()["total"]):
        raise SweepError("impray data", too_large)
    statistics = describe(spec, samples, seed)
    if as_json:
        typer.echo(json.dumps(statistics, indent=2, default=_plain))
    else:
        _table(spec, statistics, samples)
    target = picture or out / f"data-{spec.kind}.png"  # type: ignore[attr-defined]
    inputs, labels = sample(spec, PER_CLASS, seed)
    draw(spec, inputs, labels, target)
    typer.echo(f"picture: {target}", err=as_json)


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, Tensor) else str(value)


def _table(spec: DataSpec, statistics: dict, samples: int) -> None:
    width = shutil.get_terminal_size((120, 24)).columns
    distances = max(2, (width - 58) // 11)  # as many as fit beside the moments
    typer.echo(yaml.safe_dump(spec.model_dump(mode="json"), default_flow_style=True, width=width).strip())
    typer.echo(f"at most {samples} samples per class; excess kurtosis of a Gaussian is 0")
    typer.echo(f"{'class':>5} {'mean':>9} {'variance':>9} {'kurtosis':>9} {'excess':>9} {'+-':>8}   covariance by px")
    for row in statistics["classes"]:
        of_class = row["covariance_by_distance"][:distances]
        near = "  ".join(f"{p['distance_px']:g}: {p['covariance']:.3f}" for p in of_class)
        numbers = [row["mean"], row["variance"], row["kurtosis"], row["excess_kurtosis"]]
        shown = " ".join(f"{value:9.4f}" if math.isfinite(value) else f"{value!s:>9}" for value in numbers)
        typer.echo(f"{row['label']:>5} {shown} {row['standard_error']:8.4f}   {near}")
        if "theory" in row:
            typer.echo(_theory(row, distances))
    if "design" in statistics:
        typer.echo(_design(**statistics["design"]))


def _theory(row: dict, distances: int) -> str:
    """The line of a class's theory, under that of its samples; how far apart they are."""
    theory = row["theory"]
    near = "  ".join(f"{p['distance_px']:g}: {p['theory']:.3f}" for p in row["covariance_by_distance"][:distances])
    numbers = [0.0, theory["variance"], theory["kurtosis"], theory["excess_kurtosis"]]
    shown = " ".join(f"{value:9.4f}" if math.isfinite(value) else f"{value!s:>9}" for value in numbers)
    off = theory["off_by_standard_errors"]
    told = ", ".join(f"{name} {value:.1f}" if value is not None else f"{name} -" for name, value in off.items())
    why = "  (-: none, the tails are too heavy)" if None in off.values() else ""
    return f"theory{shown[1:]} {'':8}   {near}\n{'':6}off by standard errors: {told}{why}"


def _design(
    samples: int,
    features: int,
    nonzero: int,
    rank: int,
    lambda_min: float,
    lambda_max: float,
    coherence: float,
    signal_to_noise: float,
) -> str:
    """The line of a linear model: its features together, and its truth."""
    return (
        f"design: {samples} x {features}, rank {rank}, eigenvalues of Sigma {lambda_min:.4g} to {lambda_max:.4g}, "
        f"coherence {coherence:.4g}\n"
        f"truth: {nonzero} of {features} weights are not 0; signal to noise {signal_to_noise:.4g}"
    )


def draw(spec: DataSpec, inputs: Tensor, labels: Tensor, target: Path) -> None:
    """Samples as images (or as lines on a ring), one row for each of the first classes."""
    import io

    from matplotlib.figure import Figure

    from impray.results.files import write

    classes = min(int(labels.max()) + 1, MOST_CLASSES)
    figure = Figure(figsize=(1.2 * PER_CLASS, 1.25 * classes + 0.4), layout="constrained")
    axes = figure.subplots(classes, PER_CLASS, squeeze=False)
    limit = float(inputs.abs().max())
    for label in range(classes):
        for place, sample in enumerate(inputs[labels == label][:PER_CLASS]):
            panel = axes[label][place]
            if sample.dim() == 1:
                panel.plot(sample.numpy(), linewidth=0.8)
                panel.set_ylim(-limit, limit)
            elif sample.dim() == 2:
                panel.imshow(sample.numpy(), cmap="gray", vmin=-limit, vmax=limit)
            else:
                panel.imshow((0.5 + sample / (2 * limit)).permute(1, 2, 0).numpy())
            panel.set_xticks([])
            panel.set_yticks([])
        axes[label][0].set_ylabel(f"class {label}" if spec.targets == "classes" else "", fontsize=8)
    classes_shown = (
        "each class" if classes > int(labels.max()) else f"the first {classes} of {int(labels.max()) + 1} classes"
    )
    samples = f"samples of {classes_shown}" if spec.targets == "classes" else "rows of a training set"
    figure.suptitle(f"{spec.kind}: {samples}", fontsize=9)  # type: ignore[attr-defined]
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120)
    write(target, buffer.getvalue())
