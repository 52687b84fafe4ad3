"""Rows with known answers for the figures of pilanci2025, and what a figure says of a folder of them."""

import json
from itertools import product

from impray.figures import results
from impray.figures.panels import table
from impray.results import tables
from impray.results.paths import Paths
from impray.spec.base import canonical
from impray.spec.trial import Trial

SEEDS = 5
METHODS = ("imp", "oneshot", "random", "iht", "pursuit")
# PSNR of each method, dB; pursuit's is beyond what counts.
LEVELS = {"imp": 40.0, "oneshot": 25.0, "random": 10.0, "iht": 30.0, "pursuit": 300.0}


def fused(data, readout="sum", steps=100, **net):
    plan = {"net": {"hidden": [3], "bias": False, "outputs": 1, "readout": readout, **net}, "data": data}
    return Trial.model_validate(plan | {"train": {"loss": "mse", "steps": steps}, "prune": {"fraction": 0.2}})


def writer(tmp_path):
    """A folder of (trial, values of axes); `numbers(trial, method, seed, round)` are columns of a row, rounds have `densities`.

    `images(trial, method, seed, round)`: rows of that table.
    """

    def write(trials, axes, numbers, densities, seeds=SEEDS, images=None):
        Paths(tmp_path).provenance.path.write_text(json.dumps({"axes": axes}))
        found = {"rounds": [], "trials": []} | ({} if images is None else {"images": []})
        for number, (one, values) in enumerate(trials):
            found["trials"].append(
                {"trial": one.id, "number": number, "description": json.dumps(canonical(one)), **values}
            )
            for method, seed, (round, left) in product(METHODS, range(seeds), densities(one).items()):
                row = {"lineage": f"{one.id}-{method}-{seed}", "trunk": f"{one.id}-{seed}", "trial": one.id}
                row |= {"method": method, "seed": seed, "round": round, "status": "done", "density": left}
                found["rounds"].append(row | values | numbers(one, method, seed, round))
                keys = {name: row[name] for name in ("lineage", "trial", "method", "seed", "round")}
                for of_round in () if images is None else images(one, method, seed, round):
                    found["images"].append(keys | of_round)
        for name, rows in found.items():
            tables.write(Paths(tmp_path), name, "rows", rows, axes)
        return results(tmp_path)

    return write


def recovered(put, levels=LEVELS, at_few_steps=LEVELS, train_above=0.0, line=None):
    """m = 3 or 6 units, s = 2 or 4 of 10 inputs' weights, 50 or 100 steps.

    A seed moves PSNR by 0.1 dB, of imp and pursuit by 0.2: gaps vary. `line`: PSNR of linear OMP, in training 1 dB more.
    """
    sizes = product((3, 6), (2, 4), (50, 100))
    trials = [
        (fused({"kind": "planted", "units": m, "nonzero": s, "inputs_count": 10, "samples": 40}, steps=steps, hidden=[m]),
         {"net.hidden": m, "data.nonzero": s, "train.steps": steps})
        for m, s, steps in sizes
    ]  # fmt: skip

    def numbers(one, method, seed, round):
        psnr = (levels if one.train.length == 100 else at_few_steps)[method] + 0.1 * seed * (
            1 + (method in ("imp", "pursuit"))
        )
        solved = method in ("iht", "pursuit")
        share = {"pursuit": 1.0, "imp": 0.8}.get(method, 0.5) - 0.01 * seed * (method == "iht")
        own = {"support_recall": share, "psnr_train": psnr + train_above * (1 + 0.1 * seed), "units_alive": 2}
        facts = (
            {"optimizer_bytes": 1000 * one.data.nonzero, "converged": float(seed > 0)}
            if solved
            else {"optimizer_bytes": 9000}
        )
        beside = (
            {} if line is None else {"psnr_linear": line + 0.05 * seed, "psnr_train_linear": line + 1.0 + 0.05 * seed}
        )
        return {"psnr": psnr} | own | facts | beside

    axes = {"net.hidden": "int", "data.nonzero": "int", "train.steps": "int"}
    return put(trials, axes, numbers, lambda one: {7: one.data.nonzero / (10 * one.net.hidden[0])})


def verdicts(figure, of):
    return {finding.says: finding.verdict for finding in table(figure.FIGURE, of).findings}


def begins(told, words):
    return [verdict for says, verdict in told.items() if says.startswith(words)]


def of_unfused(put, fused_above=5.0, dense_above=-10.0, line=None):
    """m = 3 or 6 units, s = 2 or 4 of the first layer's weights; rows of the dense network and of s weights."""
    trials = [
        (fused({"kind": "planted", "units": m, "nonzero": s, "inputs_count": 10, "samples": 40}, readout, hidden=[m]),
         {"net.readout": readout, "net.hidden": m, "data.nonzero": s})
        for readout, m, s in product(("sum", "trained"), (3, 6), (2, 4))
    ]  # fmt: skip

    def numbers(one, method, seed, round):
        psnr = LEVELS[method] + fused_above * (one.net.readout == "sum") + 0.1 * seed * (1 + METHODS.index(method))
        psnr += (dense_above + 0.1 * seed) * (round == 0)
        beside = {} if line is None else {"psnr_linear": line + one.data.nonzero}
        return {"psnr": psnr + 0.03 * seed * (one.net.readout == "sum"), "support_recall": 0.5} | beside

    axes = {"net.readout": "str", "net.hidden": "int", "data.nonzero": "int"}
    return put(trials, axes, numbers, lambda one: {0: 1.0, 7: one.data.nonzero / (10 * one.net.hidden[0])})


def of_theirs(put, above=0.0):
    """m = 3 or 6 units, s = 2 or 4 of both layers' weights; one more training adds `above` dB, and 0.01 dB a seed."""
    trials = []
    for m, s in product((3, 6), (2, 4)):
        data = {"kind": "planted", "units": m, "nonzero": s, "inputs_count": 10, "samples": 40, "stream": "authors"}
        plan = {
            "data": data,
            "net": {"hidden": [m], "bias": False, "outputs": 1},
            "train": {"loss": "mse", "steps": 15},
        }
        one = Trial.model_validate(plan | {"prune": {"fraction": 0.1, "layers": "all", "scope": "global"}})
        trials.append((one, {"net.hidden": m, "data.nonzero": s}))

    def numbers(one, method, seed, round):
        return {"psnr_train_pruned": 12.0, "psnr_train": 12.0 + above + 0.01 * seed, "support_recall": 0.0}

    axes = {"net.hidden": "int", "data.nonzero": "int"}
    return put(trials, axes, numbers, lambda one: {9: one.data.nonzero / (11 * one.net.hidden[0])})
