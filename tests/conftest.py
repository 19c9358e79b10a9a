"""Tests marked jax are skipped where the extra is not installed."""

import os
from importlib.util import find_spec

import pytest

os.environ.setdefault("FAFLOW_CACHE", "")  # tests leave nothing behind


def pytest_collection_modifyitems(items):
    if find_spec("diffrax") is not None:
        return
    for item in items:
        if item.get_closest_marker("jax"):
            item.add_marker(pytest.mark.skip(reason="needs the extra 'jax'"))
