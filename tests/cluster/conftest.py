"""Tests marked `cluster` run only where they are asked for: they take minutes and need root."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "cluster" in config.option.markexpr:
        return
    left = [item for item in items if item.get_closest_marker("cluster")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
