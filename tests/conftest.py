"""Tests marked jax are skipped where the extra is not installed."""

import os
import signal
from importlib.util import find_spec

import pytest

os.environ.setdefault("FAFLOW_CACHE", "")  # tests leave nothing behind
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as shells have it in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    if find_spec("diffrax") is not None:
        return
    for item in items:
        if item.get_closest_marker("jax"):
            item.add_marker(pytest.mark.skip(reason="needs the extra 'jax'"))
