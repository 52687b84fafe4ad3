"""Rules: pure functions from a lineage's weights to its next mask, one file each.

Which rule a method uses, and on which weights, is in `Chain._mask` of impray/lineage/rounds.py. All methods keep the same number of
weights in every scope and round (`counts`).
"""

from impray.masks.magnitude import magnitude
from impray.masks.random import random
from impray.masks.scope import Masks, Scope, counts, density, full, scopes

RULES = {"magnitude": magnitude, "random": random}

__all__ = ["RULES", "Masks", "Scope", "counts", "density", "full", "magnitude", "random", "scopes"]
