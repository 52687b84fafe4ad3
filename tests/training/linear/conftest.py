"""IHT takes thousands of steps on designs that are nearly singular: those go with the slow tests."""

import pytest

NEARLY_SINGULAR = ("dead", "correlated", "square", "units_of_features")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if (
            "training/linear" in item.nodeid
            and "iht" in item.name
            and any(word in item.name for word in NEARLY_SINGULAR)
        ):
            item.add_marker(pytest.mark.slow)
