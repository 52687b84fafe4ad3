"""Your own data, a sweep over them, a frame and a figure.   Run: python docs/tutorial.py [FOLDER]   (half a minute on one core)

The question: small images show a bright bar in noise, lying (class 0) or standing (class 1). Does iterative magnitude pruning (IMP)
keep inputs that lie together, and is it the bars that make it do so, or the correlations that a bar leaves behind?
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import polars as pl

import impray

matplotlib.use("Agg")  # draws into files, without a window
from matplotlib import pyplot as plt  # noqa: E402 - after the line that says how

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/tutorial")
folder.mkdir(parents=True, exist_ok=True)

# 1. The data: an .npz with the arrays `inputs` [sample, row, col] and `labels` [sample]. impray holds a fifth of them out.
rng = np.random.default_rng(0)
labels = rng.integers(0, 2, 4000)
inputs = rng.normal(0.0, 0.5, (4000, 10, 10)).astype("float32")
for image, label, place in zip(inputs, labels, rng.integers(0, 10, 4000), strict=True):
    image = image if label == 0 else image.T  # a view: what is added here is added to `inputs`
    image[place, 2:8] += 1.5
np.savez(folder / "bars.npz", inputs=inputs, labels=labels)

# 2. The sweep, as its YAML would have it. `gaussian_blend` is the axis: 0 is the data, 1 their Gaussian clone, which has the same class
#    means and covariances and nothing else of them. Random pruning is the control. `impray schema` and sweeps/annotated.yaml have all keys.
sweep = {
    "question": "Do bars make IMP's masks clustered, or do their correlations alone?",
    "trial": {
        "data": {"kind": "arrays", "path": str((folder / "bars.npz").absolute())},
        "net": {"hidden": [24]},
        "train": {"steps": 400, "lr": 0.1},
        "prune": {"fraction": 0.3, "layers": [1]},
    },
    "methods": ["imp", "random"],
    "seeds": 3,
    "rounds": 6,
    "measures": ["accuracy", {"clustering": {"min_fan_in": 4}}],
    "search": {"space": {"data.gaussian_blend": [0.0, 1.0]}},
}

# 3. Run it in this process (`where="ray"` takes all cores). What is done is not done again: run this script twice.
results = impray.run(sweep, folder / "results", where="here", show=True)

# 4. A polars frame: one row per lineage, round and quantity. The mean over seeds, and how far seeds lie apart:
clustering = (
    results.quantities.filter(pl.col("quantity") == "clustering_mean")
    .group_by("data.gaussian_blend", "method", "round")
    .agg(pl.col("density").first(), pl.col("value").mean().alias("mean"), pl.col("value").std().alias("spread"))
    .sort("data.gaussian_blend", "method", "round")
)
print(clustering.filter(pl.col("round") == 6))

# 5. A figure. 1 is chance: as many pairs of neighbours as in a mask whose inputs are drawn at random.
for (blend, method), part in clustering.partition_by("data.gaussian_blend", "method", as_dict=True).items():
    name = f"{method}, {'the data' if blend == 0 else 'their Gaussian clone'}"
    plt.errorbar(part["density"], part["mean"], part["spread"], label=name, marker="o", capsize=3)
plt.axhline(1.0, color="grey", linewidth=0.8)
plt.gca().set(xscale="log", xlabel="share of the weights that is kept", ylabel="clustering (1: chance)")
plt.gca().invert_xaxis()
plt.legend()
plt.savefig(folder / "tutorial.png", dpi=120)
print(f"figure: {folder / 'tutorial.png'}")
