"""What a GPU that was never seen should be asked, in one table.

    PYTHONPATH=tests:. python tests/gpu/ten_minutes.py [--quick]

It runs on a CPU as well (what needs CUDA is then `-`), and ends with exit code 1 if a law does not hold. `--quick` makes a few steps of
each: whether it runs, not how fast.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
import yaml
from pytest import MonkeyPatch
from training.packs import alone, problem, same, train
from training.recorder import Recorded, on_torch_alone

from impray.data import fused, open_pack, streams
from impray.data.images import gathered, mapped
from impray.nets.mlp import architecture, initial
from impray.results.schema import PROVENANCE
from impray.results.tables import scan
from impray.spec.data import Arrays, Nlgp
from impray.spec.nets import Mlp
from impray.spec.training import Adam, Cosine, Sgd
from impray.training import TRAINERS, Task, loop
from impray.training.blocks import STEPS, Graphs
from impray.training.engine import Groups
from impray.training.mlp import MlpEngine

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
SPECS = [
    Sgd(batch=6, momentum=0.9, weight_decay=0.01, steps=4 * STEPS + 5, schedule=Cosine(final=0.1)),
    Adam(batch=6, steps=4 * STEPS + 5),
]
SIZES = {"144:32:2, batch 64": (144, (32,), 2, 64), "3072:1024:1024:1000, batch 40": (3072, (1024, 1024), 1000, 40)}
Answer = tuple[str, bool | None]
"""What was found, and whether it is as it should be; None: a number, of which nothing is asked."""


def there(values: dict) -> dict:
    return {name: value.to(DEVICE) for name, value in values.items()}


def given(spec, dtype: torch.dtype = torch.float32, nets: int = 4):  # noqa: ANN001, ANN201
    """A pack with batch norm on the device, its data for some graphs and a rest."""
    arch, params, masks, data = problem(
        Mlp(hidden=(40, 30), batch_norm=True), 33, 5, nets, spec.batch, spec.steps, dtype, 0.4
    )
    data.x, data.y, data.block = data.x.to(DEVICE), data.y.to(DEVICE), spec.steps
    return arch, there(params), there(masks), data


def a_pack_equals_nets_alone() -> Answer:
    """Bit for bit on the CPU; on CUDA the library chooses its products by their number, so: to rounding."""
    worst = 0.0
    for spec in SPECS:
        arch, params, masks, data = given(spec)
        together = train(arch, [spec] * 4, params, masks, data, spec.steps)
        for net in range(4):
            by_itself = alone(arch, spec, params, masks, data, spec.steps, net).params
            worst = max(
                worst, *(float((by_itself[k] - v[net : net + 1]).abs().max()) for k, v in together.params.items())
            )
    return f"largest difference {worst:.1e}", worst == 0 if not CUDA else worst < 1e-4


def the_device_agrees_with_the_cpu() -> Answer:
    worst = 0.0
    for spec in SPECS:
        arch, params, masks, data = given(spec, torch.float64)
        here = train(
            arch,
            [spec] * 4,
            *({k: v.cpu() for k, v in some.items()} for some in (params, masks)),
            on_cpu(data),
            spec.steps,
        )
        found = train(arch, [spec] * 4, params, masks, data.again(), spec.steps)
        worst = max(worst, *(float((found.params[k].cpu() - v).abs().max()) for k, v in here.params.items()))
    return f"float64, largest difference {worst:.1e}", worst < 1e-8


def on_cpu(data):  # noqa: ANN001, ANN201
    copy = data.again()
    copy.x, copy.y = copy.x.cpu(), copy.y.cpu()
    return copy


def graphs_equal_steps_one_by_one() -> Answer:
    if not CUDA:
        return "-", None
    equal = True
    for spec in SPECS:
        arch, params, masks, data = given(spec)
        graphs = train(arch, [spec] * 4, params, masks, data, spec.steps)
        equal &= same(graphs.params, one_by_one(arch, spec, params, masks, data).params)
    return "bit for bit" if equal else "they differ", equal


def one_by_one(arch, spec, params, masks, data):  # noqa: ANN001, ANN201
    """A round whose steps no graph holds."""
    with MonkeyPatch.context() as patch:
        patch.setattr(loop, "runner", lambda steps, *_: steps)
        return train(arch, [spec] * 4, params, masks, data.again(), spec.steps)


class Counted(Graphs):
    """Attributes: recordings: how many there were."""

    recordings = 0

    def captured(self, do: Callable[[], None]) -> Callable[[], None]:
        self.recordings += 1
        return super().captured(do)


def a_graph_serves_all_rounds_with_masks() -> Answer:
    """The first of five has none. On the CPU by the tests' recorder."""
    equal, recordings = True, []
    with MonkeyPatch.context() as patch:
        if not CUDA:
            on_torch_alone(patch)
        for spec in SPECS:
            arch, params, masks, data = given(spec)
            graphs = Counted() if CUDA else Recorded()
            for round in range(5):
                own = {k: mask & (params[k].abs() > 0.05 * round) for k, mask in masks.items()} if round else None
                start = {k: v * own[k] if own and k in own else v for k, v in params.items()}
                data.start(round)
                found = train(arch, [spec] * 4, start, own, data, spec.steps, graphs=graphs)
                expected = one_by_one(arch, spec, start, own, data)
                equal &= same(found.params, expected.params) and same(found.stats, expected.stats)
            recordings.append(graphs.recordings)
    said = f"{recordings} recordings in 5 rounds each, {'bit for bit' if equal else 'they differ'}"
    return said, equal and recordings == [2, 2]


def a_step_does_not_wait_for_the_host() -> Answer:
    if not CUDA:
        return "-", None
    for spec in SPECS:
        arch, params, masks, data = given(spec)
        pack = Groups(MlpEngine, arch, [spec] * 4, params, masks, 0, spec.steps)
        pack.step(data.x[:, 0], data.y[:, 0])
        torch.cuda.set_sync_debug_mode("error")
        try:
            pack.step(data.x[:, 1], data.y[:, 1])
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return "no synchronisation", True


def both_devices_draw_the_same_numbers() -> Answer:
    spec, worst, labels = Nlgp(shape=(12, 12)), 0.0, True
    drawn = []
    for device in {torch.device("cpu"), DEVICE}:
        pack = open_pack([spec] * 2, [0, 1], batch=64, dtype=torch.float32, device=device)
        pack.start(0)
        drawn.append(tuple(part.cpu() for part in pack.batch(pack.draw(1), 0)))
    for x, y in drawn[1:]:
        worst, labels = float((x - drawn[0][0]).abs().max()), bool((y == drawn[0][1]).all())
    return f"inputs differ by {worst:.1e} at most", worst < 1e-4 and labels


def words_are_made_by_one_kernel() -> Answer:
    if not CUDA:
        return "-", None
    one = fused.mixed(streams._mixed, DEVICE) is not streams._mixed
    return (
        "one kernel, checked against torch's passes" if one else "torch's passes: the kernel is not to be had here",
        None,
    )


def stored_images_are_the_same_on_either_device() -> Answer:
    """Bytes and halves, as the files have them; copied to the device, and where they would not fit sent batch by batch."""
    with tempfile.TemporaryDirectory() as folder:
        before, os.environ["IMPRAY_CACHE"] = os.environ.get("IMPRAY_CACHE"), f"{folder}/cache"
        random = np.random.default_rng(0)
        inputs, labels = random.integers(0, 256, (400, 3072), np.uint8), np.arange(400) % 4
        np.savez(f"{folder}/set.npz", inputs=inputs, labels=labels)
        asked = {"path": f"{folder}/set.npz", "shape": (3, 32, 32), "class_count": 4, "center": "class"}
        specs = [Arrays(**asked, gaussian_blend=b) for b in (0, 0.3, 1)]
        found, fits = [], mapped.fits
        for device, room in ((torch.device("cpu"), True), (DEVICE, True), (DEVICE, False)):
            mapped.fits = lambda size, device, room=room: room
            for remembered in (gathered.pixels, gathered.clone_rows):
                remembered.cache_clear()
            try:
                pack = open_pack(specs, [0, 0, 1], batch=40, dtype=torch.float32, device=device)
                pack.start(0)
                raw = pack.draw(3)
                found.append(torch.stack([pack.batch(raw, step)[0].cpu() for step in range(3)]))
            finally:
                mapped.fits = fits
        del os.environ["IMPRAY_CACHE"]
        os.environ.update({} if before is None else {"IMPRAY_CACHE": before})
    here, there, sent = found
    return f"largest difference {float((here - there).abs().max()):.1e}", same({"x": there}, {"x": sent}) and bool(
        torch.allclose(here, there, atol=1e-5)
    )


def speed(
    sizes: tuple, nets: int, steps: int, rounds: int = 1, *, kept: bool = True
) -> tuple[list[float], list[tuple[int, int]]]:
    """Microseconds per step of a pack, and bytes held and reserved after it, round by round; kept: whether they share a graph."""
    inputs, hidden, outputs, batch = sizes
    arch = architecture(Mlp(hidden=hidden), inputs, outputs)
    params = there(initial(Mlp(hidden=hidden), arch, range(nets), torch.float32, "cpu"))
    masks = {layer.weight: torch.rand(params[layer.weight].shape, device=DEVICE) < 0.3 for layer in arch.layers}
    _, _, _, data = problem(Mlp(hidden=(2,)), inputs, 2, nets, batch, 1, torch.float32)
    data.block = 2 * STEPS
    data.x = data.x.to(DEVICE).expand(nets, data.block, batch, inputs)
    data.y = data.y.to(DEVICE).expand(nets, data.block, batch)
    data.draw = lambda steps: {"x": data.x[:, :steps], "y": data.y[:, :steps]}
    sgd = Sgd(batch=batch, steps=steps)
    times, held, graphs = [], [], Graphs()
    for _ in range(rounds):
        if not kept:
            graphs.let_go()
        begin = time.perf_counter()
        TRAINERS[Sgd](Task(arch, [sgd] * nets, params, masks, data, steps, graphs=graphs))
        if CUDA:
            torch.cuda.synchronize()
        times.append(1e6 * (time.perf_counter() - begin) / steps)
        held.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()) if CUDA else (0, 0))
    return times, held


def speeds(quick: bool) -> Iterator[tuple[str, Callable[[], Answer]]]:
    for name, sizes in SIZES.items():
        for nets in (1, 4) if quick else (1, 4, 16):
            steps = 2 if quick else (64 if not CUDA else 50 * STEPS)

            def measure(sizes: tuple = sizes, nets: int = nets, steps: int = steps) -> Answer:
                times, _ = speed(sizes, nets, steps, 1 if quick else 3)
                return f"{statistics.median(times) / nets:.0f} us per net and step", None

            yield f"speed, {name}, {nets} net{'s' * (nets > 1)}", measure

        def measure_rounds(sizes: tuple = sizes, steps: int = (4 if quick else 50) * STEPS) -> Answer:
            if not CUDA:
                return "-", None
            ms = [
                statistics.median(speed(sizes, 4, steps, 5, kept=kept)[0][1:]) * steps / 1e3 for kept in (True, False)
            ]
            return f"{ms[0]:.1f} ms with the graph kept, {ms[1]:.1f} with one recorded anew", None

        yield f"a round, {name}, 4 nets", measure_rounds


def memory_does_not_grow() -> Answer:
    if not CUDA:
        return "-", None
    _, held = speed(SIZES["144:32:2, batch 64"], 4, 10 * STEPS, 6)
    said = [f"{used / 2**20:.1f} MiB of {reserved / 2**20:.1f} reserved" for used, reserved in (held[1], held[-1])]
    grew = any(after > before for before, after in zip(held[1], held[-1], strict=True))
    return f"{said[0]} after round 1, {said[1]} after round 5", not grew


def a_killed_sweep_goes_on() -> Answer:
    """Killed after its first finished rounds; its rows are those of one that was not."""
    tiny = {
        "question": "does it go on?",
        "trial": {
            "data": {"kind": "nlgp", "shape": [6, 6]},
            "net": {"hidden": [8]},
            "train": {"steps": 300, "batch": 16},
        },
        "seeds": 4,
        "rounds": 6,
        "measures": ["accuracy", "density"],
        "resources": {"gpu": 1 if CUDA else 0},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.yaml"
        path.write_text(yaml.safe_dump(tiny))
        words = [
            sys.executable,
            "-m",
            "impray.cli",
            "sweep",
            str(path),
            "--where",
            "here",
            "--mlflow",
            "off",
            "--no-figures",
        ]
        killed = subprocess.Popen([*words, "--out", f"{folder}/killed"], stdout=subprocess.DEVNULL)
        begin = time.monotonic()
        while killed.poll() is None and time.monotonic() - begin < 120:
            if len(list(Path(folder, "killed").glob("tiny/tables/rounds/*.parquet"))) >= 2:
                killed.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        hit = killed.wait() == -signal.SIGKILL
        for out in ("killed", "whole"):
            subprocess.run([*words, "--out", f"{folder}/{out}"], check=True, stdout=subprocess.DEVNULL)
        killed_rows, whole = (rows(Path(folder, out, "tiny")) for out in ("killed", "whole"))
        same_rows = killed_rows.equals(whole, null_equal=True)
        return (
            f"{'killed' if hit else 'it ended before it was killed'}; {'the same rows' if same_rows else 'other rows'}",
            same_rows and hit,
        )


def rows(folder: Path) -> pl.DataFrame:
    """Of the table `rounds`, without times and where they were made."""
    frame = scan("rounds", folder).collect()
    left_out = ["wall_s", "lineage_s", *(column.name for column in PROVENANCE)]
    return frame.drop(left_out, strict=False).sort("lineage", "round")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name(0) if CUDA else "cpu"
    print(f"{name}, torch {torch.__version__}, {os.cpu_count()} cores\n", flush=True)
    laws = (a_pack_equals_nets_alone, the_device_agrees_with_the_cpu, graphs_equal_steps_one_by_one)
    laws += (a_graph_serves_all_rounds_with_masks,)
    laws += (a_step_does_not_wait_for_the_host, both_devices_draw_the_same_numbers, memory_does_not_grow)
    laws += (words_are_made_by_one_kernel, stored_images_are_the_same_on_either_device)
    asked = [(law.__name__.replace("_", " "), law) for law in (*laws, a_killed_sweep_goes_on)]
    wrong = 0
    for question, ask in [*asked, *speeds(quick)]:
        try:
            found, right = ask()
        except Exception:
            found, right = traceback.format_exc(), False
        wrong += right is False
        print(f"{'WRONG ' if right is False else '      '}{question:55} {found}", flush=True)
    print(f"\n{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
