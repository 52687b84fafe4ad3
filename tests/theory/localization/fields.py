"""Data, weights and their IPR as these tests use them."""

import itertools
import math

import numpy as np

from impray.spec.data import Elliptical, Ising, Kur, Nlgp
from impray.theory.stimuli import covariance, torus

ROOT = math.sqrt(2 / math.pi)


ENDS = np.array([0, 1e-9, 1e-6, 1e-3, 0.5, 0.999, 1 - 1e-6, 1 - 1e-10, 1.0])


LAWS = {
    "t 3": {"degrees_of_freedom": 3},
    "t 12": {"degrees_of_freedom": 12},
    "shell": {"radius": "shell"},
    "extreme": {"radius": "extreme"},
    "quantiles": {"radius": "quantiles", "quantiles": (0, 1, 1.5, 6)},
}


FLOWS = {
    "nlgp": Nlgp(shape=(12,), gain=3, xi=(0.7, 2)),
    "kur torus, blend": Kur(shape=(3, 4), k=5, xi=(0.5, 1), gaussian_blend=0.3),
    "ising": Ising(shape=(12,)),
    "shell torus": Elliptical(shape=(4, 3), radius="shell", scale="radius", xi=(0.5, 1)),
    "gaussian": Nlgp(shape=(12,), gaussian_blend=1, xi=(0.7, 2)),
}


def random_weights(neurons: int, inputs: int, seed: int = 0, scale: float = 0.001) -> np.ndarray:
    """Glorot normal, its variance times `scale`: the paper's start of a neuron."""
    return np.random.default_rng(seed).normal(size=(neurons, inputs)) * math.sqrt(scale * 2 / (inputs + 1))


def named(value) -> str:
    """A test's name: the parameters that are not the default's."""
    if isinstance(value, float):
        return f"{value:.3g}"
    given = value.model_dump(exclude_defaults=True, exclude={"kind"})
    return " ".join([value.kind, *(f"{name}={given[name]}" for name in given)])


def ipr(w: np.ndarray) -> np.ndarray:
    return (w**4).sum(axis=-1) / (w**2).sum(axis=-1) ** 2


def dense(spec, label: int) -> np.ndarray:
    """The covariance matrix, entry by entry."""
    of = covariance(spec, label)
    places = list(itertools.product(*(range(side) for side in torus(spec))))
    return np.array([[of[(r - i) % of.shape[0], (c - j) % of.shape[1]] for r, c in places] for i, j in places])
