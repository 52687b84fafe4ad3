"""`impray bench`: what can be named is there, and what cannot is told."""

from importlib import import_module

import pytest
from cli.said import refused

from impray.bench import BENCHMARKS


def test_every_wrong_name_is_told_at_once():
    told = refused("bench", "--only", "pack,nix", "--only", "nope")
    assert "'nix'" in told and "'nope'" in told and "'pack'" not in told
    assert all(name in told for name in BENCHMARKS)


@pytest.mark.parametrize("place", [place for places in BENCHMARKS.values() for place in places])
def test_what_can_be_named_is_there(place):
    module, function = place.split(":")
    assert callable(getattr(import_module(module), function))
