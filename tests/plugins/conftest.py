"""Plugins of one test leave before the next."""

import pytest

from impray.spec.plugins import joined


@pytest.fixture(autouse=True)
def nobody_stays():
    yield
    joined.leave()
