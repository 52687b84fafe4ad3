"""A sweep file to load, and what is said of it."""

import pytest
from spec.good_file import GOOD

from impray.spec.errors import SweepError
from impray.spec.load import load


@pytest.fixture
def sweep_file(tmp_path):
    def write(text=GOOD):
        path = tmp_path / "sweep.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def wrong(sweep_file):
    """What `load` says of a text, `--set`s included."""

    def say(text=GOOD, *sets):
        with pytest.raises(SweepError) as caught:
            load(sweep_file(text), sets)
        return [str(problem) for problem in caught.value.problems]

    return say
