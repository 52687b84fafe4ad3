"""Documents that were read elsewhere; and reading a sweep imports nothing heavy."""

import subprocess
import sys

import pytest

from impray.spec.errors import SweepError
from impray.spec.load import validate
from impray.spec.sweep import Sweep


def test_validate_takes_a_document_and_its_lines():
    document = {"question": "?", "trial": {"data": {"kind": "nlgp", "gain": 0}}, "seeds": 1, "rounds": 1}
    with pytest.raises(SweepError, match="line 7: trial.data.gain = 0    must be above 0"):
        validate(document, "here", {("trial", "data"): 6, ("trial", "data", "gain"): 7})
    document["trial"]["data"]["gain"] = 1
    assert isinstance(validate(document, "here", {}), Sweep)


def test_importing_is_light():
    code = "import sys, impray.spec.load, impray.spec.schema; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "polars", "mlflow", "numpy", "optuna"} & set(loaded)
