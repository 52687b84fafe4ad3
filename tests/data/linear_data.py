"""Small linear data for tests, and what is known of them."""

import numpy as np

from impray.spec.data import Linear


def linear(**more):
    """12 features, 3 of which count; `design` is a mapping, as in YAML."""
    return Linear.model_validate({"samples": 40, "features": 12, "nonzero": 3, **more})


def sigma(phi):
    return phi.T @ phi / len(phi)


def exact_covariances(folder, features):
    """Designs whose sample has exactly a covariance -> that covariance, where the seed does not decide it."""
    numbers = np.random.default_rng(0).normal(size=(features, features - 2))
    own = numbers @ numbers.T / features  # of rank features - 2
    np.save(folder / "covariance.npy", own)
    ones, places = np.ones((features, features)), np.arange(features)
    apart = np.abs(places[:, None] - places)
    return [
        ({"kind": "identity"}, np.eye(features)),
        ({"kind": "uniform", "alpha": 0.0}, np.eye(features)),
        ({"kind": "uniform", "alpha": 0.9}, 0.1 * np.eye(features) + 0.9 * ones),
        ({"kind": "toeplitz", "rho": -0.8}, (-0.8) ** apart),
        ({"kind": "covariance", "path": str(folder / "covariance.npy")}, own),
    ]
